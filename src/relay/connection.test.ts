import { setTimeout as pause } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { SidecarError } from '../error.ts';
import { startRelay } from './testdata/rig.ts';
import { asking, onlyThis } from './testdata/toy.ts';

test('a login leads upstream, the downstream never hears the secret, and all is on record', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('login git')).toBe('ok login');
  expect(rig.events).toMatchObject([
    { type: 'decision', result: 'allow', request: 'login', user: 'git', upstream: 'toy://up' },
  ]);
  expect(Object.keys((rig.events[0] as { credentials: object }).credentials)).toEqual(['password']);
  expect(await agent.ask('dial')).toBe('ok dialled echo');
  expect(await agent.ask('release 0')).toBe('ok released');
  expect(rig.leases.open).toBe(0);
  await agent.ask('working');
  await agent.ask('working');
  agent.socket.write('quit\n');
  await agent.closed;
  await rig.over();
  expect(rig.events.at(-1)).toMatchObject({
    type: 'connection.closed',
    result: 'allow',
    service: 'toy',
    listener: 'tcp://toy',
    exchanges: 1,
    bytesDown: 7,
  });
  expect(rig.outcomes).toEqual(['ok']);
  expect(agent.text()).not.toContain('swordfish');
  expect(rig.events).toHaveLength(2);
});

test('nothing is dialled before policy said yes, also where it was asked and said no', async () => {
  const rig = await startRelay({ rules: [{ id: 'no', effect: 'deny' }] });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('dial')).toBe('error internal');
  expect(await agent.ask('login git')).toBe('error policy-denied');
  expect(await agent.ask('dial')).toBe('error internal');
  expect(await agent.ask('run id')).toBe('error policy-denied');
  expect(rig.upstreamSockets.size).toBe(0);
  expect(rig.events).toMatchObject([
    { type: 'decision', result: 'deny', rule: 'no', user: 'git' },
    { type: 'decision', result: 'deny', rule: 'no', command: 'id' },
  ]);
});

test('a refusal is on record before the connector hears of it', async () => {
  let recorded = (): void => undefined;
  const gate = new Promise<void>((resolve) => (recorded = resolve));
  const rig = await startRelay({ rules: [], record: () => gate });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  agent.send('run id\n');
  await pause(50);
  expect(agent.text()).toBe('toy\n');
  recorded();
  await agent.hears('error policy-denied\n');
});

test('what is admitted is one event when it begins and one when it is over, with what became of it', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  expect(await agent.ask('run uptime -p')).toBe('ok 1');
  expect(rig.events.at(-1)).toMatchObject({
    type: 'decision',
    result: 'allow',
    request: 'exec',
    command: 'uptime -p',
    upstream: 'toy://up',
    credentials: {},
  });
  await agent.ask('end 1 3 10 20');
  await agent.ask('end 1 4 11 21');
  const ended = {
    type: 'exchange.ended',
    request: 'exec',
    command: 'uptime -p',
    status: 3,
    bytesUp: 10,
    bytesDown: 20,
  };
  expect(rig.events.slice(2)).toMatchObject([ended]);
  await agent.ask('run sleep');
  agent.socket.destroy();
  await rig.over();
  expect(rig.events.slice(4)).toMatchObject([
    { type: 'exchange.ended', command: 'sleep', result: 'allow', bytesUp: 0 },
    { type: 'connection.closed', exchanges: 3 },
  ]);
});

test('the end of a loan is on record only where it has an outcome', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  for (const user of ['a', 'b', 'c']) await agent.ask(`login ${user}`);
  expect(rig.leases.open).toBe(3);
  await agent.ask('logout 0');
  await agent.ask('logout 1 0 5 6');
  expect(rig.leases.open).toBe(1);
  agent.socket.destroy();
  await rig.over();
  expect(rig.leases.open).toBe(0);
  const ends = rig.events.filter(({ type }) => type === 'exchange.ended');
  expect(ends).toMatchObject([{ user: 'b', status: 0, bytesUp: 5, bytesDown: 6 }]);
});

test('a ledger that cannot record refuses the use, and what it lends goes back', async () => {
  const rig = await startRelay({ record: () => Promise.reject(new SidecarError('ledger-unavailable')) });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('login git')).toBe('error ledger-unavailable');
  expect(await agent.ask('run id')).toBe('error ledger-unavailable');
  expect(await agent.ask('dial')).toBe('error internal');
  expect(rig.leases.open).toBe(0);
  agent.socket.destroy();
  await rig.over();
  expect(rig.events).toEqual([]);
});

test('a refused credential is asked for anew once, on the same permission', async () => {
  const rig = await startRelay({ cacheSeconds: 60, passwords: ['stale', 'fresh', 'fresher'] });
  const first = await rig.connect();
  await first.hears('toy\n');
  await first.ask('login git');
  expect(await first.ask('relogin 0')).toBe('ok none');
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('login hub');
  expect(await agent.ask('relogin 0')).toBe('ok another 2');
  expect(await agent.ask('relogin 0')).toBe('error internal');
  expect(await agent.ask('relogin 2')).toBe('ok none');
  await agent.ask('release 0');
  await agent.ask('logout 0 0 1 1');
  expect(rig.leases.open).toBe(3);
  await agent.ask('logout 2 0 1 1');
  expect(await agent.ask('relogin 2')).toBe('error internal');
  expect(rig.leases.open).toBe(2);
  const uses = rig.events.filter(({ type }) => type === 'decision') as { user: string }[];
  expect(uses.map(({ user }) => user)).toEqual(['git', 'git', 'hub', 'git']);
  expect(rig.events.filter(({ type }) => type === 'exchange.ended')).toHaveLength(1);
});

test('a credential that another connection had renewed is not asked for once more', async () => {
  const rig = await startRelay({ cacheSeconds: 60, passwords: ['stale', 'fresh', 'fresher'] });
  const agents = [await rig.connect(), await rig.connect(), await rig.connect()] as const;
  for (const agent of agents) {
    await agent.hears('toy\n');
    await agent.ask('login git');
  }
  expect(await agents[1].ask('relogin 0')).toBe('ok another 1');
  expect(await agents[2].ask('relogin 0')).toBe('ok another 1');
  expect(await agents[2].ask('relogin 1')).toBe('ok none');
  expect(rig.leases.fetches).toBe(2);
});

test('a loan of another connection, or one made up, is none', async () => {
  const forged = { credentials: undefined as never, version: '', release: () => undefined, end: () => undefined };
  const codes: string[] = [];
  const service = onlyThis(async (connection) => {
    await connection.reauthorize(forged).catch((error: SidecarError) => codes.push(error.code));
    return {};
  });
  const rig = await startRelay({ service });
  await (
    await rig.connect()
  ).closed;
  expect(codes).toEqual(['internal']);
});

test('who asks and for which service is settled with the first question to policy', async () => {
  const rig = await startRelay({ bindings: { alpha: {}, beta: {}, gamma: { connector: 'another' } } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('who')).toBe('ok alpha local alpha,beta,gamma');
  expect(await agent.ask('choose delta')).toBe('ok false');
  expect(await agent.ask('choose gamma')).toBe('ok false');
  expect(await agent.ask('prove robot')).toBe('ok robot');
  expect(await agent.ask('choose beta')).toBe('ok true');
  expect(await agent.ask('who')).toBe('ok beta robot alpha,beta,gamma');
  await agent.ask('login git');
  expect(await agent.ask('prove eve')).toBe('error internal');
  expect(await agent.ask('choose alpha')).toBe('error internal');
  expect(rig.events).toMatchObject([{ service: 'beta', principal: { agent: 'robot', attested: 'key' } }]);
});

test('who asks is settled also by a question that policy answers with no', async () => {
  const rig = await startRelay({ rules: [] });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('run id');
  expect(await agent.ask('prove eve')).toBe('error internal');
});

test('an upstream beyond the limit of the service is not dialled, and one that is closed counts no more', async () => {
  const rig = await startRelay({ bindings: { toy: { upstreamConnections: 1 } } });
  const agents = [await rig.connect(), await rig.connect()] as const;
  for (const agent of agents) {
    await agent.hears('toy\n');
    await agent.ask('login git');
  }
  expect(await agents[0].ask('dial')).toBe('ok dialled echo');
  expect(await agents[1].ask('dial')).toBe('error connections-exhausted');
  agents[0].socket.destroy();
  await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(0));
  expect(await agents[1].ask('dial')).toBe('ok dialled echo');
});

test('a downstream that leaves aborts the signal, and what was dialled is closed though the connector forgets it', async () => {
  const reasons: string[] = [];
  let dialled = (): void => undefined;
  const ready = new Promise<void>((resolve) => (dialled = resolve));
  const rig = await startRelay({
    bindings: {
      toy: {
        instance: onlyThis(async (connection) => {
          await connection.authorize(asking('login'), () => 'toy://up');
          await connection.dial({ host: '127.0.0.1', port: rig.upstreamPort });
          dialled();
          connection.downstream.resume();
          await new Promise((resolve) => connection.signal.addEventListener('abort', resolve));
          reasons.push((connection.signal.reason as SidecarError).code);
          return {};
        }),
      },
    },
  });
  const agent = await rig.connect();
  await ready;
  await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(1));
  agent.socket.resetAndDestroy();
  await rig.over();
  expect(reasons).toEqual(['downstream-closed']);
  await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(0));
});

test('a connector that never ends is left behind, and lets go of its configuration', async () => {
  const rig = await startRelay({ service: onlyThis(() => new Promise(() => undefined)) });
  const agent = await rig.connect();
  await vi.waitFor(() => expect(rig.counts.running).toBe(1));
  agent.socket.resetAndDestroy();
  await vi.waitFor(() => expect(rig.counts.running).toBe(0), { timeout: 7000 });
  expect(rig.logged.join('')).toContain('the connector did not end');
}, 10_000);

test('what a connector throws ends its connection, with its name in the log and no word downstream', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  agent.send('throw\n');
  await agent.closed;
  await rig.over();
  expect(agent.text()).toBe('toy\nok login\n');
  expect(rig.outcomes).toEqual(['internal']);
  expect(rig.logged.join('')).toMatch(/"level":"warn".*the toy broke.*login failed/);
  expect(rig.events.at(-1)).toMatchObject({ type: 'connection.closed', result: 'error', reason: 'internal' });
});

test('an error of the end goes to the log and to the ledger, and to the metrics where the login was not over', async () => {
  const rig = await startRelay();
  for (const [first, result] of [
    ['who', 'error'],
    ['working', 'allow'],
  ] as const) {
    const agent = await rig.connect();
    await agent.hears('toy\n');
    await agent.ask('login git');
    await agent.ask(first);
    agent.send('quit upstream-closed\n');
    await agent.closed;
    await rig.over();
    expect(rig.events.at(-1)).toMatchObject({ type: 'connection.closed', result, reason: 'upstream-closed' });
  }
  expect(rig.outcomes).toEqual(['upstream', 'ok']);
  expect(rig.logged.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
    'login failed',
    'connection failed',
  ]);
});

test('a connection that asked for nothing leaves no line in the ledger', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  agent.socket.destroy();
  await rig.over();
  expect(rig.events).toEqual([]);
});

test('permissions that are never ended are bounded', async () => {
  const codes: string[] = [];
  const service = onlyThis(async (connection) => {
    const held = [];
    for (let count = 0; count < 4096; count += 1) held.push(await connection.admit(asking('exec')));
    await connection.admit(asking('exec')).catch((error: SidecarError) => codes.push(error.code));
    held[0]!.end();
    await connection.admit(asking('exec'));
    return {};
  });
  const rig = await startRelay({ service });
  await (
    await rig.connect()
  ).closed;
  await rig.over();
  expect(codes).toEqual(['connections-exhausted']);
  expect(rig.logged).toEqual([]);
});

test('the host key is the one of the sidecar', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('key')).toBe('ok ed25519');
});

test('what the connector refuses by itself is on record as a refusal, and asks nobody', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('refuse sleep')).toBe('ok refused');
  expect(rig.events).toMatchObject([
    { type: 'decision', result: 'deny', reason: 'policy-denied: toy', request: 'exec', command: 'sleep' },
  ]);
  // Nothing was settled by it: it may be about who asks.
  expect(await agent.ask('prove robot')).toBe('ok robot');
});
