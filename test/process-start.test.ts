import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, complete, freePorts, ledgerLines, runCommand, startProcess, stateFolder } from './process-rig.ts';
import { exists, startUpstream } from './rig.ts';

function api(listenOn: string, target: number): string {
  return `
services:
  api:
    connector: http
    listenOn: ${listenOn}
    target: http://127.0.0.1:${target}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`;
}

/** Fails where somebody listens on it, or holds it otherwise. */
async function bind(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  await once(server.close(), 'close');
}

test('a bad file ends the start with 78: every problem is told with its place, and no port was opened', async () => {
  const folder = stateFolder();
  const [first, second, third] = await freePorts(3);
  const yaml = `
services:
  good:
    connector: http
    listenOn: tcp://127.0.0.1:${first}
    target: https://api.example
    credentials: { token: one }
    config: { headers: { A: "{{ .token }}" } }
  bad:
    connector: htp
    listenOn: tcp://127.0.0.1:${second}
    credentials: { token: one }
  worse:
    connector: http
    listenOn: tcp://127.0.0.1:99999
    tagret: https://api.example
    credentials: { token: one }
telemetry: { listenOn: "tcp://127.0.0.1:${third}" }
ledgr: {}
`;
  const rig = startProcess(yaml, { folder });
  expect(await rig.ended).toEqual({ code: 78, signal: null });
  const told = rig.stderr();
  for (const word of ['htp', 'port from 0 to 65535', 'tagret', 'ledgr'])
    expect(told).toMatch(new RegExp(`secretless\\.yml:\\d+:\\d+:.*${word}`));
  await Promise.all([first, second, third].map((port) => bind(port!)));
  expect(exists(join(folder, 'control.sock'))).toBe(false);
  expect(exists(join(folder, 'ledger.jsonl'))).toBe(false);
});

test('a port that is taken ends the start with 78, names the address, and leaves nothing open', async () => {
  const upstream = await startUpstream();
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  onTestFinished(() => void holder.close());
  const { port } = holder.address() as AddressInfo;
  const [free] = await freePorts(1);
  const yaml = api(`["tcp://127.0.0.1:${free}", "tcp://127.0.0.1:${port}"]`, upstream.port);
  const rig = startProcess(yaml, { env: { API_TOKEN: canary() } });
  expect(await rig.ended).toEqual({ code: 78, signal: null });
  expect(rig.stderr()).toContain(`tcp://127.0.0.1:${port}`);
  expect(rig.stderr()).toContain('EADDRINUSE');
  await bind(free!);
  expect(exists(join(rig.folder, 'control.sock'))).toBe(false);
});

test('a second sidecar on the same state folder is refused and told of the first, which runs on', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const env = { API_TOKEN: canary() };
  const first = startProcess(api('tcp://127.0.0.1:0', upstream.port), { folder, env });
  await first.ready();
  const second = startProcess(api('tcp://127.0.0.1:0', upstream.port), { folder, env });
  expect((await second.ended).code).toBe(78);
  expect(second.stderr()).toMatch(/control\.sock is in use by a running process/);
  // With a control socket of its own it is the ledger that tells.
  const words = ['start', '-f', join(folder, 'third.yml')];
  writeFileSync(
    join(folder, 'third.yml'),
    complete(`${api('tcp://127.0.0.1:0', upstream.port)}control: { socket: third.sock }\n`),
  );
  const third = await runCommand(folder, words, { env });
  expect(third.code).not.toBe(0);
  expect(third.err).toContain(`process ${first.child.pid} writes this ledger`);
  expect((await ask(await first.port('api'), '/')).status).toBe(200);
  expect((await first.control.status()).pid).toBe(first.child.pid);
});

test('without -f the file is looked for here, then at home', async () => {
  const upstream = await startUpstream();
  const env = { API_TOKEN: canary() };
  const [home, here, nowhere] = [stateFolder(), stateFolder(), stateFolder()];
  writeFileSync(join(home, '.secretless.yml'), complete(api('tcp://127.0.0.1:0', upstream.port)));
  const fromHome = startProcess('services: {}', { words: ['start'], cwd: nowhere, env: { ...env, HOME: home } });
  expect(await fromHome.line(({ message }) => message === 'ready')).toMatchObject({
    file: join(home, '.secretless.yml'),
  });
  writeFileSync(join(here, 'secretless.yml'), complete(api('tcp://127.0.0.1:0', upstream.port)));
  const fromHere = startProcess('services: {}', { words: ['start'], cwd: here, env: { ...env, HOME: home } });
  expect(await fromHere.line(({ message }) => message === 'ready')).toMatchObject({
    file: join(here, 'secretless.yml'),
  });
  if (exists('/etc/secretless.yml')) return;
  const none = await runCommand(nowhere, ['start'], { env: { HOME: nowhere } });
  expect(none).toMatchObject({ code: 78, err: expect.stringContaining('/etc/secretless.yml') });
});

test('Unix sockets are private, and a stale one is replaced', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const state = join(folder, 'made', 'state');
  const socket = join(folder, 'sockets', 'api.sock');
  const env = { API_TOKEN: canary(), SECRETLESS_HOME: state };
  const start = () => startProcess(api(`"unix://${socket}"`, upstream.port), { folder, env });
  const first = start();
  await first.ready();
  expect((await ask(socket, '/')).status).toBe(200);
  const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  expect(modeOf(state)).toBe('700');
  for (const path of [socket, join(state, 'control.sock'), join(state, 'ledger.jsonl')])
    expect(modeOf(path)).toBe('600');
  await first.end('SIGKILL');
  expect(exists(socket)).toBe(true);
  const second = start();
  await second.ready();
  expect((await ask(socket, '/')).status).toBe(200);
  expect((await second.end()).code).toBe(0);
  expect([exists(socket), exists(join(state, 'control.sock'))]).toEqual([false, false]);
});

test('what is no socket is left where it is', async () => {
  const folder = stateFolder();
  const path = join(folder, 'precious');
  writeFileSync(path, 'precious');
  const rig = startProcess(api(`"unix://${path}"`, 9), { folder, env: { API_TOKEN: canary() } });
  expect((await rig.ended).code).toBe(78);
  expect(rig.stderr()).toContain('exists and is not a socket');
  expect(statSync(path).size).toBe(8);
});

test('it does not call itself ready before it listens', async () => {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const sockets = Array.from({ length: 50 }, (_, at) => `"unix://${folder}/${at}.sock"`);
  const rig = startProcess(api(`[${sockets.join()}]`, upstream.port), { folder, env: { API_TOKEN: canary() } });
  let over = false;
  void rig.ended.then(() => (over = true));
  for (;;) {
    const status = await rig.control.status().catch(() => undefined);
    if (status?.ready === true) {
      expect(status.listeners).toHaveLength(50);
      expect(status.telemetry.address).toBeDefined();
      break;
    }
    if (status !== undefined) expect(status.reasons).toContain('starting');
    expect(over, rig.stderr()).toBe(false);
  }
});

/** Starts on a FIFO: it cannot get beyond its file before `feed`. Resolves when it waits there. */
async function startOnFifo(upstream: number) {
  const folder = stateFolder();
  const fifo = join(folder, 'fifo.yml');
  execFileSync('mkfifo', [fifo]);
  const words = ['start', '-f', fifo];
  const rig = startProcess('services: {}', { folder, words, env: { API_TOKEN: canary() } });
  // Opening for writing ends when somebody has opened for reading (fifo(7)).
  const opened = (): Promise<FileHandle> => open(fifo, 'w');
  const feed = async (handle: FileHandle): Promise<void> => {
    await handle.writeFile(complete(api('tcp://127.0.0.1:0', upstream)));
    await handle.close();
  };
  return { rig, opened, feed };
}

test('a reload that is asked for before it is ready is done after the start', async () => {
  const upstream = await startUpstream();
  const { rig, opened, feed } = await startOnFifo(upstream.port);
  const handle = await opened();
  rig.child.kill('SIGHUP');
  await feed(handle);
  // Its first reading of the file is over, or the second text would be read as more of the first.
  await rig.ready();
  await feed(await opened());
  expect(await rig.line(({ message }) => message === 'configuration reloaded')).toMatchObject({ services: 1 });
  expect((await ask(await rig.port('api'), '/')).status).toBe(200);
});

test('a SIGTERM that comes before it is ready ends it in order', async () => {
  const upstream = await startUpstream();
  const { rig, opened, feed } = await startOnFifo(upstream.port);
  const handle = await opened();
  rig.child.kill('SIGTERM');
  await feed(handle);
  expect(await rig.ended).toEqual({ code: 0, signal: null });
  expect(ledgerLines(rig.folder).at(-1)).toMatchObject({ type: 'sidecar.stopped' });
});
