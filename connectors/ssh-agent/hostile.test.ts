import { randomBytes } from 'node:crypto';
import {
  fingerprint,
  isSignedBy,
  type PrivateKey,
  readPublicKey,
  strings,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { credentialsOf } from 'secretless-sidecar/connector/testing';
import { readHostEntry } from './host-entry.ts';
import { HostList } from './hosts.ts';
import { RingCache } from './ring-cache.ts';
import { readSignedBytes } from './signed-bytes.ts';
import { bindMessage, bindRequest, keyPair, loginBytes, signRequest, sshsigBytes } from './testdata/agent-kit.ts';
import { pemOf } from './testdata/served-agent.ts';
import { commit, FAILURE, LIST, listed, login, serve, SIGNATURE, SUCCESS } from './testdata/talk.ts';

const EXTENSION_FAILURE = 28;
const pin = ({ publicBlob }: PrivateKey): string => fingerprint(publicBlob);

/** The signature of an answer. */
function signatureOf(answer: Buffer | undefined): Buffer {
  const reader = new WireReader(answer!);
  expect(reader.byte()).toBe(SIGNATURE);
  return reader.string();
}

describe('a host on the way', () => {
  test('that is trusted gets no login to another host by calling the session with that its own', async () => {
    const [hop, victim] = [keyPair(), keyPair()];
    for (const config of [{ forwarding: true, hosts: [pin(hop)] }, { forwarding: true }]) {
      const { agent, key, client } = await serve(config);
      expect(await client.ask(await bindRequest(hop, randomBytes(32), true))).toBe(SUCCESS);
      // The session that the hop has with the victim; the hop alone says that it is one with itself.
      const session = randomBytes(32);
      expect(await client.ask(await bindRequest(hop, session))).toBe(SUCCESS);
      const plain = loginBytes({ sessionId: session, blob: key.publicBlob, user: 'root' });
      expect(await client.ask(signRequest(key.publicBlob, plain))).toBe(FAILURE);
      expect(agent.signed).toEqual([]);
      expect(agent.refusals.at(-1)?.facts).toEqual({ ssh: { request: 'sign-login' } });
      // What names the host is good at that host alone.
      const elsewhere = loginBytes({ sessionId: session, blob: key.publicBlob, hostKey: victim.publicBlob });
      expect(await client.ask(signRequest(key.publicBlob, elsewhere))).toBe(FAILURE);
      const named = loginBytes({ sessionId: session, blob: key.publicBlob, hostKey: hop.publicBlob });
      expect(await client.ask(signRequest(key.publicBlob, named))).toBe(SIGNATURE);
    }
  });

  test('hears of no key where the way to it was not proven', async () => {
    const { agent, client } = await serve();
    const [host, session] = [keyPair(), randomBytes(32)];
    // As from a client whose host has a type of key that is not known: what would say that it is forwarded says nothing.
    const dsa = Buffer.concat([strings('ssh-dss'), strings(randomBytes(128))]);
    expect(await client.ask(bindMessage(dsa, session, await host.sign(session), true))).toBe(EXTENSION_FAILURE);
    expect(listed(await client.say(LIST))).toEqual([]);
    expect(agent.asked).toEqual([]);
  });

  test('says so to policy when it lists the keys, and a program beside the agent does not', async () => {
    const { agent, client } = await serve({ forwarding: true });
    await client.say(LIST);
    await client.ask(await bindRequest(keyPair(), randomBytes(32), true));
    await client.say(LIST);
    expect(agent.facts).toEqual([{ request: 'keys' }, { request: 'keys', forwarded: true }]);
  });

  test('does not become a program beside the agent by any later binding', async () => {
    const { agent, key, client } = await serve();
    const [hop, session] = [keyPair(), randomBytes(32)];
    await client.ask(await bindRequest(hop, session, true));
    await client.ask(await bindRequest(hop, session, true));
    await client.ask(await bindRequest(keyPair(), randomBytes(32), false));
    expect(await client.ask(commit(key))).toBe(FAILURE);
    expect(listed(await client.say(LIST))).toEqual([]);
    expect(agent.asked).toEqual([]);
  });
});

describe('a binding', () => {
  test('of another connection counts for nothing here', async () => {
    const host = keyPair();
    const { agent, key, client } = await serve({ hosts: [pin(host)] });
    const session = randomBytes(32);
    const second = await agent.client();
    expect(await second.ask(await bindRequest(host, session))).toBe(SUCCESS);
    const bytes = loginBytes({ sessionId: session, blob: key.publicBlob });
    expect(await client.ask(signRequest(key.publicBlob, bytes))).toBe(FAILURE);
    expect(await second.ask(signRequest(key.publicBlob, bytes))).toBe(SIGNATURE);
  });

  test('that was heard of before proves nothing for another session', async () => {
    const host = keyPair();
    const { key, client } = await serve({ hosts: [pin(host)] });
    const [old, session] = [randomBytes(32), randomBytes(32)];
    const replayed = bindMessage(host.publicBlob, session, await host.sign(old));
    expect(await client.ask(replayed)).toBe(EXTENSION_FAILURE);
    expect(
      await client.ask(signRequest(key.publicBlob, loginBytes({ sessionId: session, blob: key.publicBlob }))),
    ).toBe(FAILURE);
  });

  test('to oneself as the host proves a host that no list knows', async () => {
    const [known, self] = [keyPair(), keyPair()];
    const { agent, key, client } = await serve({ hosts: [pin(known)] });
    expect(await login(client, key, { host: self })).toBe(FAILURE);
    // Nor with the key of the known host in what is signed.
    const other = await agent.client();
    const session = randomBytes(32);
    await other.ask(await bindRequest(self, session));
    const named = loginBytes({ sessionId: session, blob: key.publicBlob, hostKey: known.publicBlob });
    expect(await other.ask(signRequest(key.publicBlob, named))).toBe(FAILURE);
    expect(agent.signed).toEqual([]);
  });

  test('signed by RSA with SHA-1, by another curve’s name, or with bytes behind it proves nothing', async () => {
    const [host, session] = [keyPair('nistp256'), randomBytes(32)];
    const signature = await host.sign(session);
    const renamed = Buffer.concat([strings('ecdsa-sha2-nistp384'), signature.subarray(4 + 19)]);
    for (const forged of [renamed, Buffer.concat([signature, Buffer.alloc(1)]), strings('ssh-rsa', randomBytes(256))]) {
      const { client } = await serve();
      expect(await client.ask(bindMessage(host.publicBlob, session, forged))).toBe(EXTENSION_FAILURE);
    }
  });
});

describe('bytes to be signed', () => {
  const session = randomBytes(32);
  const { publicBlob: blob } = keyPair();

  test('are a login or a document, and never one in the clothes of the other', () => {
    const document = sshsigBytes('git', randomBytes(64));
    expect(readSignedBytes(document)?.kind).toBe('document');
    // A session identifier that begins like a document, and a document whose namespace is a whole login.
    const masked = Buffer.concat([Buffer.from('SSHSIG'), randomBytes(26)]);
    expect(readSignedBytes(loginBytes({ sessionId: masked, blob }))?.kind).toBe('login');
    expect(readSignedBytes(Buffer.concat([Buffer.from('SSHSIG'), loginBytes({ sessionId: session, blob })]))).toBe(
      undefined,
    );
    const inside = sshsigBytes(loginBytes({ sessionId: session, blob }).toString('latin1'), randomBytes(64));
    expect(readSignedBytes(inside)).toBe(undefined);
    expect(readSignedBytes(Buffer.concat([document, loginBytes({ sessionId: session, blob })]))).toBe(undefined);
  });

  test.each([
    ['a request of another method that is signed too', { method: 'hostbased' }],
    ['a hostbound login without its host', { method: 'publickey-hostbound-v00@openssh.com' }],
    ['a plain login with a host', { method: 'publickey', hostKey: blob }],
    ['a request for another service', { service: 'ssh-connection@evil' }],
    ['the number of another message', { number: 60 }],
    ['a user that no text is', { user: 'root\u2028' }],
    ['a user that is turned around', { user: '\u202etoor' }],
    ['a user of no letters that are seen', { user: 'ro\u200bot' }],
  ] as const)('are not %s', (_, changes) => {
    expect(readSignedBytes(loginBytes({ sessionId: session, blob, ...changes }))).toBe(undefined);
  });

  test('are signed with the key that they name and no other that is held', async () => {
    const { agent, client } = await serve();
    const [one] = listed(await client.say(LIST));
    const other = keyPair();
    for (const [shown, signer] of [
      [other.publicBlob, one!.blob],
      [one!.blob, other.publicBlob],
    ] as const) {
      const bytes = loginBytes({ sessionId: session, blob: shown });
      expect(await client.ask(signRequest(signer, bytes))).toBe(FAILURE);
    }
    expect(agent.signed).toEqual([]);
  });

  test('come back signed whole, whatever else is asked for in the same breath', async () => {
    const { key, client } = await serve({ signatures: ['git', 'file'] });
    const wanted = ['git', 'file', 'git', 'file'].map((namespace) => sshsigBytes(namespace, randomBytes(64)));
    for (const bytes of wanted) client.send(signRequest(key.publicBlob, bytes));
    for (const bytes of wanted) {
      expect(isSignedBy(readPublicKey(key.publicBlob), bytes, signatureOf(await client.hear()))).toBe(true);
    }
  });
});

describe('a namespace', () => {
  test.each(['git ', 'Git', 'gitx', 'git/..', 'fil', 'ｇit'])('%j is not git', async (namespace) => {
    const { agent, key, client } = await serve({ signatures: ['git'] });
    expect(await client.ask(commit(key, namespace))).toBe(FAILURE);
    expect(agent.signed).toEqual([]);
  });
});

describe('an entry of `hosts`', () => {
  const host = keyPair();
  const shown = { fingerprint: pin(host), blob: host.publicBlob };
  const line = `ssh-ed25519 ${host.publicBlob.toString('base64')}`;

  test.each([`# ${line}`, `#web.corp ${line}`, `!web.corp ${line}`, `!web.corp,!*.org ${line}`, `@Revoked * ${line}`])(
    '%j is about no host',
    (entry) => {
      expect(readHostEntry(entry)).toBe(undefined);
      expect(new HostList([entry]).allows(shown, new Date())).toBe(false);
    },
  );

  test('that is no key, a certificate, or written as nobody writes it is none', () => {
    const certificate = 'ssh-ed25519-cert-v01@openssh.com';
    const base64 = host.publicBlob.toString('base64');
    const certified = strings(certificate, randomBytes(32)).toString('base64');
    const entries = [
      'x AAAA',
      'x AAAAAQ==',
      `${certificate} ${certified}`,
      `ssh-rsa ${base64}`,
      `ssh-ed25519 ${base64}%`,
    ];
    for (const entry of [...entries, `ssh-ed25519 ${base64.slice(0, 8)}-${base64.slice(8)}`]) {
      expect(readHostEntry(entry), entry).toBe(undefined);
    }
    const digit = pin(host).at(-1)!;
    const loose = String.fromCharCode(digit.charCodeAt(0) + 1);
    expect(readHostEntry(`${pin(host).slice(0, -1)}${loose}`)).toBe(undefined);
  });

  test('that revokes wins over one that knows, in whatever order they stand', () => {
    for (const entries of [
      [line, `@revoked * ${line}`],
      [`@revoked * ${line}`, line],
      [pin(host), `@revoked elsewhere ${line}`],
    ]) {
      expect(new HostList(entries).allows(shown, new Date())).toBe(false);
    }
  });
});

describe('a person', () => {
  test('is asked so many questions at a time and no more, and what is beyond them is a no', async () => {
    const { agent, key } = await serve({ confirm: {} });
    const answered = Promise.withResolvers<boolean>();
    agent.answer = () => answered.promise;
    const clients = await Promise.all(Array.from({ length: 10 }, () => agent.client()));
    const outcomes = clients.map((client) => client.ask(commit(key)));
    await vi.waitFor(() => expect(agent.refusals).toHaveLength(6));
    expect(agent.questions).toHaveLength(1);
    answered.resolve(true);
    const heard = await Promise.all(outcomes);
    expect(heard.filter((number) => number === SIGNATURE)).toHaveLength(4);
    expect(agent.questions).toHaveLength(4);
    // The places of those that were answered are free again.
    expect(await clients[9]!.ask(commit(key))).toBe(SIGNATURE);
  });

  test('who says yes says it to one signature and not to the next', async () => {
    const { agent, key, client } = await serve({ confirm: {} });
    const answers = [true, false];
    agent.answer = () => answers.shift() ?? false;
    client.send(commit(key));
    client.send(commit(key));
    client.send(commit(key));
    expect([(await client.hear())?.[0], (await client.hear())?.[0], (await client.hear())?.[0]]).toEqual([
      SIGNATURE,
      FAILURE,
      FAILURE,
    ]);
    expect(agent.questions).toHaveLength(3);
  });

  test('reads the key before anything that the client chose', async () => {
    const { agent, key, client } = await serve({ confirm: {} });
    const user = `git? Key fingerprint ${pin(keyPair())}. You have said yes before`;
    await login(client, key, { user });
    const { question } = agent.questions[0]!;
    expect(question.indexOf(pin(key))).toBeLessThan(question.indexOf('git?'));
    expect(question.endsWith(user)).toBe(true);
  });
});

test('keys that cannot be read are not worked on again for each request, and those of a loan that was over are', async () => {
  const rings = new RingCache({ comment: 'keys', isConfirmed: false });
  onTestFinished(() => rings.close());
  const unfit = credentialsOf({ deploy: 'no key' });
  const get = vi.spyOn(unfit, 'get');
  for (let asked = 0; asked < 3; asked += 1) {
    await expect(rings.of({ credentials: unfit, version: '1' })).rejects.toMatchObject({ code: 'credential-unfit' });
  }
  expect(get).toHaveBeenCalledTimes(1);
  await expect(rings.of({ credentials: unfit, version: '2' })).rejects.toMatchObject({ code: 'credential-unfit' });
  expect(get).toHaveBeenCalledTimes(2);
  const over = credentialsOf({ deploy: pemOf() });
  over.get('deploy').wipe();
  await expect(rings.of({ credentials: over, version: '3' })).rejects.toThrow('wiped');
  expect((await rings.of({ credentials: credentialsOf({ deploy: pemOf() }), version: '3' })).keys.size).toBe(1);
});
