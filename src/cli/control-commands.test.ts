import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openControl, type Control, type ControlHandlers } from '../sidecar/control.ts';
import { controlSocketPath } from '../sidecar/state.ts';
import { exampleStatus } from '../sidecar/testdata/example-status.ts';
import { openLog } from '../telemetry/log.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const log = openLog({ level: 'error', stream: { write: () => undefined } });

/** A state folder, with a sidecar behind its control socket where `handlers` are given. */
async function state(handlers?: Partial<ControlHandlers>): Promise<{ env: NodeJS.ProcessEnv; control?: Control }> {
  const folder = mkdtempSync(join(tmpdir(), 'cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const env = { SECRETLESS_HOME: folder };
  if (handlers === undefined) return { env };
  const all = { status: () => exampleStatus(), stop: () => undefined, reload: () => undefined, ...handlers };
  const control = await openControl({ path: controlSocketPath(env), handlers: all, log });
  onTestFinished(() => control.close());
  return { env, control };
}

async function run(env: NodeJS.ProcessEnv, line: string) {
  const io = recordedIo({ env });
  const code = await runCli(line.split(' '), io);
  return { code, out: io.out(), err: io.err() };
}

test('status shows the running sidecar', async () => {
  const { env } = await state({});
  expect(await run(env, 'status')).toMatchObject({
    code: 0,
    err: '',
    out: expect.stringContaining('tcp://127.0.0.1:8081'),
  });
  expect(JSON.parse((await run(env, 'status --json')).out)).toEqual(exampleStatus());
});

test.each(['status', 'stop'])('%s without a sidecar ends with 70 and says how to start one', async (name) => {
  const { env } = await state();
  const { code, out, err } = await run(env, name);
  expect({ code, out }).toEqual({ code: 70, out: '' });
  expect(err).toContain('start one with `secretless start');
});

test('status asks the socket it is given', async () => {
  const { control } = await state({});
  expect((await run({ SECRETLESS_HOME: '/nowhere' }, `status --socket ${control!.path}`)).code).toBe(0);
});

test('stop returns once the sidecar is gone', async () => {
  const { env, control } = await state({ stop: () => control!.close() });
  expect(await run(env, 'stop')).toEqual({ code: 0, out: 'stopped (pid 4242)\n', err: '' });
});

test('stop sees that a successor took the socket', async () => {
  let pid = 1;
  const { env } = await state({ status: () => exampleStatus({ pid }), stop: () => void (pid = 2) });
  expect(await run(env, 'stop --json')).toMatchObject({ code: 0, out: '{"pid":1,"ended":true}\n' });
});

test('stop of a sidecar that does not end in time fails', async () => {
  const { env } = await state({});
  expect(await run(env, 'stop --timeout 0')).toEqual({ code: 70, out: 'stopping (pid 4242)\n', err: '' });
});

test('stop --no-wait returns while it drains', async () => {
  const { env } = await state({});
  expect(await run(env, 'stop --no-wait')).toMatchObject({ code: 0, out: 'stopping (pid 4242)\n' });
});

test('wait-ready returns as soon as the sidecar is ready', async () => {
  let asked = 0;
  const { env } = await state({
    status: () => exampleStatus((asked += 1) < 3 ? { ready: false, reasons: ['starting'] } : {}),
  });
  expect(await run(env, 'wait-ready')).toEqual({ code: 0, out: 'ready\n', err: '' });
  expect(asked).toBe(3);
});

test('wait-ready ends with 70 and the reason when the time is over', async () => {
  const { env } = await state({ status: () => exampleStatus({ ready: false, reasons: ['the ledger cannot record'] }) });
  expect(await run(env, 'wait-ready --timeout 0')).toEqual({
    code: 70,
    out: '',
    err: 'secretless: not ready in time: the ledger cannot record\n',
  });
  expect((await run(env, 'wait-ready --timeout 0 --json')).out).toBe(
    '{"ready":false,"reasons":["the ledger cannot record"]}\n',
  );
});

test('wait-ready waits for a sidecar that has not begun yet', async () => {
  const { env } = await state();
  const waiting = run(env, 'wait-ready --timeout 20');
  const handlers = { status: () => exampleStatus(), stop: () => undefined, reload: () => undefined };
  const control = await openControl({ path: controlSocketPath(env), handlers, log });
  onTestFinished(() => control.close());
  expect((await waiting).code).toBe(0);
});

test('a timeout that is no number is a usage error', async () => {
  expect((await run({}, 'wait-ready --timeout soon')).code).toBe(64);
});
