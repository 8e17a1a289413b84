import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from 'secretless-sidecar/connector';
import { publicKeyOf, readCertificate } from 'secretless-sidecar/connector/ssh';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noSshd, publicLine, startSshd, type Sshd } from '../relay/testdata/sshd.ts';
import { run } from '../relay/testdata/relay-server.ts';
import { hostKeyOf, loginKey, type OfferedKey } from './index.ts';
import { isProven, readOffered } from './offered-key.ts';
import { faultOf, ourLogin, ourServer, stockLogin, stockServer } from './testdata/peers.ts';
import { wire } from './wire.ts';

const KEYS: readonly [string, () => KeyObject][] = [
  ['ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ['ecdsa 256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ['ecdsa 384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['ecdsa 521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
  ['rsa', () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
];

describe.each(KEYS)('a key of %s', (_name, make) => {
  const key = make();
  const own = loginKey(key);

  test('signs what is verified, and nothing else is', async () => {
    // ECDSA's numbers have leading zeros one time in 256.
    for (let round = 0; round < 50; round++) {
      const message = Buffer.from(`message ${round}`);
      for (const algorithm of own.algorithms) {
        const offered: OfferedKey = { algorithm: algorithm.signature, blob: Buffer.from(own.blob) };
        const signature = Buffer.from(await own.sign(message, algorithm.signature));
        expect(isProven(offered, message, signature)).toBe(true);
        expect(isProven(offered, Buffer.from('other'), signature)).toBe(false);
        const bent = Buffer.from(signature);
        bent[bent.length - 1]! ^= 1;
        expect(isProven(offered, message, bent)).toBe(false);
        const value = signature.subarray(4 + algorithm.signature.length);
        expect(isProven(offered, message, wire('ssh-rsa', { raw: value }))).toBe(false);
      }
    }
  });

  test('is not taken under another name, cut short or with more behind it', () => {
    const blob = publicKeyOf(key).blob;
    const algorithm = own.algorithms[0]?.signature ?? '';
    expect(readOffered({ algorithm, blob })).toBeDefined();
    expect(readOffered({ algorithm: 'ssh-rsa', blob })).toBeUndefined();
    expect(readOffered({ algorithm: 'ssh-dss', blob })).toBeUndefined();
    expect(readOffered({ algorithm, blob: Buffer.concat([blob, Buffer.of(0)]) })).toBeUndefined();
    for (let length = 0; length < blob.length; length++) {
      expect(readOffered({ algorithm, blob: blob.subarray(0, length) })).toBeUndefined();
    }
  });

  test.skipIf(noSshd !== undefined)('of an OpenSSH client tells who it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'key-'));
    const [type, bits] = _name.split(' ');
    execFileSync('ssh-keygen', [
      '-q',
      '-t',
      type ?? '',
      ...(bits ? ['-b', bits] : []),
      '-N',
      '',
      '-f',
      join(folder, 'key'),
    ]);
    const line =
      execFileSync('ssh-keygen', ['-y', '-f', join(folder, 'key')])
        .toString()
        .split(' ')[1] ?? '';
    const agentOf = ({ blob }: OfferedKey): string | undefined =>
      blob.toString('base64') === line.trim() ? 'me' : undefined;
    const ours = await ourServer({ identity: { kind: 'keys', agentOf } }, (leg) => leg.refuse('seen'));
    const { err } = await run('ssh', [
      '-o',
      'IdentitiesOnly=yes',
      '-i',
      join(folder, 'key'),
      '-p',
      String(ours.port),
      'x@127.0.0.1',
    ]);
    expect(err).toContain('seen');
    expect(ours.legs.map(({ agent }) => agent)).toEqual(['me']);
    ours.stop();
    rmSync(folder, { recursive: true });
  });
});

test('a key is not proven with another algorithm than the one that it was offered with', async () => {
  const own = loginKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  const offered: OfferedKey = { algorithm: 'rsa-sha2-512', blob: Buffer.from(own.blob) };
  const message = Buffer.from('message');
  expect(isProven(offered, message, Buffer.from(await own.sign(message, 'rsa-sha2-512')))).toBe(true);
  expect(isProven(offered, message, Buffer.from(await own.sign(message, 'rsa-sha2-256')))).toBe(false);
});

test('a short RSA key is not taken', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  expect(readOffered({ algorithm: 'rsa-sha2-256', blob: publicKeyOf(privateKey).blob })).toBeUndefined();
});

test('a host key must be a private ed25519 key', () => {
  expect(() => hostKeyOf(generateKeyPairSync('ed25519').publicKey)).toThrow('private ed25519');
  expect(() => hostKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)).toThrow('private ed25519');
});

describe.skipIf(noSshd !== undefined)('an OpenSSH server', () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd.stop());

  test.each(KEYS)('takes a key of %s, bare and with a certificate', async (_name, make) => {
    const key = make();
    const { user } = sshd;
    expect(await faultOf(ourLogin(sshd.port, { user, auth: [{ method: 'publickey', key: loginKey(key) }] }))).toBe(
      'denied',
    );
    const certificate = readCertificate(sshd.certify(publicLine(key)));
    const leg = await ourLogin(sshd.port, { user, auth: [{ method: 'publickey', key: loginKey(key, certificate) }] });
    expect(leg.hostKey.equals(sshd.hostKey)).toBe(true);
    expect(leg.strict).toBe(true);
    expect(sshd.log()).not.toContain('ssh-rsa-cert-v01@openssh.com SHA1');
    const other = generateKeyPairSync('ed25519').privateKey;
    expect(() => loginKey(other, certificate)).toThrow('does not belong');
    writeFileSync(join(sshd.folder, 'authorized_keys'), `${publicLine(key)}\n`);
    const bare = await ourLogin(sshd.port, { user, auth: [{ method: 'publickey', key: loginKey(key) }] });
    expect(bare.method).toBe('publickey');
  });

  test.each([
    ['aes128-gcm@openssh.com', undefined],
    ['aes256-gcm@openssh.com', undefined],
    ['chacha20-poly1305@openssh.com', undefined],
    ['aes256-ctr', 'hmac-sha2-512-etm@openssh.com'],
    ['aes128-ctr', 'hmac-sha2-256'],
  ])('speaks %s with us', async (cipher, mac) => {
    const key = generateKeyPairSync('ed25519').privateKey;
    writeFileSync(join(sshd.folder, 'authorized_keys'), `${publicLine(key)}\n`);
    const algorithms = { cipher: [cipher], ...(mac && { mac: [mac] }) };
    const auth = [{ method: 'publickey', key: loginKey(key) }] as const;
    const leg = await ourLogin(sshd.port, { user: sshd.user, auth, algorithms });
    expect(leg.negotiated.cs.cipher).toBe(cipher);
  });
});

describe('ways of logging in', () => {
  test('are tried in order, those that the upstream does not name left out', async () => {
    const seen: string[] = [];
    const server = await stockServer({}, (context) => {
      seen.push(context.method);
      if (context.method === 'password' && context.password === 'right') context.accept();
      else context.reject(['password', 'publickey']);
    });
    const password = (text: string): { method: 'password'; password: Secret } => ({
      method: 'password',
      password: new Secret(text),
    });
    const auth = [
      password('wrong'),
      { method: 'keyboard-interactive', answer: () => new Secret('x') },
      password('right'),
    ] as const;
    const leg = await ourLogin(server.port, { auth });
    expect([leg.method, seen]).toEqual(['password', ['password', 'password']]);
    server.stop();
  });

  test('that are all refused end in a denial', async () => {
    const server = await stockServer({}, (context) => context.reject(['password']));
    const auth = [{ method: 'password', password: new Secret('wrong') }] as const;
    expect(await faultOf(ourLogin(server.port, { auth }))).toBe('denied');
    server.stop();
  });

  test('may be asked for together', async () => {
    const server = await stockServer({}, (context) => {
      if (context.method === 'publickey') context.reject(['password'], true);
      else if (context.method === 'password') context.accept();
      else context.reject();
    });
    const key = loginKey(generateKeyPairSync('ed25519').privateKey);
    const auth = [
      { method: 'publickey', key },
      { method: 'password', password: new Secret('second') },
    ] as const;
    expect((await ourLogin(server.port, { auth })).method).toBe('password');
    server.stop();
  });

  test('need to be there, and not too many', async () => {
    expect(await faultOf(ourLogin(1, { auth: [] }))).toBe('unfit');
  });
});

test.skipIf(noSshd !== undefined)('a client is told of signatures that are taken, none of them SHA-1', async () => {
  const ours = await ourServer({}, (leg) => leg.refuse('no'));
  const { err } = await run('ssh', ['-vv', '-p', String(ours.port), 'x@127.0.0.1']);
  expect(/server-sig-algs=<(.*)>/.exec(err)?.[1]?.split(',').sort()).toEqual([
    ...['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
    ...['rsa-sha2-256', 'rsa-sha2-512', 'ssh-ed25519'],
  ]);
  ours.stop();
});

test('whoever logs in waits until it is let in', async () => {
  let release: (() => void) | undefined;
  const ours = await ourServer(
    {},
    (leg) => (release = () => void leg.accept().attach({ message: () => undefined, drained: () => undefined })),
  );
  const outcome = stockLogin(ours.port, { authHandler: ['none'] });
  expect(await Promise.race([outcome, new Promise((resolve) => setTimeout(() => resolve('waits'), 300))])).toBe(
    'waits',
  );
  release?.();
  expect(await outcome).toBe('in');
  ours.stop();
});
