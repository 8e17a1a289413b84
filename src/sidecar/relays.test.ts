import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startKinds } from './testdata/relays.ts';

const TOY = { name: 'toy', connector: 'toy', socket: 'a' } as const;

test('a relay goes on after a reload with the service it began with, and asks for credentials again', async () => {
  const rig = await startKinds([TOY]);
  const agent = await rig.connect('a');
  await agent.hears('toy\n');
  expect(await agent.ask('login git')).toBe('ok login');
  await rig.reload([{ ...TOY, password: 'another' }]);
  await rig.reload([TOY]);
  expect(await agent.ask('login git')).toBe('ok login');
  await vi.waitFor(() => expect(rig.stores).toEqual({ opened: 3, closed: 1 }));
  agent.socket.end();
  await agent.closed;
  await vi.waitFor(() => expect(rig.stores).toEqual({ opened: 3, closed: 2 }));
});

test('a sidecar that ends closes what relays of former configurations used', async () => {
  const rig = await startKinds([TOY]);
  const agent = await rig.connect('a');
  await agent.hears('toy\n');
  await rig.reload([TOY]);
  await rig.sidecar.drain();
  await agent.closed;
  expect(agent.text()).toContain('ending draining\n');
  expect(rig.stores).toEqual({ opened: 2, closed: 2 });
});

test('a relay ends where a reload takes its address away, gives it to another kind, or its service to another address', async () => {
  for (const next of [
    [{ ...TOY, name: 'else', socket: 'b' }],
    [{ name: 'toy', connector: 'web', socket: 'a' } as const],
    [
      { ...TOY, socket: 'b' },
      { ...TOY, name: 'else' },
    ],
  ]) {
    const rig = await startKinds([TOY]);
    const agent = await rig.connect('a');
    await agent.hears('toy\n');
    await agent.ask('login git');
    await rig.reload(next);
    await vi.waitFor(() => expect(agent.text()).toContain('ending grant-ended\n'));
    expect(await agent.ask('login git')).toBe('error grant-ended');
    await agent.closed;
    await vi.waitFor(() => expect(rig.stores.closed).toBe(1));
  }
});

test('an address may go over from one kind to another and back', async () => {
  const rig = await startKinds([TOY]);
  await (await rig.connect('a')).hears('toy\n');
  await rig.reload([{ name: 'toy', connector: 'web', socket: 'a' }]);
  const web = await rig.connect('a');
  web.send('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await web.closed;
  expect(web.text()).toMatch(/^HTTP\/1\.1 502 /);
  await rig.reload([TOY]);
  await (await rig.connect('a')).hears('toy\n');
});

test('a stream whose address went over to another kind is still looked after', async () => {
  const upstream = createServer((socket) => void socket.once('data', () => socket.write('ok'))).listen(0, '127.0.0.1');
  onTestFinished(() => void upstream.close());
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    const rig = await startKinds([{ name: 'flow', connector: 'flow', socket: 'a', port }]);
    const agent = await rig.connect('a');
    agent.send('hi1');
    await agent.hears('welcome\n');
    await rig.reload([{ name: 'web', connector: 'web', socket: 'a' }]);
    vi.advanceTimersByTime(15_000);
    expect(agent.socket.destroyed).toBe(false);
  } finally {
    vi.useRealTimers();
  }
});

test('services of one address are known to each other by name', async () => {
  const rig = await startKinds([
    { ...TOY, name: 'beta' },
    { ...TOY, name: 'alpha' },
  ]);
  const agent = await rig.connect('a');
  await agent.hears('toy\n');
  expect(await agent.ask('who')).toBe('ok alpha local alpha,beta');
  expect(await agent.ask('choose beta')).toBe('ok true');
  await agent.ask('login git');
  expect(rig.events().at(-1)).toMatchObject({ type: 'decision', service: 'beta', connector: 'toy' });
});

test('a relay may have to speak first, and one that hears nothing for too long ends all the same', async () => {
  const rig = await startKinds([TOY], 0.3);
  const [silent, alive] = [await rig.connect('a'), await rig.connect('a')];
  await silent.hears('toy\n');
  await alive.ask('who');
  await silent.closed;
  await pause(300);
  expect(await alive.ask('working')).toBe('ok working');
});

test('the host key is made once, in the state folder', async () => {
  const rig = await startKinds([TOY]);
  const agent = await rig.connect('a');
  await agent.hears('toy\n');
  expect(await agent.ask('key')).toBe('ok ed25519');
  expect(statSync(join(rig.folder, 'ssh_host_ed25519_key')).mode & 0o777).toBe(0o600);
});
