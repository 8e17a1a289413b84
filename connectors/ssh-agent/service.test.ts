import { randomBytes } from 'node:crypto';
import { SidecarError } from 'secretless-sidecar/connector';
import {
  fingerprint,
  isSignedBy,
  type PrivateKey,
  readPrivateKey,
  readPublicKey,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { SshAgentConfig } from './config.ts';
import { bindRequest, keyPair, loginBytes, signRequest, sshsigBytes } from './testdata/agent-kit.ts';
import { hasKeygen, KeyFolder } from './testdata/keygen.ts';
import { pemOf, secretOf } from './testdata/served-agent.ts';
import { commit, FAILURE, LIST, listed, login, serve, SIGNATURE, SUCCESS } from './testdata/talk.ts';

describe('what is asked of the sidecar', () => {
  test('keys are listed by one question, and the loan is over before the answer is there', async () => {
    const { agent, key, client } = await serve();
    expect(listed(await client.say(LIST))).toEqual([{ blob: key.publicBlob, comment: 'keys' }]);
    expect(agent.asked).toEqual([
      { facts: { ssh: { request: 'keys' } }, upstream: 'ssh-agent:', released: true, outcome: 'none' },
    ]);
  });

  test('a signature is one question with what it is for, and holds', async () => {
    const { agent, key, client } = await serve();
    const host = keyPair();
    await client.say(LIST);
    const message = commit(key);
    const answer = new WireReader((await client.say(message))!);
    expect(answer.byte()).toBe(SIGNATURE);
    const bytes = new WireReader(message.subarray(1));
    bytes.string();
    const signature = answer.string();
    expect(isSignedBy(readPublicKey(key.publicBlob), bytes.string(), signature)).toBe(true);
    expect(await login(client, key, { host })).toBe(SIGNATURE);
    expect(agent.signed).toEqual([
      { request: 'sign-document', namespace: 'git', forwarded: false },
      { request: 'sign-login', user: 'git', hostKey: fingerprint(host.publicBlob), forwarded: false },
    ]);
    const upstream = `ssh-key:${fingerprint(key.publicBlob)}`;
    const outcome = { bytesUp: sshsigBytes('git', randomBytes(64)).length, bytesDown: signature.length };
    expect(agent.asked[1]).toMatchObject({ upstream, released: true, outcome });
    expect(agent.asked.every(({ released }) => released)).toBe(true);
  });

  test('a client that lists nothing may sign, and asks for the keys first', async () => {
    const { agent, key, client } = await serve();
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    expect(agent.facts).toMatchObject([
      { request: 'keys' },
      { request: 'sign-document' },
      { request: 'sign-document' },
    ]);
  });

  test('what policy refuses is a failure, is not signed, and is the reason of the connection', async () => {
    const { agent, key, client } = await serve();
    agent.allows = ({ ssh }) => ssh?.request === 'keys';
    expect(await client.ask(commit(key))).toBe(FAILURE);
    agent.allows = () => false;
    expect(await client.ask(LIST)).toBe(FAILURE);
    client.socket.end();
    await client.closed();
    await vi.waitFor(() => expect(agent.ends).toHaveLength(1));
    expect(agent.ends[0]!.error).toMatchObject({ code: 'policy-denied', rule: 'no' });
    expect(agent.ends[0]).toMatchObject({ bytesDown: 2 });
  });

  test('a key of nobody is asked for in vain, and only the question for the keys is put', async () => {
    const { agent, client } = await serve();
    expect(await client.ask(commit(keyPair()))).toBe(FAILURE);
    expect(agent.facts).toEqual([{ request: 'keys' }]);
    expect(agent.warnings).toEqual(['a signature was refused: the key is none of this service']);
  });

  test('what is refused before policy is told to the operator once, without a word of the client', async () => {
    const { agent, key, client } = await serve();
    for (let times = 0; times < 3; times += 1) {
      expect(await client.ask(signRequest(key.publicBlob, Buffer.from('whatever it may be')))).toBe(FAILURE);
    }
    expect(agent.warnings).toEqual(['a signature was refused: neither a login nor a document']);
    const refusal = { facts: { ssh: { request: 'sign-document' } }, code: 'policy-denied' };
    expect(agent.refusals).toEqual([refusal, refusal, refusal]);
    const [bytes, elsewhere] = [loginBytes({ sessionId: randomBytes(32), blob: key.publicBlob }), keyPair().publicBlob];
    expect(await client.ask(signRequest(elsewhere, bytes))).toBe(FAILURE);
    expect(agent.warnings).toHaveLength(2);
    expect(agent.warnings[1]).toBe('a signature was refused: a login that names another key or algorithm');
    expect(agent.asked).toEqual([]);
    client.socket.end();
    await vi.waitFor(() => expect(agent.ends[0]?.error?.detail).toBe('neither a login nor a document'));
  });

  test('a key that was rotated signs without a new connection, and the old one no longer does', async () => {
    const { agent, key, client } = await serve();
    await client.say(LIST);
    const pem = pemOf();
    agent.credentials = { deploy: pem };
    const fresh = await readPrivateKey(secretOf(pem));
    expect(await client.ask(commit(key))).toBe(FAILURE);
    expect(await client.ask(commit(fresh))).toBe(SIGNATURE);
    expect(listed(await client.say(LIST)).map(({ blob }) => blob)).toEqual([fresh.publicBlob]);
    expect(agent.asked.every(({ released, outcome }) => released && outcome !== undefined)).toBe(true);
  });
});

describe('what a service signs at all', () => {
  const cases: [string, SshAgentConfig, Parameters<typeof login>[2] | string, number][] = [
    ['a commit', {}, 'git', SIGNATURE],
    ['a file', {}, 'file', FAILURE],
    ['a file where it is listed', { signatures: ['git', 'fi*'] }, 'file', SIGNATURE],
    ['a commit where nothing is listed', { signatures: [] }, 'git', FAILURE],
    ['a login', {}, {}, SIGNATURE],
    ['a login where they are off', { logins: false }, {}, FAILURE],
    ['a commit where logins are off', { logins: false }, 'git', SIGNATURE],
    ['a login as one of the users', { users: ['git', 'deploy-*'] }, { user: 'deploy-7' }, SIGNATURE],
    ['a login as another user', { users: ['git', 'deploy-*'] }, { user: 'root' }, FAILURE],
    ['a login that is not bound', { unbound: 'deny' }, {}, FAILURE],
    ['a bound login', { unbound: 'deny' }, { host: keyPair() }, SIGNATURE],
  ];
  test.each(cases)('%s with %j', async (_, config, what, expected) => {
    const { agent, key, client } = await serve(config);
    const answer = typeof what === 'string' ? await client.ask(commit(key, what)) : await login(client, key, what);
    expect(answer).toBe(expected);
    expect(agent.signed).toHaveLength(expected === SIGNATURE ? 1 : 0);
    expect(agent.warnings).toHaveLength(expected === SIGNATURE ? 0 : 1);
  });

  test('logins go to the hosts that are listed, and proven, alone', async () => {
    const [known, other] = [keyPair(), keyPair()];
    const { key, client, agent } = await serve({ hosts: [fingerprint(known.publicBlob)] });
    expect(await login(client, key)).toBe(FAILURE);
    expect(await login(client, key, { host: known })).toBe(SIGNATURE);
    const elsewhere = await agent.client();
    expect(await login(elsewhere, key, { host: other })).toBe(FAILURE);
    expect(listed(await elsewhere.say(LIST))).toEqual([]);
    expect(listed(await client.say(LIST))).toHaveLength(1);
    const lax = await serve({ hosts: [fingerprint(known.publicBlob)], unbound: 'allow' });
    expect(await login(lax.client, lax.key)).toBe(SIGNATURE);
    expect(await login(lax.client, lax.key, { host: other })).toBe(FAILURE);
  });

  test('hosts on the way get nothing, not even a list, unless they may, and must be listed too', async () => {
    const [hop, host] = [keyPair(), keyPair()];
    const pin = (of: PrivateKey): string => fingerprint(of.publicBlob);
    const through = async (config: SshAgentConfig) => {
      const { agent, key, client } = await serve(config);
      expect(await client.ask(await bindRequest(hop, randomBytes(32), true))).toBe(SUCCESS);
      const keys = listed(await client.say(LIST)).length;
      const document = await client.ask(commit(key));
      return [keys, document, await login(client, key, { host }), agent.signed];
    };
    expect(await through({})).toEqual([0, FAILURE, FAILURE, []]);
    expect(await through({ forwarding: false })).toEqual([0, FAILURE, FAILURE, []]);
    expect(await through({ forwarding: true, hosts: [pin(host)] })).toEqual([0, FAILURE, FAILURE, []]);
    const facts = [
      { request: 'sign-document', namespace: 'git', forwarded: true },
      { request: 'sign-login', user: 'git', hostKey: pin(host), forwarded: true },
    ];
    expect(await through({ forwarding: true })).toEqual([1, SIGNATURE, SIGNATURE, facts]);
    expect(await through({ forwarding: true, hosts: [pin(host), pin(hop)] })).toEqual([1, SIGNATURE, SIGNATURE, facts]);
  });
});

describe('a person', () => {
  test('is asked for each signature, with what it is for, before policy', async () => {
    const { agent, key, client } = await serve({ confirm: { program: ['/opt/ask', '--now'], seconds: 7 } });
    const host = keyPair();
    agent.answer = (question) => question.includes('log in');
    expect(await login(client, key, { host })).toBe(SIGNATURE);
    expect(await client.ask(commit(key))).toBe(FAILURE);
    const [own, at] = [fingerprint(key.publicBlob), fingerprint(host.publicBlob)];
    expect(agent.questions).toEqual([
      {
        program: ['/opt/ask', '--now'],
        question: `Allow use of key keys?\nKey fingerprint ${own}.\nbuilder asks to log in to ${at} as git`,
        seconds: 7,
      },
      expect.objectContaining({ question: expect.stringContaining('builder asks to sign for git') }),
    ]);
    expect(agent.signed).toHaveLength(1);
    expect(agent.warnings).toEqual(['a signature was refused: nobody said yes to it']);
    expect(agent.refusals).toMatchObject([{ code: 'policy-denied' }]);
  });

  test('is asked where the credential `confirm` says so, by the program that is usual', async () => {
    const pem = pemOf();
    const { agent } = await serve({}, { rsa: pem, confirm: 'TRUE' });
    const key = await readPrivateKey(secretOf(pem));
    expect(await (await agent.client()).ask(commit(key))).toBe(SIGNATURE);
    expect(agent.questions).toMatchObject([{ program: ['/usr/bin/ssh-askpass'], seconds: 30 }]);
    agent.credentials = { rsa: pem, confirm: 'false' };
    expect(await (await agent.client()).ask(commit(key))).toBe(SIGNATURE);
    expect(agent.questions).toHaveLength(1);
  });

  test('is asked whatever the credential says where the configuration has it', async () => {
    const pem = pemOf();
    const { agent, client } = await serve({ confirm: {} }, { rsa: pem, confirm: 'false' });
    agent.answer = () => false;
    expect(await client.ask(commit(await readPrivateKey(secretOf(pem))))).toBe(FAILURE);
    expect(agent.questions).toHaveLength(1);
  });

  test('is not passed over where the credentials begin to ask for one between the list and the signature', async () => {
    const pem = pemOf();
    const { agent, client } = await serve({}, { rsa: pem });
    await client.say(LIST);
    agent.credentials = { rsa: pem, confirm: 'true' };
    const key = await readPrivateKey(secretOf(pem));
    expect(await client.ask(commit(key))).toBe(FAILURE);
    expect(agent.questions).toEqual([]);
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    expect(agent.questions).toHaveLength(1);
  });

  test('hears one question at a time, and none for a connection that is over', async () => {
    const { agent, key } = await serve({ confirm: {} });
    const open: ((answer: boolean) => void)[] = [];
    agent.answer = () => new Promise<boolean>((done) => open.push(done));
    const [one, two] = [await agent.client(), await agent.client()];
    const first = one.ask(commit(key));
    await vi.waitFor(() => expect(open).toHaveLength(1));
    const second = two.ask(commit(key));
    await new Promise((done) => setTimeout(done, 50));
    expect(agent.questions).toHaveLength(1);
    open[0]!(true);
    expect(await first).toBe(SIGNATURE);
    await vi.waitFor(() => expect(open).toHaveLength(2));
    open[1]!(false);
    expect(await second).toBe(FAILURE);
    const third = one.ask(commit(key));
    const fourth = two.ask(commit(key));
    await vi.waitFor(() => expect(open).toHaveLength(3));
    agent.killing.abort(new SidecarError('grant-ended'));
    expect(await Promise.all([third, fourth])).toEqual([undefined, undefined]);
    open[2]!(true);
    await new Promise((done) => setTimeout(done, 50));
    expect(agent.questions).toHaveLength(3);
  });
});

describe('keys', () => {
  test('have the comment of the credential, the configuration or the service, and their names where there are several', async () => {
    const [one, two] = [pemOf(), pemOf()];
    const comments = async (config: SshAgentConfig, credentials: Readonly<Record<string, string>>) => {
      const { client } = await serve(config, credentials);
      return listed(await client.say(LIST)).map(({ comment }) => comment);
    };
    expect(await comments({}, { rsa: one, comment: 'ours\n' })).toEqual(['ours']);
    expect(await comments({ comment: 'theirs' }, { rsa: one })).toEqual(['theirs']);
    expect(await comments({ comment: 'theirs' }, { b: one, a: two })).toEqual(['theirs (b)', 'theirs (a)']);
    expect(await comments({}, { b: one, again: one })).toEqual(['keys (b)']);
  });

  test('one that cannot be read does not keep the others back, and is told by the name of its credential', async () => {
    const { agent, client } = await serve({}, { good: pemOf(), bad: 'canary-that-is-no-key' });
    expect(listed(await client.say(LIST))).toHaveLength(1);
    expect(agent.warnings).toEqual([expect.stringMatching(/^credential "bad": .*: it is not offered$/)]);
    expect(agent.warnings.join()).not.toContain('canary');
    agent.credentials = { bad: 'canary-that-is-no-key' };
    expect(await client.ask(LIST)).toBe(FAILURE);
    client.socket.end();
    await vi.waitFor(() => expect(agent.ends[0]?.error?.code).toBe('credential-unfit'));
    expect(String(agent.ends[0]!.error)).not.toContain('canary');
  });

  test.each([
    ['lifetime', 'an hour'],
    ['lifetime', '-1'],
    ['lifetime', '4294967296'],
    ['confirm', 'maybe'],
  ])('none is offered where %s is %j: what restricts them is unclear', async (name, text) => {
    const { agent, client } = await serve({}, { rsa: pemOf(), [name]: text });
    expect(await client.ask(LIST)).toBe(FAILURE);
    client.socket.end();
    await vi.waitFor(() => expect(agent.ends[0]?.error?.detail).toBe(`credential "${name}" is unclear`));
  });

  test('are not more than clients take', async () => {
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, at) => [`key${at}`, pemOf()]));
    const { agent, client } = await serve({}, many);
    expect(await client.ask(LIST)).toBe(FAILURE);
    client.socket.end();
    await vi.waitFor(() => expect(agent.ends[0]?.error?.detail).toBe('257 keys and certificates'));
    const { key256: _, ...fewer } = many;
    agent.credentials = fewer;
    expect(listed(await (await agent.client()).say(LIST))).toHaveLength(256);
  });

  test('are gone when their lifetime is over, also for a connection that has them listed', async () => {
    const pem = pemOf();
    const { agent } = await serve({}, { rsa: pem, lifetime: '1' });
    const key = await readPrivateKey(secretOf(pem));
    const client = await agent.client();
    expect(listed(await client.say(LIST))).toHaveLength(1);
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    await new Promise((done) => setTimeout(done, 1100));
    expect(await client.ask(commit(key))).toBe(FAILURE);
    expect(listed(await client.say(LIST))).toEqual([]);
    expect(agent.signed).toHaveLength(1);
    agent.credentials = { rsa: pem, lifetime: '0' };
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
  });

  test('are read once for a version, and no longer kept than a minute after their last use', async () => {
    const { agent, key, client } = await serve();
    await client.say(LIST);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    vi.advanceTimersByTime(59_000);
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    vi.advanceTimersByTime(59_000);
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    agent.versionOf = () => 'the same';
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    // Of the same version, but other bytes: whoever reads them sees that.
    agent.credentials = { deploy: 'no key' };
    expect(await client.ask(commit(key))).toBe(SIGNATURE);
    vi.advanceTimersByTime(60_000);
    expect(await client.ask(commit(key))).toBe(FAILURE);
  });

  test('many connections at once cause one reading, and one that ends takes nothing from the others', async () => {
    const { agent, key } = await serve();
    const clients = await Promise.all(Array.from({ length: 8 }, () => agent.client()));
    const answers = clients.map((client) => client.ask(commit(key)).catch(() => undefined));
    clients[0]!.socket.destroy();
    expect(await Promise.all(answers.slice(1))).toEqual(Array.from({ length: 7 }, () => SIGNATURE));
  });
});

describe.skipIf(!hasKeygen)('keys made by ssh-keygen', () => {
  const folder = (): KeyFolder => {
    const keys = new KeyFolder();
    onTestFinished(() => keys.remove());
    return keys;
  };

  test('open with the passphrase of their name, with a line break at its end or without', async () => {
    const keys = folder();
    const made = keys.make('ed25519', 'open sesame');
    const text = made.text.toString();
    for (const credentials of [
      { privateKey: text, passphrase: 'open sesame\n' },
      { work: text, workPassphrase: 'open sesame' },
    ]) {
      const { client } = await serve({}, credentials);
      expect(listed(await client.say(LIST)).map(({ blob }) => blob)).toEqual([made.blob]);
    }
    const { client, agent } = await serve({}, { work: text, workPassphrase: 'open sesam' });
    expect(await client.ask(LIST)).toBe(FAILURE);
    expect(agent.asked.every(({ released }) => released)).toBe(true);
  });

  test('are listed with their certificate in front, until it expires', async () => {
    const keys = folder();
    const [authority, made, other] = [keys.make('ed25519'), keys.make('ed25519'), keys.make('ed25519')];
    const certify = (path: string, ...more: string[]): string => {
      keys.run('-q', '-s', authority.path, '-I', 'id', ...more, `${path}.pub`);
      return keys.textOf(`${path}-cert.pub`);
    };
    const [good, old] = [certify(made.path, '-n', 'git'), certify(made.path, '-n', 'git', '-V', '20200101:20200102')];
    const wrong = {
      host: certify(made.path, '-h', '-n', 'web'),
      other: certify(other.path, '-n', 'git'),
      none: made.line,
    };
    const list = async (certificate: string) => {
      const { agent, client } = await serve({}, { work: made.text.toString(), workCertificate: certificate });
      return { agent, client, blobs: listed(await client.say(LIST)).map(({ blob }) => blob) };
    };
    const { client, blobs } = await list(good);
    expect(blobs).toEqual([keys.blobOf(good), made.blob]);
    const bytes = sshsigBytes('git', randomBytes(64));
    expect(await client.ask(signRequest(blobs[0]!, bytes))).toBe(SIGNATURE);
    expect((await list(old)).blobs).toEqual([made.blob]);
    expect(await (await list(old)).client.ask(signRequest(keys.blobOf(old), bytes))).toBe(FAILURE);
    for (const text of Object.values(wrong)) {
      const { agent, blobs: plain } = await list(text);
      expect(plain).toEqual([made.blob]);
      expect(agent.warnings).toEqual([expect.stringMatching(/^credential "workCertificate": .*: it is not offered$/)]);
    }
  });
});
