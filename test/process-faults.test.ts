import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { verifyLedger } from '../src/ledger/verify.ts';
import { canary } from './canary.ts';
import { ask, freePorts, ledgerLines, startProcess, stateFolder, type ProcessRig } from './process-rig.ts';
import { eventually, startUpstream } from './rig.ts';

function service(name: string, port: number, target: number, credential = '{ from: env, get: API_TOKEN }'): string {
  return [
    `  ${name}:`,
    '    connector: http',
    `    listenOn: tcp://127.0.0.1:${port}`,
    `    target: http://127.0.0.1:${target}`,
    `    credentials: { token: ${credential} }`,
    '    config: { headers: { X-Api-Key: "{{ .token }}" } }',
    '    timeouts: { connect: 2s, credential: 2s }',
  ].join('\n');
}

function codeOf(answer: { readonly status: number; readonly body: string }): readonly [number, string] {
  return [answer.status, (JSON.parse(answer.body) as { code: string }).code];
}

async function metric(rig: ProcessRig, line: string): Promise<number> {
  const text = await (await fetch(`${await rig.telemetry()}/metrics`)).text();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return found === undefined ? NaN : Number(found.slice(line.length + 1));
}

async function stillGood(rig: ProcessRig): Promise<void> {
  expect(await rig.end()).toEqual({ code: 0, signal: null });
  expect(rig.stderr()).not.toContain('unexpected failure');
  expect(await verifyLedger(join(rig.folder, 'ledger.jsonl'))).toMatchObject({ ok: true });
}

test.skipIf(process.platform !== 'linux')(
  'with more connections than descriptors it sheds the rest, and answers again when they are gone',
  async () => {
    const upstream = await startUpstream();
    const wrapper = ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'];
    const yaml = `services:\n${service('api', 0, upstream.port)}`;
    const rig = startProcess(yaml, { wrapper, env: { API_TOKEN: canary() } });
    await rig.ready();
    const port = await rig.port('api');
    const telemetry = await rig.telemetry();
    const sockets = Array.from({ length: 150 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
    const closed = sockets.map((socket) => once(socket.resume(), 'close'));
    // Out of descriptors, libuv accepts and closes (uv__emfile_trick): whoever comes is told at once, not left waiting.
    const shed = (): number => sockets.filter((socket) => socket.readableEnded || socket.destroyed).length;
    await eventually(() => shed() >= 150 - 64, 'a connection that was shed');
    expect(shed()).toBeLessThan(150);
    // The socket for control suffers as well; nobody is answered, and nothing ends.
    await expect(fetch(`${telemetry}/readyz`)).rejects.toThrow();
    expect(rig.child.exitCode).toBeNull();
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await eventually(async () => (await ask(port, '/').catch(() => undefined))?.status === 200, 'an answer');
    const connections = (): Promise<number> => metric(rig, `secretless_connections{listener="tcp://127.0.0.1:0"}`);
    await eventually(async () => (await connections()) === 0, 'the end of all connections');
    expect(await metric(rig, 'secretless_connections_total{listener="tcp://127.0.0.1:0"}')).toBeGreaterThan(20);
    expect((await fetch(`${telemetry}/readyz`)).status).toBe(200);
    expect(rig.log.filter(({ level }) => level === 'error').length).toBeLessThanOrEqual(150);
    await stillGood(rig);
  },
  60_000,
);

test('the failure of one service does not disturb another, and the process lives on', async () => {
  const upstream = await startUpstream();
  const [dead] = await freePorts(1);
  const folder = stateFolder();
  const yaml = [
    'services:',
    service('good', 0, upstream.port),
    service('broken', 0, upstream.port, '{ from: exec, get: "false" }').replace('127.0.0.1:0', '127.0.0.2:0'),
    service('absent', 0, upstream.port, '{ from: exec, get: "no-such-tool-here" }').replace(
      '127.0.0.1:0',
      '127.0.0.3:0',
    ),
    service('slow', 0, upstream.port, '{ from: exec, get: "sleep 60" }').replace('127.0.0.1:0', '127.0.0.4:0'),
    service('gone', 0, upstream.port, `{ from: file, get: ${folder}/nothing }`).replace('127.0.0.1:0', '127.0.0.5:0'),
    service('down', 0, dead!).replace('127.0.0.1:0', '127.0.0.6:0'),
  ].join('\n');
  const rig = startProcess(
    yaml.replaceAll(/tcp:\/\/127\.0\.0\.[2-6]:0/g, (each) => `unix://${folder}/${each.at(-3)}.sock`),
    {
      folder,
      env: { API_TOKEN: canary() },
    },
  );
  await rig.ready();
  const port = await rig.port('good');
  const good = async (): Promise<number> => (await ask(port, '/')).status;
  const at = async (name: number): Promise<readonly [number, string]> =>
    codeOf(await ask(`${folder}/${name}.sock`, '/'));
  const slow = at(4);
  expect(await good()).toBe(200);
  expect(await at(2)).toEqual([503, 'credential-unavailable']);
  expect(await at(3)).toEqual([503, 'provider-tool-missing']);
  expect(await at(5)).toEqual([503, 'credential-missing']);
  expect(await at(6)).toEqual([502, 'upstream-unreachable']);
  expect(await good()).toBe(200);
  expect(await slow).toEqual([503, 'credential-timeout']);
  expect(await good()).toBe(200);
  // Readiness speaks of this process: a provider that is down would else take every sidecar out of service.
  expect((await fetch(`${await rig.telemetry()}/readyz`)).status).toBe(200);
  expect(await metric(rig, 'secretless_exchanges_total{service="good",outcome="ok"}')).toBe(3);
  expect(await metric(rig, 'secretless_exchanges_total{service="broken",outcome="provider"}')).toBe(1);
  expect(await metric(rig, 'secretless_exchanges_total{service="down",outcome="upstream"}')).toBe(1);
  expect(await metric(rig, 'secretless_lease_fetches_total{provider="exec",outcome="error"}')).toBe(3);
  expect(upstream.requests).toHaveLength(3);
  await stillGood(rig);
});

interface Full {
  /** Where the ledger is. */
  readonly folder: string;
  readonly reason: RegExp;
  fill(rig: ProcessRig): void;
  free(rig: ProcessRig): void;
}

/** A file system of 128 KiB of its own; undefined where this user may not mount one. */
function tinyDisk(): Full | undefined {
  const folder = join(stateFolder(), 'disk');
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k,mode=0700', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  const filler = join(folder, 'filler');
  const fill = (): void => {
    // Whole pages first, then what is left of the last one.
    for (const size of [4096, 256, 1]) {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
      } catch {
        // Full for pieces of this size.
      }
    }
  };
  return { folder, reason: /ENOSPC/, fill, free: () => rmSync(filler) };
}

/** The system lets no file of the process grow. */
function fileLimit(): Full | undefined {
  if (!existsSync('/usr/bin/prlimit')) return undefined;
  const folder = stateFolder();
  const limit = (rig: ProcessRig, bytes: string): void =>
    void execFileSync('prlimit', ['--pid', String(rig.child.pid), `--fsize=${bytes}:unlimited`]);
  const file = join(folder, 'ledger', 'ledger.jsonl');
  return {
    folder: join(folder, 'ledger'),
    reason: /EFBIG/,
    fill: (rig) => limit(rig, String(statSync(file).size)),
    free: (rig) => limit(rig, 'unlimited'),
  };
}

test.for([
  ['a full disk', tinyDisk],
  ['a limit on the size of files', fileLimit],
] as const)(
  'a ledger stopped by %s: uses are refused, streams live on, it recovers by itself',
  async ([, make], context) => {
    const full = make();
    if (full === undefined) return context.skip();
    const streams: ServerResponse[] = [];
    const upstream = await startUpstream((request, response) => {
      request.resume();
      if (request.url === '/stream') streams.push(response.writeHead(200) && response);
      response[request.url === '/stream' ? 'write' : 'end']('first ');
    });
    const yaml = `services:\n${service('api', 0, upstream.port)}\nledger: { file: ${full.folder}/ledger.jsonl }\n`;
    const rig = startProcess(yaml, { env: { API_TOKEN: canary() } });
    await rig.ready();
    const port = await rig.port('api');
    const telemetry = await rig.telemetry();
    const stream = connect(port, '127.0.0.1');
    let streamed = '';
    stream.on('data', (chunk: Buffer) => (streamed += chunk.toString()));
    stream.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually(() => streamed.includes('first'), 'the stream');
    full.fill(rig);
    // The line that does not fit may be a later one: the last page has room for some.
    await eventually(async () => (await ask(port, '/before')).status === 503, 'a refusal');
    const seen = upstream.requests.length;
    expect(codeOf(await ask(port, '/refused'))).toEqual([503, 'ledger-unavailable']);
    expect(upstream.requests).toHaveLength(seen);
    const red = await fetch(`${telemetry}/readyz`);
    const { ok, reasons } = (await red.json()) as { ok: boolean; reasons: string[] };
    expect([red.status, ok]).toEqual([503, false]);
    expect(reasons.join()).toMatch(full.reason);
    expect((await fetch(`${telemetry}/healthz`)).status).toBe(200);
    expect(await metric(rig, 'secretless_ledger_up')).toBe(0);
    await streamGoesOn(streams[0]!, stream, () => streamed);
    full.free(rig);
    await rig.line(({ message }) => message === 'the ledger records again');
    expect((await ask(port, '/after')).status).toBe(200);
    expect((await fetch(`${telemetry}/readyz`)).status).toBe(200);
    stream.destroy();
    expect(await rig.end()).toEqual({ code: 0, signal: null });
    expect(await verifyLedger(join(full.folder, 'ledger.jsonl'))).toMatchObject({ ok: true });
    const recovered = ledgerLines(full.folder).find(({ type }) => type === 'ledger.recovered');
    expect(recovered?.reason).toMatch(full.reason);
  },
);

async function streamGoesOn(response: ServerResponse, stream: Socket, streamed: () => string): Promise<void> {
  response.write('second');
  await eventually(() => streamed().includes('second'), 'the next part of the stream');
  expect(stream.destroyed).toBe(false);
}
