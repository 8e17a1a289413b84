import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyLedger } from '../src/ledger/verify.ts';
import { canary } from './canary.ts';
import {
  ask,
  complete,
  freePorts,
  KeptConnection,
  ledgerLines,
  startProcess,
  stateFolder,
  type LogLine,
  type ProcessRig,
} from './process-rig.ts';
import { startUpstream, type TestUpstream } from './rig.ts';

const RELOADS = 100;

interface Plan {
  readonly upstream: number;
  readonly ports: readonly [number, number, number];
  readonly mark: number;
}

/** `api` stays; `limited` has a rate; `extra` is there only with an even mark. */
function configuration({ upstream, ports, mark }: Plan): string {
  const service = (name: string, port: number, header: string): string =>
    [
      `  ${name}:`,
      '    connector: http',
      `    listenOn: tcp://127.0.0.1:${port}`,
      `    target: http://127.0.0.1:${upstream}`,
      '    credentials: { token: { from: env, get: API_TOKEN } }',
      `    config: { headers: { X-Api-Key: "{{ .token }}", X-Mark: "${header}" } }`,
    ].join('\n');
  return complete(
    [
      'services:',
      service('api', ports[0], String(mark)),
      service('limited', ports[1], 'limited'),
      ...(mark % 2 === 0 ? [service('extra', ports[2], 'extra')] : []),
      'rules:',
      '  - { id: few, effect: allow, services: [limited], rate: { perMinute: 5 } }',
      '  - { id: rest, effect: allow, services: [api, extra] }',
    ].join('\n'),
  );
}

interface BadFile {
  readonly name: string;
  readonly spoil: (good: string) => string;
  /** What the log must name: the problem, and where it is. */
  readonly names: RegExp;
}

const BAD_FILES: readonly BadFile[] = [
  {
    name: 'an unknown key',
    spoil: (good) => good.replace('    target:', '    tagret:'),
    names: /secretless\.yml:6:5:.*tagret.*target/s,
  },
  { name: 'bad YAML', spoil: (good) => good.replace('services:', 'services: ['), names: /secretless\.yml:\d+:\d+:/ },
  {
    name: 'an unknown connector',
    spoil: (good) => good.replace('connector: http', 'connector: htttp'),
    names: /secretless\.yml:4:16:.*htttp.*http/s,
  },
  {
    name: 'a missing variable',
    spoil: (good) => good.replace('target: http://127.0.0.1', 'target: http://${NOT_SET}'),
    names: /secretless\.yml:6:\d+:.*NOT_SET/s,
  },
  {
    name: 'a half-written file',
    spoil: (good) => good.slice(0, good.indexOf('headers:') + 12),
    names: /secretless\.yml:\d+:\d+:/,
  },
];

function marks({ requests }: TestUpstream): (string | undefined)[] {
  return requests.map(({ headers }) => headers['x-mark'] as string | undefined);
}

/** The outcome of the reload that `act` asks for. */
async function reloaded(rig: ProcessRig, act: () => void): Promise<LogLine> {
  const from = rig.log.length;
  act();
  return rig.line(({ message }) => /^(configuration reloaded|reload refused)/.test(String(message)), from);
}

interface Loader {
  readonly failures: string[];
  readonly requests: () => number;
  stop(): Promise<void>;
}

/** Requests without a pause: on kept connections, and on a new one each. */
function loadOn(port: number, kept: number): Loader {
  const failures: string[] = [];
  let requests = 0;
  let stopped = false;
  const loop = async (askOnce: () => Promise<{ status: number }>): Promise<void> => {
    while (!stopped) {
      requests += 1;
      const status = await askOnce().then(
        (answer) => answer.status,
        (error: Error) => error.message,
      );
      if (status !== 200) failures.push(String(status));
    }
  };
  const connections = Array.from({ length: kept }, () => new KeptConnection(port));
  const loops = [...connections.map((each) => loop(() => each.ask('/load'))), loop(() => ask(port, '/load'))];
  const stop = async (): Promise<void> => {
    stopped = true;
    await Promise.all(loops);
    for (const each of connections) if (each.sockets.size !== 1) failures.push('a kept connection was cut');
  };
  return { failures, requests: () => requests, stop };
}

test(`${RELOADS} reloads under load, half of them bad files: no request fails, and each does what its file says or nothing`, async () => {
  const upstream = await startUpstream();
  const [first, second, third] = await freePorts(3);
  const plan = { upstream: upstream.port, ports: [first!, second!, third!] as const };
  const rig = startProcess(configuration({ ...plan, mark: 0 }), { env: { API_TOKEN: canary() } });
  await rig.ready();
  const early = new KeptConnection(first!);
  expect((await early.ask('/early')).status).toBe(200);
  const limited = async (): Promise<number> => (await ask(second!, '/limited')).status;
  expect([await limited(), await limited(), await limited()]).toEqual([200, 200, 200]);
  const load = loadOn(first!, 4);
  let mark = 0;
  for (let round = 1; round <= RELOADS; round += 1) {
    const bad = round % 2 === 1 ? BAD_FILES[((round - 1) / 2) % BAD_FILES.length]! : undefined;
    if (bad === undefined) mark = round % 4 === 0 ? round : round + 1;
    const text = configuration({ ...plan, mark: bad === undefined ? mark : 1000 + round });
    writeFileSync(rig.file, bad?.spoil(text) ?? text);
    const line = await reloaded(rig, () => rig.child.kill('SIGHUP'));
    if (bad === undefined) expect(line, `round ${round}`).toMatchObject({ message: 'configuration reloaded' });
    else expect(JSON.stringify(line), bad.name).toMatch(bad.names);
    const seen = upstream.requests.length;
    expect((await early.ask('/probe')).status).toBe(200);
    const probe = upstream.requests.slice(seen).find(({ url }) => url === '/probe')!;
    expect(probe.headers['x-mark'], `round ${round}`).toBe(String(mark));
    const extra = await ask(third!, '/extra').then(
      ({ status }) => status,
      () => 'refused',
    );
    expect(extra, `round ${round}`).toBe(mark % 2 === 0 ? 200 : 'refused');
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.requests()).toBeGreaterThan(RELOADS);
  expect(early.sockets.size).toBe(1);
  // Three of five uses were before the reloads.
  expect([await limited(), await limited(), await limited()]).toEqual([200, 200, 429]);
  expect(new Set(marks(upstream)).size).toBeGreaterThan(RELOADS / 4);
  const metrics = await (await fetch(`${await rig.telemetry()}/metrics`)).text();
  expect(metrics).toContain(`secretless_reloads_total{outcome="ok"} ${RELOADS / 2}`);
  expect(metrics).toContain(`secretless_reloads_total{outcome="failed"} ${RELOADS / 2}`);
  expect(await rig.end()).toEqual({ code: 0, signal: null });
  expect(ledgerLines(rig.folder).filter(({ type }) => type === 'config.reloaded')).toHaveLength(RELOADS);
  expect(await verifyLedger(join(rig.folder, 'ledger.jsonl'))).toMatchObject({ ok: true });
  process.stdout.write(`reloads: ${RELOADS}, half of them bad, ${load.requests()} requests meanwhile, 0 failed\n`);
}, 90_000);

/** One service whose upstream sees the mark. */
function small(upstream: TestUpstream, folder: string, mark: string): string {
  return complete(
    [
      'services:',
      '  api:',
      '    connector: http',
      `    listenOn: unix://${folder}/api.sock`,
      `    target: http://127.0.0.1:${upstream.port}`,
      '    credentials: { token: { from: env, get: API_TOKEN } }',
      `    config: { headers: { X-Api-Key: "{{ .token }}", X-Mark: ${mark} } }`,
    ].join('\n'),
  );
}

async function markSeen(rig: ProcessRig, upstream: TestUpstream): Promise<unknown> {
  expect((await ask(join(rig.folder, 'api.sock'), '/')).status).toBe(200);
  return marks(upstream).at(-1);
}

const GOOD = { message: 'configuration reloaded' };
const BAD = { message: 'reload refused, the old configuration runs on' };

test('--watch takes a file that is written in place, and one that an editor puts in its place', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const file = join(folder, 'secretless.yml');
  const words = ['start', '-f', file, '--watch'];
  const rig = startProcess(small(upstream, folder, 'one'), { folder, words, env: { API_TOKEN: canary() } });
  await rig.ready();
  expect(await markSeen(rig, upstream)).toBe('one');
  expect(await reloaded(rig, () => writeFileSync(file, small(upstream, folder, 'two')))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('two');
  const aside = join(folder, '.secretless.yml.swp');
  writeFileSync(aside, small(upstream, folder, 'three'));
  expect(await reloaded(rig, () => renameSync(aside, file))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('three');
  expect(await reloaded(rig, () => writeFileSync(file, 'services: ['))).toMatchObject(BAD);
  expect(await markSeen(rig, upstream)).toBe('three');
  expect(await reloaded(rig, () => writeFileSync(file, small(upstream, folder, 'four')))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('four');
  expect(await rig.end()).toEqual({ code: 0, signal: null });
});

test('--watch takes a ConfigMap that Kubernetes swaps by its symlink', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const mount = join(folder, 'etc');
  const version = (name: string): void => {
    mkdirSync(join(mount, name), { recursive: true });
    writeFileSync(join(mount, name, 'app.yml'), small(upstream, folder, name.slice(2)));
    symlinkSync(name, join(mount, '..data_tmp'));
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
  };
  version('..one');
  symlinkSync('..data/app.yml', join(mount, 'app.yml'));
  const words = ['start', '-f', join(mount, 'app.yml'), '--watch'];
  const rig = startProcess('services: {}', { folder, words, env: { API_TOKEN: canary() } });
  await rig.ready();
  expect(await markSeen(rig, upstream)).toBe('one');
  expect(await reloaded(rig, () => version('..two'))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('two');
  expect(await reloaded(rig, () => version('..three'))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('three');
});

test('without --watch a changed file waits for a signal', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const rig = startProcess(small(upstream, folder, 'one'), { folder, env: { API_TOKEN: canary() } });
  await rig.ready();
  writeFileSync(rig.file, small(upstream, folder, 'two'));
  expect(await markSeen(rig, upstream)).toBe('one');
  expect(await reloaded(rig, () => rig.child.kill('SIGHUP'))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('two');
});

test('SIGUSR1 reloads and opens no inspector, and SIGUSR2 does nothing', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const [debugPort] = await freePorts(1);
  const env = { API_TOKEN: canary(), NODE_OPTIONS: `--debug-port=127.0.0.1:${debugPort}` };
  const rig = startProcess(small(upstream, folder, 'one'), { folder, env });
  await rig.ready();
  rig.child.kill('SIGUSR2');
  writeFileSync(rig.file, small(upstream, folder, 'two'));
  expect(await reloaded(rig, () => rig.child.kill('SIGUSR1'))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('two');
  expect(await isOpen(debugPort!)).toBe(false);
  expect(rig.stderr()).not.toContain('Debugger');
  // Neither a heap snapshot nor a report, which both would hold the credential.
  expect(readdirSync(folder).filter((name) => /heapsnapshot|report/i.test(name))).toEqual([]);
});

test('under --disable-sigusr1 Node holds SIGUSR1 back: no inspector, no reload, and SIGHUP still reloads', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const [debugPort] = await freePorts(1);
  const env = { API_TOKEN: canary(), NODE_OPTIONS: `--debug-port=127.0.0.1:${debugPort}` };
  const nodeOptions = ['--disable-sigusr1', '--conditions=secretless-source'];
  const rig = startProcess(small(upstream, folder, 'one'), { folder, env, nodeOptions });
  await rig.ready();
  rig.child.kill('SIGUSR1');
  expect(await markSeen(rig, upstream)).toBe('one');
  expect(await isOpen(debugPort!)).toBe(false);
  writeFileSync(rig.file, small(upstream, folder, 'two'));
  expect(await reloaded(rig, () => rig.child.kill('SIGHUP'))).toMatchObject(GOOD);
  expect(await markSeen(rig, upstream)).toBe('two');
});

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
