/** What a peer may not do, with our own transport as a peer that does it. */
import { createRequire } from 'node:module';
import { duplexPair, type Duplex } from 'node:stream';
import { expect, describe, test } from 'vitest';
import { HostKeyCheck } from './host-key-check.ts';
import {
  acceptSsh,
  hostKeyOf,
  loginSsh,
  type AcceptOptions,
  type LoginMethod,
  type ServerLeg,
  type SshError,
} from './index.ts';
import { loginKey } from './login-key.ts';
import { RekeyClock } from './rekey-clock.ts';
import { ssh2, type Ssh2Config } from './ssh2-protocol.ts';
import { faultOf, ourHostKey } from './testdata/peers.ts';
import { Transport } from './transport.ts';
import { wire, type WireField } from './wire.ts';

function pair(): { client: Duplex; server: Duplex } {
  const [client, server] = duplexPair();
  for (const side of [client, server]) side.on('error', () => undefined);
  return { client, server };
}

/** Our server, and a client that has exchanged keys with it and may say what it likes. */
async function hostileClient(
  options: Partial<AcceptOptions> = {},
): Promise<{ client: Transport; leg: Promise<ServerLeg> }> {
  const { client, server } = pair();
  const leg = acceptSsh(server, { ident: 'ours', hostKey: ourHostKey, identity: { kind: 'none' }, ...options });
  leg.catch(() => undefined);
  const transport = new Transport(client, { role: 'client', hostKeyCheck: () => true }, { ident: 'x' });
  await transport.start();
  return { client: transport, leg };
}

/** Our client, and a server that has exchanged keys with it and answers each message as `answer` does. */
function hostileServer(answer: (message: Buffer, server: Transport) => void): Promise<unknown> {
  const { client, server } = pair();
  const transport = new Transport(server, { role: 'server', hostKey: hostKeyOf(ourHostKey) }, { ident: 'x' });
  transport.onMessage = (message) => answer(message, transport);
  void transport.start().catch(() => undefined);
  const auth: LoginMethod[] = [{ method: 'publickey', key: loginKey(ourHostKey) }];
  return loginSsh(client, { ident: 'ours', user: 'me', hostKeyCheck: () => true, auth, loginSeconds: 2 });
}

const service = wire({ byte: 5 }, 'ssh-userauth');
const request = (user: string | Buffer, name: string, ...rest: WireField[]): Buffer =>
  wire({ byte: 50 }, user, name, ...rest);

describe('a client', () => {
  test('that logs in as it should is waited for', async () => {
    const { client, leg } = await hostileClient();
    client.send(service);
    client.send(request('me', 'ssh-connection', 'none'));
    expect((await leg).user).toBe('me');
  });

  test.each<[string, Buffer[]]>([
    ['asks to log in before it asked for the service', [request('me', 'ssh-connection', 'none')]],
    ['asks for the service twice', [service, service]],
    ['asks for another service', [wire({ byte: 5 }, 'ssh-connection')]],
    ['logs in to another service', [service, request('me', 'ssh-other', 'none')]],
    [
      'changes its name',
      [
        service,
        request('me', 'ssh-connection', 'password', { boolean: false }, ''),
        request('you', 'ssh-connection', 'none'),
      ],
    ],
    ['has a name with a control character', [service, request('me\n', 'ssh-connection', 'none')]],
    ['has a name that is not UTF-8', [service, request(Buffer.of(0xe9), 'ssh-connection', 'none')]],
    ['has a name without end', [service, request('m'.repeat(256), 'ssh-connection', 'none')]],
    [
      'opens a channel before it is let in',
      [service, wire({ byte: 90 }, 'session', { uint32: 0 }, { uint32: 0 }, { uint32: 0 })],
    ],
    ['answers questions that nobody asked', [service, wire({ byte: 61 }, { uint32: 2 ** 25 })]],
    ['sends keys outside of an exchange', [service, wire({ byte: 21 })]],
    ['sends an empty message', [Buffer.alloc(0)]],
    ['sends more than the request holds', [service, request('me', 'ssh-connection', 'none', { byte: 0 })]],
  ])('that %s is out', async (_name, messages) => {
    const { client, leg } = await hostileClient();
    for (const message of messages) client.send(message);
    expect(await faultOf(leg)).toBe('protocol');
  });

  test('that asks without end is out, even where no question is a failure', async () => {
    const { client, leg } = await hostileClient({ identity: { kind: 'keys', agentOf: () => undefined } });
    client.send(service);
    for (let each = 0; each < 40; each++) client.send(request('me', 'ssh-connection', 'none'));
    expect(await faultOf(leg)).toBe('denied');
  });

  test('that talks before its yes has come is out', async () => {
    const { client, leg } = await hostileClient();
    client.send(service);
    client.send(request('me', 'ssh-connection', 'none'));
    const { closed } = await leg;
    client.send(wire({ byte: 80 }, 'x', { boolean: false }));
    expect((await closed).fault).toBe('protocol');
  });

  test('without strict key exchange may not use ChaCha20', async () => {
    const { client, server } = pair();
    const algorithms = { cipher: ['chacha20-poly1305@openssh.com'] };
    const leg = acceptSsh(server, { ident: 'ours', hostKey: ourHostKey, identity: { kind: 'none' }, algorithms });
    const require = createRequire(import.meta.url);
    ssh2();
    const { KexInit } = require('ssh2/lib/protocol/kex.js') as { KexInit: new (lists: unknown) => Ssh2Config['offer'] };
    const side = { cipher: algorithms.cipher, mac: ['hmac-sha2-256'], compress: ['none'], lang: [] };
    const lists = { kex: ['curve25519-sha256'], serverHostKey: ['ssh-ed25519'], cs: side, sc: side };
    const peer = ssh2().create({
      server: false,
      ident: 'old',
      offer: new KexInit(lists),
      hostVerifier: () => true,
      onWrite: (bytes) => void client.write(bytes),
      onError: () => undefined,
      onHandshakeComplete: () => undefined,
      onHeader: () => undefined,
    });
    client.on('data', (chunk: Buffer) => {
      try {
        peer.parse(chunk, 0, chunk.length);
      } catch {
        // It is told that it is over.
      }
    });
    peer.start?.();
    expect(await faultOf(leg)).toBe('algorithms');
  });

  test('that exchanges keys over and over is out', async () => {
    const { client, leg } = await hostileClient();
    client.send(service);
    client.send(request('me', 'ssh-connection', 'none'));
    const { closed, accept } = await leg;
    accept().attach({ message: () => undefined, drained: () => undefined });
    const timer = setInterval(() => client.rekey(), 1);
    expect((await closed).fault).toBe('protocol');
    clearInterval(timer);
  });
});

test.each([8, 19, 21, 30, 49])('a message of type %i outside of a key exchange is handed to nobody', async (type) => {
  const { client, server } = pair();
  const one = new Transport(server, { role: 'server', hostKey: hostKeyOf(ourHostKey) }, { ident: 'x' });
  const other = new Transport(client, { role: 'client', hostKeyCheck: () => true }, { ident: 'x' });
  const seen: number[] = [];
  one.onMessage = (message) => void seen.push(message[0] ?? -1);
  await Promise.all([one.start(), other.start()]);
  other.send(wire({ byte: 50 }));
  other.send(wire({ byte: type }));
  const { fault } = await one.closed;
  expect([fault, seen]).toEqual(['protocol', [50]]);
});

describe('an upstream', () => {
  const accept = wire({ byte: 6 }, 'ssh-userauth');
  const failure = wire({ byte: 51 }, 'publickey', { boolean: false });
  const yes = wire({ byte: 52 });

  test.each<[string, string, (message: Buffer, server: Transport) => void]>([
    ['says yes before it was asked', 'protocol', (_message, server) => server.send(yes)],
    [
      'says yes twice',
      'protocol',
      (message, server) => (server.send(message[0] === 5 ? accept : yes), message[0] === 50 && server.send(yes)),
    ],
    [
      'refuses twice',
      'denied',
      (message, server) => (server.send(message[0] === 5 ? accept : failure), server.send(failure)),
    ],
    [
      'asks questions of a key',
      'protocol',
      (message, server) => server.send(message[0] === 5 ? accept : wire({ byte: 60 }, '', '')),
    ],
    [
      'sends banners without end',
      'protocol',
      (_message, server) => {
        for (let each = 0; each < 40; each++) server.send(wire({ byte: 53 }, 'x'.repeat(4000), ''));
      },
    ],
    [
      'has extensions without end',
      'protocol',
      (_message, server) => server.send(wire({ byte: 7 }, { uint32: 2 ** 31 })),
    ],
    ['opens a channel too early', 'protocol', (_message, server) => server.send(wire({ byte: 90 }))],
    [
      'sends a list of ways without end',
      'protocol',
      (message, server) =>
        server.send(message[0] === 5 ? accept : wire({ byte: 51 }, 'x'.repeat(5000), { boolean: false })),
    ],
  ])('that %s ends as it should: %s', async (name, fault, answer) => {
    const outcome = await faultOf(hostileServer(answer));
    // Whichever of two answers in a row is looked at first.
    if (name === 'refuses twice') expect(['denied', 'protocol']).toContain(outcome);
    else expect(outcome).toBe(fault);
  });

  test('that greets without end is cut off', async () => {
    const { client, server } = pair();
    server.write(Buffer.alloc(600_000, `${'x'.repeat(4000)}\r\n`));
    const auth: LoginMethod[] = [{ method: 'publickey', key: loginKey(ourHostKey) }];
    const login = loginSsh(client, { ident: 'x', user: 'me', hostKeyCheck: () => true, auth, loginSeconds: 2 });
    expect(await faultOf(login)).toBe('protocol');
  });

  test('that sends much before anybody listens is paused, and nothing of it is lost', async () => {
    const { client, server } = pair();
    const transport = new Transport(server, { role: 'server', hostKey: hostKeyOf(ourHostKey) }, { ident: 'x' });
    const many = 500;
    transport.onMessage = (message) => {
      if (message[0] === 5) return transport.send(accept);
      transport.send(yes);
      for (let each = 0; each < many; each++)
        transport.send(wire({ byte: 80 }, 'x'.repeat(200), { boolean: false }, Buffer.alloc(20_000)));
    };
    void transport.start().catch(() => undefined);
    const auth: LoginMethod[] = [{ method: 'publickey', key: loginKey(ourHostKey) }];
    const { raw } = await loginSsh(client, { ident: 'x', user: 'me', hostKeyCheck: () => true, auth });
    await new Promise((resolve) => setTimeout(resolve, 100));
    let count = 0;
    await new Promise<void>((resolve) =>
      raw.attach({ message: () => (++count === many ? resolve() : undefined), drained: () => undefined }),
    );
    expect(count).toBe(many);
  });

  test('whose key cannot sign closes the connection', async () => {
    const { client, server } = pair();
    const transport = new Transport(server, { role: 'server', hostKey: hostKeyOf(ourHostKey) }, { ident: 'x' });
    transport.onMessage = () => transport.send(accept);
    void transport.start().catch(() => undefined);
    const key = { ...loginKey(ourHostKey), sign: () => Promise.reject(new Error('the signer is away')) };
    const login = loginSsh(client, {
      ident: 'x',
      user: 'me',
      hostKeyCheck: () => true,
      auth: [{ method: 'publickey', key }],
    });
    expect(await faultOf(login)).toBe('aborted');
    expect((await transport.closed).fault).toBe('closed');
  });
});

describe('a host key', () => {
  test('is the same in every key exchange of a connection', () => {
    const check = new HostKeyCheck(() => true);
    expect([check.verify(Buffer.from('one')), check.verify(Buffer.from('one'))]).toEqual([true, true]);
    expect(check.accepted).toEqual(Buffer.from('one'));
    expect(check.verify(Buffer.from('two'))).toBe(false);
    expect(check.accepted).toBeUndefined();
  });

  test('that was changed after the check was asked is not the accepted one', () => {
    const key = Buffer.from('one');
    const check = new HostKeyCheck((given) => given.equals(Buffer.from('one')));
    check.verify(key);
    key.write('two');
    expect(check.accepted).toEqual(Buffer.from('one'));
  });
});

test('new keys are due after bytes, packets or time', () => {
  const bytes = new RekeyClock(100);
  bytes.count(99);
  expect([bytes.due, bytes.peerMay]).toEqual([false, false]);
  bytes.count(1);
  expect(bytes.due).toBe(true);
  bytes.renewed();
  expect(bytes.due).toBe(false);
  expect(new RekeyClock(100, 0).due).toBe(true);
});

test('an error says nothing of the peer', async () => {
  const { client, server } = pair();
  client.write('SSH-2.0-x\r\nsecret-text-of-the-peer');
  const error = await acceptSsh(server, { ident: 'x', hostKey: ourHostKey, identity: { kind: 'none' } }).catch(
    (e: unknown) => e as SshError,
  );
  expect((error as SshError).message).not.toContain('secret-text');
});

test('a login is answered once', async () => {
  const { client, leg } = await hostileClient();
  client.send(service);
  client.send(request('me', 'ssh-connection', 'none'));
  const { accept, refuse, closed } = await leg;
  accept();
  expect(() => accept()).toThrow('once');
  const types: (number | undefined)[] = [];
  client.onMessage = (message) => void types.push(message[0]);
  refuse('too late');
  expect((await closed).fault).toBe('aborted');
  await client.closed;
  expect(types).not.toContain(53);
});
