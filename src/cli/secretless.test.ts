import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { freePort } from './demo/ports.ts';
import { openControl } from '../sidecar/control.ts';
import type { SidecarStatus } from '../sidecar/state.ts';
import { exampleStatus } from '../sidecar/testdata/example-status.ts';
import { openLog } from '../telemetry/log.ts';

const ENTRY = fileURLToPath(new URL('./secretless.ts', import.meta.url));
const STATE = mkdtempSync(join(tmpdir(), 'entry-'));
const log = openLog({ level: 'error', stream: { write: () => undefined } });

afterAll(() => rmSync(STATE, { recursive: true }));

function start(nodeOptions: readonly string[], words: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [...nodeOptions, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], SECRETLESS_HOME: STATE, ...env },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function run(words: readonly string[], nodeOptions: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
  const child = start(['--conditions=secretless-source', ...nodeOptions], [ENTRY, ...words], env);
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  return { code: code as number, out, err };
}

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

test('the entry prints the version', async () => {
  expect(await run(['version'])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^secretless \d+\.\d+\.\d+/),
    err: '',
  });
});

test('the exit code reaches the shell', async () => {
  expect((await run(['sttus'])).code).toBe(64);
  expect((await run(['status'])).code).toBe(70);
});

test('an inspector on the command line or in the environment is refused', async () => {
  const line = await run(['version'], ['--inspect=0']);
  expect(line).toMatchObject({ code: 78, out: '' });
  const environment = await run(['version'], [], { NODE_OPTIONS: '--inspect=0' });
  expect(environment).toMatchObject({ code: 78, out: '' });
});

test('an inspector that the operator allows is not refused', async () => {
  expect((await run(['version'], ['--inspect=0'], { SECRETLESS_ALLOW_INSPECT: '1' })).code).toBe(0);
});

test('SIGUSR1 does not open an inspector, even without --disable-sigusr1', async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'entry-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // Each question of the waiting child shows that it is up and that its event loop has turned.
  let ready = false;
  const questions = new EventEmitter();
  const status = (): SidecarStatus => {
    questions.emit('asked');
    return exampleStatus({ ready });
  };
  const handlers = { status, stop: () => undefined, reload: () => undefined };
  const control = await openControl({ path: join(folder, 'control.sock'), handlers, log });
  onTestFinished(() => control.close());
  const asked = once(questions, 'asked');
  const words = [ENTRY, 'wait-ready', '--timeout', '20'];
  const child = start(['--conditions=secretless-source', `--debug-port=127.0.0.1:${port}`], words, {
    SECRETLESS_HOME: folder,
  });
  const printed = text(child.stderr!);
  await asked;
  child.kill('SIGUSR1');
  for (let turn = 0; turn < 5; turn += 1) await once(questions, 'asked');
  expect(await isOpen(port)).toBe(false);
  const closed = once(child, 'close');
  ready = true;
  expect(await closed).toEqual([0, null]);
  expect(await printed).toBe('');
});

test('SIGUSR1 does open an inspector in a Node without the handler', async () => {
  const port = await freePort();
  const script = 'process.stdout.write("up"); setInterval(() => {}, 1000)';
  const child = start([`--debug-port=127.0.0.1:${port}`], ['-e', script]);
  await once(child.stdout!, 'data');
  child.kill('SIGUSR1');
  const [line] = (await once(child.stderr!, 'data')) as [Buffer];
  expect(line.toString()).toContain('Debugger listening');
  expect(await isOpen(port)).toBe(true);
});

test('a reader that goes away ends the command quietly', async () => {
  const child = start(['--conditions=secretless-source'], [ENTRY, 'version']);
  child.stdout!.destroy();
  const [err, [code]] = await Promise.all([text(child.stderr!), once(child, 'close')]);
  expect({ err, code: code as number }).toEqual({ err: '', code: 0 });
});
