import { Secret } from 'secretless-sidecar/connector';
import { publicKeyOf } from 'secretless-sidecar/connector/ssh';
import { afterEach, expect, test } from 'vitest';
import { FakeSide, say } from '../relay/testdata/fake-side.ts';
import { ConnectionRig, type RigOptions, type Texts } from '../testdata/connection-rig.ts';
import { ourHostKey, ourServer, type OurServer, stockLogin } from '../transport/testdata/peers.ts';
import type { WireField } from '../transport/wire.ts';
import { TcpChannel } from './tcp-channel.ts';
import { SessionWatcher } from './watcher.ts';

const u32 = (uint32: number): WireField => ({ uint32 });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const PASSWORD = 'a-pass-word-of-the-test';

let upstream: OurServer | undefined;
let rig: ConnectionRig | undefined;
afterEach(async () => {
  await rig?.stop();
  upstream?.stop();
});

/** An upstream that lets in whoever has the password, and answers nothing after that. */
async function silentUpstream(): Promise<(more?: Texts) => Texts> {
  const identity = { kind: 'token', tokens: [{ agent: 'anyone', token: new Secret(PASSWORD) }] } as const;
  const started = (upstream = await ourServer({ identity }));
  const hostKey = `ssh-ed25519 ${publicKeyOf(ourHostKey).blob.toString('base64')}`;
  return (more = {}) => ({ address: `127.0.0.1:${started.port}`, password: PASSWORD, hostKey, ...more });
}

async function endOf(options: RigOptions, username: string): Promise<string | undefined> {
  rig = await ConnectionRig.start(options);
  const login = stockLogin(rig.port, { username, authHandler: ['none'] });
  await login;
  return (await rig.lastEnd).error?.code;
}

test('where `users` says who may be chosen, the name of the service alone is one of them, and never root', async () => {
  const texts = await silentUpstream();
  const box = { credentials: () => texts(), config: { users: ['deploy', 'backup'] } };
  expect(await endOf({ services: { box } }, 'box')).toBeUndefined();
  expect(upstream!.legs.map(({ user }) => user)).toEqual(['deploy']);
});

test('a way whose upstream does not answer is given up in time', async () => {
  const texts = await silentUpstream();
  const bastion = { credentials: () => texts({ user: 'me' }) };
  const inner = { credentials: () => texts({ address: '10.9.8.7:22', user: 'me' }), config: { via: 'bastion' } };
  const began = performance.now();
  expect(await endOf({ services: { bastion, inner }, loginSeconds: 0.5 }, 'inner')).toBe('upstream-unreachable');
  expect(performance.now() - began).toBeLessThan(3000);
});

test.each<[string, WireField[]]>([
  ['requests', say.global('keepalive@openssh.com', true)],
  ['channels', say.open(5)],
  ['requests to the channel', say.request(0, 'other', true)],
])('a way that asks for %s and reads no answers is cut off before they fill the memory', (_, fields) => {
  const side = new FakeSide();
  const channel = new TcpChannel(side, { host: 'db', port: 22 }, new AbortController().signal);
  side.says({ byte: 91 }, u32(0), u32(9), u32(1000), u32(400));
  side.says(...fields);
  expect(side.ended).toBeUndefined();
  side.pending = 4 * 2 ** 20;
  side.says(...fields);
  expect(side.ended?.fault).toBe('protocol');
  channel.destroy();
});

test('bytes that came before the end of a way are read, however soon its connection is gone', async () => {
  const side = new FakeSide();
  const channel = new TcpChannel(side, { host: 'db', port: 22 }, new AbortController().signal);
  side.says({ byte: 91 }, u32(0), u32(9), u32(1000), u32(400));
  side.says(...say.bytes(0, 'the last words'));
  side.says(...say.eof(0));
  side.says(...say.close(0));
  side.end({ fault: 'closed' } as never);
  await turn();
  const read: Buffer[] = [];
  for await (const chunk of channel) read.push(chunk as Buffer);
  expect(Buffer.concat(read).toString()).toBe('the last words');
});

test('being asked whether one is there is no activity, on a channel as little as elsewhere', () => {
  const watcher = new SessionWatcher({
    id: 'c0ffee',
    user: 'me',
    admit: () => Promise.reject(new Error('nothing is asked')),
    takesVariable: () => false,
  });
  const totals = { bytesUp: 0, bytesDown: 0 };
  const view = { number: 0, openedBy: 'downstream', purpose: { kind: 'session' }, totals } as const;
  void watcher.channelOpen('downstream', { sender: 0, window: 0, maxPacket: 0, purpose: { kind: 'session' } }, view);
  const before = watcher.activity;
  for (const side of ['downstream', 'upstream'] as const) {
    void watcher.channelRequest(side, view, { wantsReply: true, ask: { kind: 'keepalive' } });
  }
  expect(watcher.activity).toBe(before);
});

test('whoever guesses at the token of an agent is on record', async () => {
  const texts = await silentUpstream();
  const box = { credentials: () => texts(), config: { agents: { one: { token: 'tttttttttttttttttttt' } } } };
  rig = await ConnectionRig.start({ services: { box } });
  for (const password of ['guess', 'tttttttttttttttttttu']) {
    expect(await stockLogin(rig.port, { username: 'box', password, tryKeyboard: false })).not.toBe('in');
  }
  // A client that gives up by itself has gone away; one that is thrown out has not.
  const guesses = Array.from({ length: 8 }, (_, each) => ({
    type: 'password' as const,
    username: 'box',
    password: `${each}`,
  }));
  expect(await stockLogin(rig.port, { username: 'box', authHandler: guesses })).not.toBe('in');
  expect((await rig.lastEnd).error?.code).toBe('caller-unproven');
  expect(rig.led.at(-1)!.connection.refusals).toEqual(['caller-unproven']);
  expect(upstream!.legs).toEqual([]);
});

test('a login that is repeated with other credentials begins once the connection before it is closed', async () => {
  const texts = await silentUpstream();
  const before: boolean[] = [];
  const anew = (): Texts => {
    before.push(...rig!.led[0]!.connection.dialled.map(({ socket }) => socket.closed));
    return texts();
  };
  const box = { credentials: () => texts({ password: 'an-old-one', user: 'me' }), anew };
  expect(await endOf({ services: { box } }, 'box')).toBeUndefined();
  expect(before).toEqual([true]);
  expect(upstream!.legs).toHaveLength(1);
});
