import type { Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import type { RelayPassage } from '../connector/relay.ts';
import type { SidecarError } from '../error.ts';
import { startRelay } from './testdata/rig.ts';
import { asking, onlyThis } from './testdata/toy.ts';

test('a way leads through another service, which policy is asked about as that service', async () => {
  const rig = await startRelay({ bindings: { toy: { via: 'bastion' } }, ways: { bastion: {} } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('prove robot');
  await agent.ask('login git');
  expect(await agent.ask('dial bastion')).toBe('ok dialled echo');
  expect(rig.events).toMatchObject([
    { service: 'toy', request: 'login' },
    {
      service: 'bastion',
      request: 'jump',
      destination: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
      principal: { agent: 'robot' },
      upstream: 'toy://way',
    },
  ]);
  agent.socket.resetAndDestroy();
  await rig.over();
  await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(0));
  expect(rig.leases.open).toBe(0);
});

test('a way that policy closes is not gone', async () => {
  const rules = [
    { id: 'no-way', effect: 'deny', services: ['bastion'] },
    { id: 'yes', effect: 'allow' },
  ] as const;
  const rig = await startRelay({ rules, bindings: { toy: { via: 'bastion' } }, ways: { bastion: {} } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  expect(await agent.ask('dial bastion')).toBe('error policy-denied');
  expect(rig.upstreamSockets.size).toBe(0);
});

test('a way that policy closes later ends the connection that goes it', async () => {
  const rules = [{ id: 'yes', effect: 'allow' }] as const;
  const rig = await startRelay({ rules, bindings: { toy: { via: 'bastion' } }, ways: { bastion: {} } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('dial bastion');
  rig.reload([{ id: 'no-way', effect: 'deny', services: ['bastion'] }, ...rules]);
  await agent.hears('ending grant-ended\n');
});

test('a connection ends after a reload where a service on its way is gone', async () => {
  const rig = await startRelay({ bindings: { toy: { via: 'bastion' } }, ways: { bastion: {} } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  await agent.ask('dial bastion');
  rig.reload(undefined, { toy: {} }, {});
  await agent.hears('ending grant-ended\n');
});

test('no way is gone but the one of the configuration', async () => {
  const rig = await startRelay({
    bindings: { alpha: {}, beta: { via: 'bastion' }, gamma: { via: 'wall' } },
    ways: { bastion: {}, wall: { instance: onlyThis(() => Promise.resolve({})) } },
  });
  for (const [service, via] of [
    ['alpha', 'bastion'],
    ['beta', 'alpha'],
    ['beta', 'nowhere'],
    ['gamma', 'wall'],
  ]) {
    const agent = await rig.connect();
    await agent.hears('toy\n');
    await agent.ask(`choose ${service}`);
    await agent.ask('login git');
    expect(await agent.ask(`dial ${via}`)).toBe('error internal');
  }
  expect(rig.upstreamSockets.size).toBe(0);
});

test('a way may have a way, four at most', async () => {
  const chain = (length: number) =>
    Object.fromEntries(
      Array.from({ length }, (_, at) => [`way${at + 1}`, at + 1 < length ? { via: `way${at + 2}` } : {}]),
    );
  for (const [length, answer] of [
    [4, 'ok dialled echo'],
    [5, 'error internal'],
  ] as const) {
    const rig = await startRelay({ bindings: { toy: { via: 'way1' } }, ways: chain(length), upstream: patient });
    const agent = await rig.connect();
    await agent.hears('toy\n');
    await agent.ask('login git');
    expect(await agent.ask('dial way1')).toBe(answer);
    agent.socket.resetAndDestroy();
    await rig.over();
    expect(rig.leases.open).toBe(0);
    await vi.waitFor(() => expect(rig.upstreamSockets.size).toBe(0));
  }
});

test('a service that is its own way is not followed for ever', async () => {
  const rig = await startRelay({ bindings: { toy: { via: 'toy' } } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  expect(await agent.ask('dial toy')).toBe('error internal');
});

test('connections that a way makes count for both services', async () => {
  const rig = await startRelay({
    bindings: { toy: { via: 'bastion', upstreamConnections: 2 } },
    ways: { bastion: { upstreamConnections: 1 } },
  });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  expect(await agent.ask('dial bastion')).toBe('ok dialled echo');
  expect(await agent.ask('dial bastion')).toBe('error connections-exhausted');
  expect(await agent.ask('dial')).toBe('ok dialled echo');
  expect(await agent.ask('dial')).toBe('error connections-exhausted');
});

test('a way dials nothing before policy said yes to it', async () => {
  const codes: string[] = [];
  const hasty = {
    ...onlyThis(() => Promise.resolve({})),
    reach: async (passage: RelayPassage) => {
      codes.push(passage.service, passage.agent);
      return passage.dial({ host: '127.0.0.1', port: rig.upstreamPort });
    },
  };
  const rig = await startRelay({ bindings: { toy: { via: 'bastion' } }, ways: { bastion: { instance: hasty } } });
  const agent = await rig.connect();
  await agent.hears('toy\n');
  await agent.ask('login git');
  expect(await agent.ask('dial bastion')).toBe('error internal');
  expect(codes).toEqual(['bastion', 'local']);
});

test('an upstream that is reached too late, after the downstream left, is closed', async () => {
  const codes: string[] = [];
  const service = onlyThis(async (connection) => {
    await connection.authorize(asking('login'), () => 'toy://up');
    connection.downstream.resume();
    await new Promise((resolve) => connection.signal.addEventListener('abort', resolve));
    await connection
      .dial({ host: '127.0.0.1', port: rig.upstreamPort })
      .catch((error: SidecarError) => codes.push(error.code));
    return {};
  });
  const rig = await startRelay({ service });
  const agent = await rig.connect();
  await vi.waitFor(() => expect(rig.events).toHaveLength(1));
  agent.socket.resetAndDestroy();
  await rig.over();
  expect(codes).toEqual(['downstream-closed']);
  expect(rig.upstreamSockets.size).toBe(0);
});

/** Logs in and echoes however often it is asked to. */
function patient(socket: Socket): void {
  socket.on('data', (data) => socket.write(data.toString() === 'swordfish\n' ? 'ok' : data));
}
