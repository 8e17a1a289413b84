import { generateKeyPairSync } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { acceptSsh, IDENT, loginKey, SshError } from './index.ts';
import { ourHostKey, ourServer, stockLogin } from './testdata/peers.ts';
import { Transport } from './transport.ts';
import { wire } from './wire.ts';

/** A client that is logged in on a socket that holds what is not read, and the side that it talks to. */
async function loggedIn() {
  const [near, far] = duplexPair();
  const serving = acceptSsh(far, { ident: IDENT, hostKey: ourHostKey, identity: { kind: 'none' } });
  const client = new Transport(near, { role: 'client', hostKeyCheck: () => true }, { ident: 'x' });
  await client.start();
  client.send(wire({ byte: 5 }, 'ssh-userauth'));
  client.send(wire({ byte: 50 }, 'me', 'ssh-connection', 'none'));
  const leg = await serving;
  const raw = leg.accept();
  raw.attach({ message: () => undefined, drained: () => undefined });
  return { client, raw, leg };
}

test('messages that nobody knows are answered, and cost no memory where the answers are not read', async () => {
  const { client, raw, leg } = await loggedIn();
  const answers: number[] = [];
  client.onMessage = (message) => void answers.push(message[0]!);
  client.send(Buffer.of(192));
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.pause();
  let most = 0;
  for (let round = 0; round < 200 && !client.ended; round++) {
    for (let each = 0; each < 1000; each++) client.send(Buffer.of(192));
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, raw.pending);
  }
  expect(most).toBeLessThan(4 * 2 ** 20);
  client.resume();
  expect((await leg.closed).fault).toBe('protocol');
});

test('what is sent on over streams that share their memory arrives whole, also where it waits to be read', async () => {
  const [first, second] = [await loggedIn(), await loggedIn()];
  // Too large for the pool that small buffers share.
  const sent = Array.from({ length: 40 }, (_, at) => wire({ byte: 94 }, { uint32: at }, Buffer.alloc(40_000, at)));
  const got: string[] = [];
  second.raw.attach({ message: (message) => got.push(message.toString('latin1')), drained: () => undefined });
  first.raw.attach({ message: (message) => second.client.forward(message), drained: () => undefined });
  second.raw.pause();
  for (const [at, message] of sent.entries()) {
    first.client.send(message);
    await new Promise((resolve) => setImmediate(resolve));
    if (at % 4 === 3) second.raw.resume();
    if (at % 4 === 0) second.raw.pause();
  }
  second.raw.resume();
  await vi.waitFor(() => expect(got.length).toBe(sent.length));
  expect(got).toEqual(sent.map((message) => message.toString('latin1')));
});

test('a key exchange that costs us more than it costs the client is not to be had', async () => {
  const ours = await ourServer();
  const login = (kex: string): Promise<string> =>
    stockLogin(ours.port, { authHandler: ['none'], algorithms: { kex: [kex] } } as Parameters<typeof stockLogin>[1]);
  expect(await login('diffie-hellman-group18-sha512')).not.toBe('in');
  expect(ours.failures.map(({ fault }) => fault)).toEqual(['algorithms']);
  expect(await login('diffie-hellman-group14-sha256')).toBe('in');
  ours.stop();
});

/** What a server with `identity` makes of a login by messages of the test's own. */
async function outcomeOf(say: (client: Transport) => Promise<void>): Promise<string> {
  const [near, far] = duplexPair();
  near.on('error', () => undefined);
  const identity = { kind: 'keys', agentOf: () => 'someone' } as const;
  const serving = acceptSsh(far, { ident: IDENT, hostKey: ourHostKey, identity, loginSeconds: 2 }).then(
    (leg) => `in as ${leg.user}`,
    (error: unknown) => (error as SshError).fault,
  );
  const client = new Transport(near, { role: 'client', hostKeyCheck: () => true }, { ident: 'x' });
  await client.start();
  client.send(wire({ byte: 5 }, 'ssh-userauth'));
  await say(client);
  setTimeout(() => client.disconnect(new SshError('aborted', 'enough')), 200);
  return serving;
}

const key = loginKey(generateKeyPairSync('ed25519').privateKey);
const other = loginKey(generateKeyPairSync('ed25519').privateKey);

/** A login by `key`, signed with `by` for the session `of` and the user `as`. */
async function signed({
  of,
  by = key,
  user = 'me',
  as = user,
}: {
  of: Buffer;
  by?: typeof key;
  user?: string;
  as?: string;
}) {
  const head = (name: string): Buffer =>
    wire({ byte: 50 }, name, 'ssh-connection', 'publickey', { boolean: true }, 'ssh-ed25519', key.blob);
  const signature = await by.sign(wire(of, { raw: head(as) }), 'ssh-ed25519');
  return wire({ raw: head(user) }, signature);
}

test('a signature proves one key to one session for one user', async () => {
  const login = (how: (session: Buffer) => Parameters<typeof signed>[0]): Promise<string> =>
    outcomeOf(async (client) => client.send(await signed(how(client.sessionId))));
  expect(await login((of) => ({ of }))).toBe('in as me');
  expect(await login(() => ({ of: Buffer.alloc(32, 7) }))).toBe('closed');
  expect(await login((of) => ({ of, by: other }))).toBe('closed');
  expect(await login((of) => ({ of, user: 'root', as: 'me' }))).toBe('closed');
});

test('a login that is caught and said again in another session is none', async () => {
  let caught: Buffer | undefined;
  const first = outcomeOf(async (client) => {
    caught = await signed({ of: client.sessionId });
    client.send(caught);
  });
  expect(await first).toBe('in as me');
  expect(await outcomeOf((client) => Promise.resolve(client.send(caught!)))).toBe('closed');
});

test('many wrong logins end the connection before a right one counts', async () => {
  const outcome = await outcomeOf(async (client) => {
    for (let each = 0; each < 6; each += 1) client.send(await signed({ of: client.sessionId, by: other }));
    client.send(await signed({ of: client.sessionId }));
  });
  expect(outcome).toBe('denied');
});

test('a right login that the user was changed for half way is none', async () => {
  const outcome = await outcomeOf(async (client) => {
    client.send(await signed({ of: client.sessionId, by: other }));
    client.send(await signed({ of: client.sessionId, user: 'root' }));
  });
  expect(outcome).toBe('protocol');
});
