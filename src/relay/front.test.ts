import { setTimeout as pause } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import type { SidecarError } from '../error.ts';
import { startRelay } from './testdata/rig.ts';
import { asking, onlyThis } from './testdata/toy.ts';

const YES = [{ id: 'yes', effect: 'allow' }] as const;
const NOT_SLEEP = [{ id: 'no', effect: 'deny', ssh: { commands: ['sleep'] } }, ...YES] as const;

test('a service may speak before its downstream does', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  expect(await agent.hears('toy\n')).toBe('toy\n');
});

test('a refusal that the listener makes comes in the protocol, and nothing may be asked for', async () => {
  const codes: string[] = [];
  const service = onlyThis(async (connection) => {
    for (const ask of [connection.authorize(asking('login'), () => ''), connection.admit(asking('exec'))]) {
      await ask.catch((error: SidecarError) => codes.push(error.code));
    }
    connection.downstream.end(`refused ${connection.refusal!.code}`);
    return {};
  });
  const rig = await startRelay({ service });
  rig.server.removeAllListeners('connection').on('connection', (socket) => {
    rig.front.turnAway(socket, 'connections-exhausted');
  });
  const agent = await rig.connect();
  await agent.hears('refused connections-exhausted');
  expect(codes).toEqual(['connections-exhausted', 'connections-exhausted']);
  expect(rig.events).toEqual([]);
});

test('refusals are bounded: beyond 64 at a time a connection is closed without a word', async () => {
  const service = onlyThis(async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return {};
  });
  const rig = await startRelay({ service });
  rig.server.removeAllListeners('connection').on('connection', (socket) => {
    rig.front.turnAway(socket, 'connections-exhausted');
  });
  const waiting = [];
  for (let count = 0; count < 64; count += 1) waiting.push(await rig.connect());
  const late = await rig.connect();
  await late.closed;
  expect(waiting.every(({ socket }) => !socket.destroyed && !socket.readableEnded)).toBe(true);
  // Whoever is refused and stays leaves room after five seconds.
  await Promise.all(waiting.map(({ closed }) => closed));
}, 10_000);

test('one that drains tells its connections, and they may still ask for more', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  rig.front.drain();
  await agent.hears('ending draining\n');
  expect(await agent.ask('run id')).toBe('ok 1');
  const late = await rig.connect();
  await late.hears('refused draining\n');
});

test('one that is closed cuts its connections', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('dial');
  rig.front.close();
  await agent.closed;
  await rig.over();
  await rig.noted({ type: 'connection.closed', reason: 'draining' });
  await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(0));
});

test('what is asked for after a reload is decided by the rules that were loaded', async () => {
  const rig = await startRelay({ rules: YES });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  rig.reload([
    { id: 'login-only', effect: 'allow', ssh: { users: ['git'], commands: ['id'] } },
    { id: 'rest', effect: 'deny' },
  ]);
  await agent.hears('ending grant-ended\n');
  expect(await agent.ask('run id')).toBe('error grant-ended');
  expect(rig.events.at(-1)).toMatchObject({ type: 'decision', result: 'deny', reason: 'grant-ended', command: 'id' });
});

test('a permission that ends ends its connection: told at once, cut when the time is over', async () => {
  const rig = await startRelay({ rules: YES, drainSeconds: 0.3 });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('run sleep');
  rig.reload(NOT_SLEEP);
  await agent.hears('ending grant-ended\n');
  expect(await agent.ask('run id')).toBe('error grant-ended');
  expect(await agent.ask('login hub')).toBe('error grant-ended');
  const begun = performance.now();
  await agent.closed;
  expect(performance.now() - begun).toBeLessThan(1500);
  await rig.over();
  expect(rig.events.slice(-2)).toMatchObject([
    { type: 'exchange.ended', command: 'sleep', result: 'error', reason: 'grant-ended' },
    { type: 'connection.closed', reason: 'grant-ended' },
  ]);
});

test('a permission that is over is not asked about any more', async () => {
  const rig = await startRelay({ rules: YES });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('run sleep');
  await agent.ask('end 1');
  rig.reload(NOT_SLEEP);
  expect(await agent.ask('run id')).toBe('ok 2');
  expect(await agent.ask('run sleep')).toBe('error policy-denied');
});

test.each([
  ['another agent has it', { toy: { principal: { agent: 'other', attested: 'listener' } } }],
  ['it is gone', { else: {} }],
  ['another connector has its name', { toy: { connector: 'another' } }],
  ['the address has no relay services any more', false],
] as const)('a connection ends after a reload where %s', async (_, bindings) => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  rig.reload(undefined, bindings);
  await agent.hears('ending grant-ended\n');
  expect(await agent.ask('login git')).toBe('error grant-ended');
});

test('whoever proved who it is stays that, whomever the listener belongs to after a reload', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('prove robot');
  await agent.ask('login git');
  rig.reload(undefined, { toy: { principal: { agent: 'other', attested: 'listener' } } });
  expect(await agent.ask('run id')).toBe('ok 1');
  expect(rig.events.at(-1)).toMatchObject({ principal: { agent: 'robot' } });
});

test('a connection of an agent that the service does not know any more ends after a reload', async () => {
  const rig = await startRelay();
  const [robot, nobody] = [await rig.connect(), await rig.connect()];
  await robot.hears('toy\n');
  await nobody.hears('toy\n');
  await robot.ask('prove robot');
  await robot.ask('login git');
  await nobody.ask('login git');
  const knows = (agent: string): boolean => agent === 'another';
  rig.reload(undefined, { toy: { instance: { ...onlyThis(async () => ({})), knows } } });
  await robot.hears('ending grant-ended\n');
  expect(await robot.ask('run id')).toBe('error grant-ended');
  // One that was told by the listener proved nothing that could be taken back.
  expect(await nobody.ask('run id')).toBe('ok 1');
});

test('rules that change while the ledger is waited for still decide', async () => {
  let record = (): void => undefined;
  const gate = new Promise<void>((resolve) => (record = resolve));
  const rig = await startRelay({ rules: YES, record: () => gate });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  agent.send('run sleep\n');
  await pause(50);
  rig.reload(NOT_SLEEP);
  record();
  await agent.hears('error grant-ended\n');
  await rig.noted({ type: 'exchange.ended', command: 'sleep', reason: 'grant-ended' });
  expect(await agent.ask('run id')).toBe('ok 1');
});

test('a downstream that leaves while a lease is waited for gives it back', async () => {
  const rig = await startRelay({ record: () => pause(100) });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  agent.send('login git\n');
  await vi.waitFor(() => expect(rig.leases.open).toBe(1));
  agent.socket.resetAndDestroy();
  await rig.over();
  await vi.waitFor(() => expect(rig.leases.open).toBe(0));
});

test('permissions are looked at again every fifteen seconds, since a window of time may close', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
  try {
    const now = new Date();
    vi.setSystemTime(new Date('2026-01-05T12:00:00Z'));
    const rig = await startRelay({ rules: [{ id: 'day', effect: 'allow', time: { from: '08:00', to: '18:00' } }] });
    const agent = await rig.connect();
    await agent.hears('toy\n');
    await agent.ask('login git');
    vi.setSystemTime(new Date('2026-01-05T18:00:00Z'));
    vi.advanceTimersByTime(15_000);
    await agent.hears('ending grant-ended\n');
    vi.setSystemTime(now);
  } finally {
    vi.useRealTimers();
  }
});
