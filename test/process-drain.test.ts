import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { verifyLedger } from '../src/ledger/verify.ts';
import { canary } from './canary.ts';
import { ask, KeptConnection, ledgerLines, runCommand, startProcess, type ProcessRig } from './process-rig.ts';
import { startUpstream } from './rig.ts';

interface Slow {
  readonly rig: ProcessRig;
  readonly port: number;
  /** The next request to `/slow`, whose answer the test gives. */
  readonly held: () => Promise<ServerResponse>;
}

/** A sidecar before an upstream that answers `/slow` only when the test does, and takes websockets. */
async function startSlow(drain: string): Promise<Slow> {
  const waiting: ServerResponse[] = [];
  const takers: ((response: ServerResponse) => void)[] = [];
  const upstream = await startUpstream((request, response) => {
    request.resume();
    if (request.url !== '/slow') return void response.end('hello');
    const taker = takers.shift();
    if (taker === undefined) waiting.push(response);
    else taker(response);
  });
  upstream.server.on('upgrade', (_request, socket: Socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi');
  });
  const yaml = `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
limits: { drain: ${drain} }
`;
  const rig = startProcess(yaml, { env: { API_TOKEN: canary() } });
  await rig.ready();
  const held = (): Promise<ServerResponse> => {
    const ready = waiting.shift();
    return ready === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(ready);
  };
  return { rig, port: await rig.port('api'), held };
}

function draining(rig: ProcessRig) {
  return rig.line(({ message }) => message === 'draining');
}

async function ledgerIsGood(rig: ProcessRig, reason: string): Promise<void> {
  expect(await verifyLedger(join(rig.folder, 'ledger.jsonl'))).toMatchObject({ ok: true, tornBytes: 0 });
  expect(ledgerLines(rig.folder).find(({ type }) => type === 'sidecar.stopped')?.reason).toBe(reason);
}

async function openSocket(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

const WEBSOCKET = [
  'GET /ws HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

test('SIGTERM: what runs ends in its own time, nobody new gets in, and the exit code is 0', async () => {
  const { rig, port, held } = await startSlow('20s');
  const slow = ask(port, '/slow');
  const slowResponse = await held();
  const streaming = ask(port, '/slow');
  const stream = await held();
  stream.write('first ');
  const idle = new KeptConnection(port);
  expect((await idle.ask('/')).status).toBe(200);
  const silent = await openSocket(port, '');
  const silentGone = once(silent, 'close');
  rig.child.kill('SIGTERM');
  await draining(rig);
  // Neither a connection without a request nor one between requests holds the end.
  await silentGone;
  await expect(ask(port, '/')).rejects.toThrow(/ECONNREFUSED/);
  const ready = await fetch(`${await rig.telemetry()}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([503, { ok: false, reasons: ['draining', expect.any(String)] }]);
  slowResponse.end('slow');
  stream.write('second ');
  stream.end('third');
  expect(await slow).toMatchObject({ status: 200, body: 'slow', headers: { connection: 'close' } });
  expect(await streaming).toMatchObject({ status: 200, body: 'first second third' });
  expect(await rig.ended).toEqual({ code: 0, signal: null });
  await ledgerIsGood(rig, 'drained');
});

test('idle connections alone do not hold the end', async () => {
  const { rig, port } = await startSlow('24h');
  const kept = Array.from({ length: 5 }, () => new KeptConnection(port));
  for (const each of kept) expect((await each.ask('/')).status).toBe(200);
  expect(await rig.end()).toEqual({ code: 0, signal: null });
  await ledgerIsGood(rig, 'drained');
});

test('what still runs at the deadline is cut, a websocket too, and the exit code is 0', async () => {
  const { rig, port, held } = await startSlow('500ms');
  const slow = ask(port, '/slow').then(
    () => 'answered',
    () => 'cut',
  );
  await held();
  const websocket = await openSocket(port, WEBSOCKET);
  const [answer] = (await once(websocket, 'data')) as [Buffer];
  expect(answer.toString()).toContain('101');
  const websocketGone = once(websocket, 'close');
  expect(await rig.end()).toEqual({ code: 0, signal: null });
  expect(await slow).toBe('cut');
  await websocketGone;
  await rig.line(({ message }) => String(message).includes('connections were cut'));
  await ledgerIsGood(rig, 'cut');
});

test.for(['SIGTERM', 'SIGINT'] as const)('a second %s ends at once', async (signal) => {
  const { rig, port, held } = await startSlow('24h');
  const slow = ask(port, '/slow').catch(() => 'cut');
  await held();
  rig.child.kill(signal);
  await draining(rig);
  expect(await rig.end(signal)).toEqual({ code: signal === 'SIGTERM' ? 143 : 130, signal: null });
  expect(await slow).toBe('cut');
  // What was recorded stays; only the orderly end is missing.
  expect(await verifyLedger(join(rig.folder, 'ledger.jsonl'))).toMatchObject({ ok: true });
});

test('`secretless stop` drains, waits and says so; a signal after it ends at once', async () => {
  const first = await startSlow('20s');
  const slow = ask(first.port, '/slow');
  const response = await first.held();
  const stopping = runCommand(first.rig.folder, ['stop', '--json']);
  await draining(first.rig);
  response.end('slow');
  expect(await slow).toMatchObject({ status: 200, body: 'slow' });
  expect(await first.rig.ended).toEqual({ code: 0, signal: null });
  const { pid } = first.rig.child;
  expect(await stopping).toEqual({ code: 0, err: '', out: `${JSON.stringify({ pid, ended: true })}\n` });

  const second = await startSlow('24h');
  const cut = ask(second.port, '/slow').catch(() => 'cut');
  await second.held();
  expect((await runCommand(second.rig.folder, ['stop', '--no-wait'])).code).toBe(0);
  await draining(second.rig);
  expect(await second.rig.end('SIGTERM')).toEqual({ code: 143, signal: null });
  expect(await cut).toBe('cut');
});

test('work on a listener that a reload removed is let end, also when the end of all follows', async () => {
  const { rig, port, held } = await startSlow('20s');
  const slow = ask(port, '/slow');
  const response = await held();
  const [before, after] = ['listenOn: tcp://127.0.0.1:0', `listenOn: unix://${rig.folder}/api.sock`];
  writeFileSync(rig.file, readFileSync(rig.file, 'utf8').replace(before, after));
  rig.child.kill('SIGHUP');
  await rig.line(({ message }) => message === 'configuration reloaded');
  await expect(ask(port, '/')).rejects.toThrow(/ECONNREFUSED/);
  expect((await ask(join(rig.folder, 'api.sock'), '/')).status).toBe(200);
  rig.child.kill('SIGTERM');
  await draining(rig);
  response.end('slow');
  expect(await slow).toMatchObject({ status: 200, body: 'slow' });
  expect(await rig.ended).toEqual({ code: 0, signal: null });
});
