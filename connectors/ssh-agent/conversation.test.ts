import { randomBytes } from 'node:crypto';
import { Secret } from 'secretless-sidecar/connector';
import {
  fingerprint,
  isSignedBy,
  readPrivateKey,
  readPublicKey,
  strings,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import { expect, onTestFinished, test } from 'vitest';
import { BINDINGS_MAX } from './bindings.ts';
import { AgentConversation } from './conversation.ts';
import { IDENTITIES_MAX } from './messages.ts';
import {
  bindMessage,
  bindRequest,
  keyPair,
  type KeyType,
  loginBytes,
  signRequest,
  sshsigBytes,
  TestHolder,
} from './testdata/agent-kit.ts';
import { hasKeygen, KeyFolder } from './testdata/keygen.ts';

const [FAILURE, SUCCESS, IDENTITIES, SIGNATURE, EXTENSION_FAILURE] = [5, 6, 12, 14, 28];

/** A conversation about one ed25519 key, with a session of a host. */
function talk(type: KeyType = 'ed25519') {
  const key = keyPair(type);
  const holder = new TestHolder().add(key);
  const conversation = new AgentConversation(holder);
  const sessionId = randomBytes(32);
  const host = keyPair();
  const say = async (message: Buffer): Promise<number> => (await conversation.answer(message))[4]!;
  const login = (changes: Partial<Parameters<typeof loginBytes>[0]> = {}, flags = 0): Promise<number> =>
    say(signRequest(key.publicBlob, loginBytes({ sessionId, blob: key.publicBlob, ...changes }), flags));
  return { key, holder, conversation, sessionId, host, say, login };
}

test('a login is signed, and policy hears the user and that nobody says where', async () => {
  const { key, holder, conversation, sessionId } = talk();
  const bytes = loginBytes({ sessionId, blob: key.publicBlob, user: 'git' });
  const answer = new WireReader(await conversation.answer(signRequest(key.publicBlob, bytes)));
  expect(answer.uint32()).toBe(answer.left);
  expect(answer.byte()).toBe(SIGNATURE);
  expect(isSignedBy(readPublicKey(key.publicBlob), bytes, answer.string())).toBe(true);
  answer.end();
  expect(holder.asked).toEqual([{ kind: 'login', user: 'git', via: [], forwarded: false }]);
});

test('a bound login tells the host, by publickey and by publickey-hostbound', async () => {
  for (const isHostbound of [false, true]) {
    const { holder, sessionId, host, say, login } = talk();
    expect(await say(await bindRequest(host, sessionId))).toBe(SUCCESS);
    expect(await login(isHostbound ? { hostKey: host.publicBlob } : {})).toBe(SIGNATURE);
    const shown = { fingerprint: fingerprint(host.publicBlob), blob: host.publicBlob };
    expect(holder.asked[0]).toMatchObject({ host: shown, via: [], forwarded: false });
    expect(await say(Buffer.of(11))).toBe(IDENTITIES);
    expect(holder.reaches).toEqual([{ hosts: [shown], forwarded: false }]);
  }
});

test('a key that policy refuses signs nothing', async () => {
  const { holder, login } = talk();
  holder.allows = () => false;
  expect(await login()).toBe(FAILURE);
  expect(holder.signed).toEqual([]);
});

test('a binding that the host did not sign is refused, and so is everything after it', async () => {
  const other = keyPair();
  const forgeries: ((session: Buffer, host: typeof other) => Promise<Buffer>)[] = [
    async (session, host) => bindMessage(host.publicBlob, session, await other.sign(session)),
    async (session, host) => bindMessage(host.publicBlob, session, await host.sign(randomBytes(32))),
    async (session, host) => bindMessage(host.publicBlob, session, Buffer.alloc(0)),
    async (session, host) => bindMessage(Buffer.from('x'), session, await host.sign(session)),
    async (_, host) => bindRequest(host, Buffer.alloc(0)),
    async (_, host) => bindRequest(host, randomBytes(65)),
    async (session, host) => Buffer.concat([await bindRequest(host, session), Buffer.alloc(1)]),
    async (session, host) => (await bindRequest(host, session)).subarray(0, -1),
  ];
  for (const forge of forgeries) {
    const { holder, sessionId, host, say, login } = talk();
    expect([FAILURE, EXTENSION_FAILURE]).toContain(await say(await forge(sessionId, host)));
    expect(await login()).toBe(FAILURE);
    // Not even the right one mends it.
    expect(await say(await bindRequest(host, sessionId))).toBe(EXTENSION_FAILURE);
    expect(await login()).toBe(FAILURE);
    expect(holder.refusals).toEqual(['broken-binding', 'broken-binding']);
    expect(holder.signed).toEqual([]);
  }
});

test.skipIf(!hasKeygen)('a host may show its certificate, and a certificate of a user is no host', async () => {
  const keys = new KeyFolder();
  onTestFinished(() => keys.remove());
  const [authority, made] = [keys.make('ed25519'), keys.make('ed25519')];
  const host = await readPrivateKey(new Secret(made.text));
  for (const [kind, expected] of [
    ['-h', SUCCESS],
    ['-q', EXTENSION_FAILURE],
  ] as const) {
    keys.run('-q', '-s', authority.path, '-I', 'id', '-n', 'web', kind, `${made.path}.pub`);
    const blob = keys.blobOf(keys.textOf(`${made.path}-cert.pub`));
    const { holder, sessionId, say, login } = talk();
    expect(await say(bindMessage(blob, sessionId, await host.sign(sessionId)))).toBe(expected);
    expect(await login()).toBe(expected === SUCCESS ? SIGNATURE : FAILURE);
    const shown = { host: { fingerprint: fingerprint(made.blob), blob } };
    expect(holder.asked).toMatchObject(expected === SUCCESS ? [shown] : []);
  }
});

test('a login to another session or host than the bound one is refused', async () => {
  const { holder, sessionId, host, say, login } = talk();
  await say(await bindRequest(host, sessionId));
  expect(await login({ sessionId: randomBytes(32) })).toBe(FAILURE);
  expect(await login({ sessionId: sessionId.subarray(1) })).toBe(FAILURE);
  expect(await login({ hostKey: keyPair().publicBlob })).toBe(FAILURE);
  expect(holder.refusals).toEqual(['other-session', 'other-session', 'other-session']);
  expect(await login({ hostKey: host.publicBlob })).toBe(SIGNATURE);
});

test('a connection bound to log in is bound to nothing more', async () => {
  const { sessionId, host, say } = talk();
  expect(await say(await bindRequest(host, sessionId))).toBe(SUCCESS);
  expect(await say(await bindRequest(host, randomBytes(32)))).toBe(EXTENSION_FAILURE);
});

test('a forwarded login tells so and names the hosts on the way', async () => {
  const { holder, sessionId, host, say, login } = talk();
  const [hop, hopSession] = [keyPair('nistp256'), randomBytes(32)];
  expect(await say(await bindRequest(hop, hopSession, true))).toBe(SUCCESS);
  expect(await say(await bindRequest(hop, hopSession, true))).toBe(SUCCESS);
  expect(await say(await bindRequest(host, sessionId))).toBe(SUCCESS);
  expect(await login({ hostKey: host.publicBlob })).toBe(SIGNATURE);
  const via = [{ fingerprint: fingerprint(hop.publicBlob) }];
  const destination = { fingerprint: fingerprint(host.publicBlob) };
  expect(holder.asked[0]).toMatchObject({ host: destination, via, forwarded: true });
  expect(await say(Buffer.of(11))).toBe(IDENTITIES);
  expect(holder.reaches).toMatchObject([{ hosts: [...via, destination], forwarded: true }]);
});

test('any byte but zero is a forwarding', async () => {
  const { holder, sessionId, host, say, login } = talk();
  const bind = await bindRequest(host, sessionId);
  bind[bind.length - 1] = 0x80;
  expect(await say(bind)).toBe(SUCCESS);
  expect(await login()).toBe(FAILURE);
  expect(holder.refusals).toEqual(['forwarding-hop']);
});

test('a session bound for forwarding is not logged in to, and does not change into another', async () => {
  const { holder, sessionId, host, say, login } = talk();
  await say(await bindRequest(host, sessionId, true));
  expect(await login()).toBe(FAILURE);
  expect(holder.refusals).toEqual(['forwarding-hop']);
  expect(await say(await bindRequest(host, sessionId, false))).toBe(EXTENSION_FAILURE);
  const second = talk();
  await second.say(await bindRequest(second.host, second.sessionId, true));
  expect(await second.say(await bindRequest(keyPair(), second.sessionId, true))).toBe(EXTENSION_FAILURE);
});

test('a connection is bound to so many hops and no more', async () => {
  const { host, say } = talk();
  for (let hop = 0; hop < BINDINGS_MAX; hop += 1) {
    expect(await say(await bindRequest(host, randomBytes(32), true))).toBe(SUCCESS);
  }
  expect(await say(await bindRequest(host, randomBytes(32), true))).toBe(EXTENSION_FAILURE);
});

test('a login that says anything but what its request says is refused', async () => {
  const other = keyPair();
  const changes: Partial<Parameters<typeof loginBytes>[0]>[] = [
    { blob: other.publicBlob },
    { algorithm: 'rsa-sha2-512' },
  ];
  for (const change of changes) {
    const { holder, login } = talk();
    expect(await login(change)).toBe(FAILURE);
    expect(holder.refusals).toEqual(['other-key']);
  }
});

test.skipIf(!hasKeygen)(
  'a login with a certificate is signed by the certificate or its key, and by no other key',
  async () => {
    const keys = new KeyFolder();
    onTestFinished(() => keys.remove());
    const [authority, made, other] = [keys.make('ed25519'), keys.make('rsa 2048'), keys.make('rsa 2048')];
    const certify = (...more: readonly string[]): Buffer => {
      keys.run('-q', '-s', authority.path, '-I', 'id', '-n', 'git', ...more, `${made.path}.pub`);
      return keys.blobOf(keys.textOf(`${made.path}-cert.pub`));
    };
    const [user, host] = [certify(), certify('-h')];
    const { holder, sessionId, say } = talk();
    const algorithm = 'rsa-sha2-512-cert-v01@openssh.com';
    const signed = async (blob: Buffer, shown: Buffer, named = algorithm): Promise<string | undefined> => {
      holder.asked.splice(0);
      await say(signRequest(blob, loginBytes({ sessionId, blob: shown, algorithm: named }), 4));
      return holder.asked.length > 0 ? 'asked' : holder.refusals.at(-1);
    };
    expect(await signed(user, user)).toBe('asked');
    expect(await signed(made.blob, user)).toBe('asked');
    expect(await signed(made.blob, user, 'rsa-sha2-512')).toBe('other-key');
    expect(await signed(user, user, 'rsa-sha2-512')).toBe('other-key');
    expect(await signed(user, made.blob, 'rsa-sha2-512')).toBe('other-key');
    expect(await signed(other.blob, user)).toBe('other-key');
    expect(await signed(made.blob, host)).toBe('other-key');
    expect(await signed(made.blob, made.blob)).toBe('other-key');
    expect(await signed(made.blob, user.subarray(0, -1))).toBe('other-key');
  },
);

test('bytes that are no login and no SSHSIG are refused', async () => {
  const { key, holder, sessionId, login, say } = talk();
  const good = loginBytes({ sessionId, blob: key.publicBlob });
  const hash = randomBytes(64);
  const foreign = [
    Buffer.alloc(0),
    randomBytes(64),
    Buffer.from('tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904'),
    good.subarray(0, -1),
    Buffer.concat([good, Buffer.alloc(1)]),
    loginBytes({ sessionId: randomBytes(65), blob: key.publicBlob }),
    sshsigBytes('', hash),
    sshsigBytes('git\n', hash),
    sshsigBytes('g\u202eit', hash),
    sshsigBytes('x'.repeat(129), hash),
    sshsigBytes('git', hash, 'sha1'),
    sshsigBytes('git', hash, 'sha256'),
    sshsigBytes('git', hash.subarray(1)),
    sshsigBytes('git', hash, 'sha512', 'reserved'),
    Buffer.concat([sshsigBytes('git', hash), Buffer.alloc(1)]),
  ];
  for (const bytes of foreign) expect(await say(signRequest(key.publicBlob, bytes))).toBe(FAILURE);
  const odd = [
    { service: 'ssh-userauth' },
    { method: 'password' },
    { method: 'hostbased' },
    { flag: 0 },
    { flag: 2 },
    { number: 90 },
  ];
  for (const change of [...odd, { user: '' }, { user: 'a\nb' }, { user: 'a\u001b[2J' }, { user: 'x'.repeat(257) }]) {
    expect(await login(change)).toBe(FAILURE);
  }
  expect(await login({ method: 'publickey-hostbound-v00@openssh.com' })).toBe(FAILURE);
  expect(await login({ method: 'publickey', hostKey: key.publicBlob })).toBe(FAILURE);
  expect(new Set(holder.refusals)).toEqual(new Set(['unknown-bytes']));
  expect(holder.asked).toEqual([]);
});

test('an SSHSIG tells its namespace', async () => {
  const { key, holder, say } = talk();
  expect(await say(signRequest(key.publicBlob, sshsigBytes('git', randomBytes(64))))).toBe(SIGNATURE);
  expect(holder.asked).toEqual([{ kind: 'document', namespace: 'git', via: [], forwarded: false }]);
});

test('an SSHSIG that a host on the way asks for says so', async () => {
  const { key, holder, sessionId, host, say } = talk();
  await say(await bindRequest(host, sessionId, true));
  expect(await say(signRequest(key.publicBlob, sshsigBytes('git', randomBytes(32), 'sha256')))).toBe(SIGNATURE);
  expect(holder.asked[0]).toMatchObject({ forwarded: true, via: [{ fingerprint: fingerprint(host.publicBlob) }] });
});

test('RSA signs with the hash that the flags ask for, and never with SHA-1', async () => {
  const cases = [
    [2, 'rsa-sha2-256'],
    [4, 'rsa-sha2-512'],
    [6, 'rsa-sha2-256'],
    [0x100 + 4, 'rsa-sha2-512'],
  ] as const;
  for (const [flags, algorithm] of cases) {
    const { holder, login } = talk('rsa');
    expect(await login({ algorithm }, flags)).toBe(SIGNATURE);
    expect(holder.signed).toMatchObject([{ algorithm }]);
    const wrong = algorithm === 'rsa-sha2-256' ? 'rsa-sha2-512' : 'rsa-sha2-256';
    expect(await login({ algorithm: wrong }, flags)).toBe(FAILURE);
  }
  for (const flags of [0, 1, 8]) {
    const { holder, login } = talk('rsa');
    expect(await login({ algorithm: 'ssh-rsa' }, flags)).toBe(FAILURE);
    expect(holder.refusals).toEqual(['weak-hash']);
  }
  const { holder, login } = talk('nistp521');
  expect(await login({ algorithm: 'ecdsa-sha2-nistp521' }, 4)).toBe(SIGNATURE);
  expect(holder.signed).toMatchObject([{ algorithm: 'ecdsa-sha2-nistp521' }]);
});

test('a key that the agent does not hold signs nothing', async () => {
  const { holder, sessionId, say } = talk();
  const { publicBlob } = keyPair();
  expect(await say(signRequest(publicBlob, loginBytes({ sessionId, blob: publicBlob })))).toBe(FAILURE);
  expect(holder.signed).toEqual([]);
  for (const none of [Buffer.alloc(0), randomBytes(3), strings('a name with blanks')]) {
    expect(await say(signRequest(none, loginBytes({ sessionId, blob: none })))).toBe(FAILURE);
  }
  expect(holder.refusals).toEqual(['unknown-key', 'unknown-key', 'unknown-key']);
});

test('every other request fails, whatever follows its number, and the conversation goes on', async () => {
  const { say, login } = talk();
  const known = new Set([11, 13]);
  for (let number = 0; number < 256; number += 1) {
    if (known.has(number)) continue;
    expect(await say(Buffer.concat([Buffer.of(number), strings('query', randomBytes(20))]))).toBe(FAILURE);
  }
  expect(await say(Buffer.of(11))).toBe(IDENTITIES);
  expect(await login()).toBe(SIGNATURE);
});

test('a holder that fails is a failure to the client and says nothing', async () => {
  const { holder, login, say } = talk();
  holder.allows = () => {
    throw new Error('the provider is down: hunter2');
  };
  expect(await login()).toBe(FAILURE);
  holder.identities = async () => {
    throw new Error('the provider is down: hunter2');
  };
  expect(await say(Buffer.of(11))).toBe(FAILURE);
});

test('identities are listed with their comments, and never too many', async () => {
  const { key, holder, conversation, say } = talk();
  const answer = new WireReader(await conversation.answer(Buffer.of(11)));
  expect([answer.uint32() === answer.left, answer.byte(), answer.uint32()]).toEqual([true, IDENTITIES, 1]);
  expect(answer.string()).toEqual(key.publicBlob);
  expect(answer.text(256)).toBe('a key');
  answer.end();
  while (holder.keys.length < IDENTITIES_MAX) holder.add(key);
  expect(await say(Buffer.of(11))).toBe(IDENTITIES);
  holder.add(key);
  expect(await say(Buffer.of(11))).toBe(FAILURE);
  holder.keys.splice(1);
  holder.add(key, 'large', Buffer.alloc(256 * 1024));
  expect(await say(Buffer.of(11))).toBe(FAILURE);
});

test('a key that was rotated signs at the next request', async () => {
  const { holder, sessionId, say } = talk();
  const fresh = keyPair();
  holder.keys.splice(0);
  holder.add(fresh);
  const bytes = loginBytes({ sessionId, blob: fresh.publicBlob });
  expect(await say(signRequest(fresh.publicBlob, bytes))).toBe(SIGNATURE);
});

test('a connection that asks without end is ended', async () => {
  const { say } = talk();
  for (let asked = 0; asked < 10_000; asked += 1) expect(await say(Buffer.of(17))).toBe(FAILURE);
  await expect(say(Buffer.of(17))).rejects.toThrow('more than 10000 requests');
});
