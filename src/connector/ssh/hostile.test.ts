import { generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Secret } from '../../credential/secret.ts';
import { derInteger, derOf, TAG } from './der.ts';
import { KnownHosts } from './known-hosts.ts';
import { readPrivateKey } from './private-key.ts';
import { Scratch } from './scratch.ts';
import { number, strings, uint32 } from './wire.ts';

async function refusalOf(text: string, passphrase?: string): Promise<string> {
  const word = passphrase === undefined ? undefined : new Secret(passphrase);
  const error: unknown = await readPrivateKey(new Secret(text), word).then(
    () => 'none',
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'credential-unfit' });
  return (error as { readonly detail?: string }).detail ?? '';
}

/** A file of OpenSSH without a passphrase, whatever its fields say. */
function container(
  type: string,
  open: Buffer,
  hidden: Buffer,
  { keys = 1, cipher = 'none', kdf = 'none' } = {},
): string {
  const body = Buffer.concat([uint32(7), uint32(7), strings(type), hidden, strings('')]);
  const padding = Buffer.from(Array.from({ length: (8 - (body.length % 8)) % 8 }, (_, at) => at + 1));
  const section = strings(Buffer.concat([body, padding]));
  const blob = strings(Buffer.concat([strings(type), open]));
  const head = [Buffer.from('openssh-key-v1\0'), strings(cipher, kdf, ''), uint32(keys)];
  const whole = Buffer.concat([...head, blob, section]).toString('base64');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${whole}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

const bytesOf = (jwk: JsonWebKey, field: keyof JsonWebKey): Buffer => Buffer.from(jwk[field] as string, 'base64url');
const jwkOf = (key: KeyObject): JsonWebKey => key.export({ format: 'jwk' });

describe('a key of RSA', () => {
  const jwk = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  const [n, e, d, p, q, qi] = (['n', 'e', 'd', 'p', 'q', 'qi'] as const).map((field) => bytesOf(jwk, field)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const text = (changes: Partial<Record<'n' | 'e' | 'd' | 'p' | 'q' | 'qi', Buffer>> = {}): string => {
    const all = { n, e, d, p, q, qi, ...changes };
    const hidden = [all.n, all.e, all.d, all.qi, all.p, all.q].map(number);
    return container('ssh-rsa', Buffer.concat([number(all.e), number(all.n)]), Buffer.concat(hidden));
  };
  const even = (odd: Buffer): Buffer => Buffer.concat([odd.subarray(0, -1), Buffer.of(odd.at(-1)! & 0xfe)]);
  const one = Buffer.of(1);

  test('is read where its numbers belong together', async () => {
    expect((await readPrivateKey(new Secret(text()))).algorithm).toBe('ssh-rsa');
  });

  test.each([
    ['an exponent of 1, so that a signature is what it signs', { e: one }],
    ['exponents of 1', { e: one, d: one }],
    ['an even exponent', { e: Buffer.of(1, 0, 0) }],
    ['an exponent of nine bytes', { e: Buffer.from('010000000000000001', 'hex') }],
    ['an even modulus', { n: even(n) }],
    ['an even prime', { p: even(p) }],
    ['the other even prime', { q: even(q) }],
    ['a private exponent of another key', { d: one }],
    ['a modulus of another key', { n: Buffer.concat([Buffer.of(0xc1), n.subarray(1, -1), Buffer.of(0x0f)]) }],
    ['a modulus of 512 bits', { n: n.subarray(0, 64) }],
    ['numbers that are all the greatest', Object.fromEntries(['n', 'd', 'p', 'q', 'qi'].map((name) => [name, n]))],
  ])('with %s is unfit', async (_, changes) => {
    expect(await refusalOf(text(changes))).toMatch(/^the private key cannot be used: /);
  });
});

describe('a key on a curve', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = jwkOf(privateKey);
  const [x, y, d] = [bytesOf(jwk, 'x'), bytesOf(jwk, 'y'), bytesOf(jwk, 'd')];
  const point = Buffer.concat([Buffer.of(4), x, y]);
  const text = (own: Buffer, secret: Buffer, curve = 'nistp256'): string =>
    container('ecdsa-sha2-nistp256', strings(curve, own), Buffer.concat([strings(curve, own), number(secret)]));
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');

  test.each([
    ['a point that is not on it', Buffer.concat([point.subarray(0, -1), Buffer.of(point.at(-1)! ^ 1)]), d],
    ['the point at infinity', Buffer.of(0), d],
    ['no point', Buffer.alloc(0), d],
    ['a compressed point', Buffer.concat([Buffer.of(2 + (y.at(-1)! & 1)), x]), d],
    ['the secret of another point', point, Buffer.of(5)],
    ['a secret as large as its order', point, order],
    ['a secret of more bytes than it has', point, Buffer.alloc(33, 0xff)],
  ])('with %s is unfit', async (_, own, secret) => {
    expect(await refusalOf(text(own, secret))).toMatch(/^the private key cannot be used: /);
  });

  test('of another name than its type is unfit', async () => {
    expect(await refusalOf(text(point, d, 'nistp384'))).toContain('a curve that is not that of the type');
  });

  test.each(['brainpoolP256r1', 'secp256k1', 'P-224', 'prime192v1'])(
    '%s is unfit, and no fault of ours',
    async (namedCurve) => {
      const key = generateKeyPairSync('ec', { namedCurve }).privateKey;
      for (const type of ['pkcs8', 'sec1'] as const) {
        expect(await refusalOf(key.export({ format: 'pem', type }).toString())).toContain(
          'a curve that SSH does not know',
        );
      }
    },
  );
});

describe('a key of ed25519', () => {
  const jwk = jwkOf(generateKeyPairSync('ed25519').privateKey);
  const [x, d] = [bytesOf(jwk, 'x'), bytesOf(jwk, 'd')];
  const other = bytesOf(jwkOf(generateKeyPairSync('ed25519').privateKey), 'x');
  const text = (shown: Buffer, inside: Buffer, pair: Buffer): string =>
    container('ssh-ed25519', strings(shown), strings(inside, Buffer.concat([d, pair])));

  test.each([
    ['outside', other, x, x],
    ['inside', x, other, x],
    ['behind its seed', x, x, other],
    ['everywhere but in its seed', other, other, other],
  ])('with the public half of another %s is unfit', async (_, shown, inside, pair) => {
    expect(await refusalOf(text(shown, inside, pair))).toContain('two halves of two keys');
  });
});

describe('a file', () => {
  const jwk = jwkOf(generateKeyPairSync('ed25519').privateKey);
  const x = bytesOf(jwk, 'x');
  const hidden = strings(x, Buffer.concat([bytesOf(jwk, 'd'), x]));

  test('of several keys, or with a derivation and no cipher, is unfit', async () => {
    expect(await refusalOf(container('ssh-ed25519', strings(x), hidden, { keys: 2 }))).toContain('more than one key');
    expect(await refusalOf(container('ssh-ed25519', strings(x), hidden, { keys: 0 }))).toContain('more than one key');
    expect(await refusalOf(container('ssh-ed25519', strings(x), hidden, { kdf: 'bcrypt' }))).toContain(
      'without a cipher',
    );
    expect(await refusalOf(container('ssh-ed25519', strings(x), hidden, { cipher: 'rot13', kdf: 'bcrypt' }))).toContain(
      'a cipher that is not known',
    );
  });

  test.each(['x25519', 'ed448', 'x448'] as const)('of %s is unfit', async (type) => {
    const { privateKey } = generateKeyPairSync(type as 'ed448');
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    expect(await refusalOf(pem)).toContain('a type of key that SSH does not know');
  });

  const pbkdf2 = '06092a864886f70d01050c';
  const scrypt = '06092b06010401da47040b';
  const oid = (hex: string): Buffer => Buffer.from(hex, 'hex');
  /** Encrypted PKCS#8 whose key takes that much work; what is encrypted is nothing. */
  function encrypted(derivation: string, ...numbers: readonly number[]): string {
    const scratch = new Scratch();
    const integers = numbers.map((value) => derInteger(scratch, uint32(value).subarray(value > 0xffffff ? 0 : 1)));
    const salt = derOf(scratch, TAG.octetString, Buffer.alloc(16, 7));
    const kdf = derOf(scratch, TAG.sequence, oid(derivation), derOf(scratch, TAG.sequence, salt, ...integers));
    const iv = derOf(scratch, TAG.octetString, Buffer.alloc(16));
    const cipher = derOf(scratch, TAG.sequence, oid('060960864801650304012a'), iv);
    const pbes2 = derOf(
      scratch,
      TAG.sequence,
      oid('06092a864886f70d01050d'),
      derOf(scratch, TAG.sequence, kdf, cipher),
    );
    const whole = derOf(scratch, TAG.sequence, pbes2, derOf(scratch, TAG.octetString, Buffer.alloc(48)));
    const base64 = whole.toString('base64').replace(/(.{64})/g, '$1\n');
    return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${base64}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
  }

  test.each([
    ['iterations of PBKDF2', pbkdf2, [0x7fff_ffff]],
    ['iterations of PBKDF2 beside a length', pbkdf2, [3_000_000, 32]],
    ['lanes of scrypt', scrypt, [16_384, 8, 1_000_000]],
  ] as const)('that asks for hours by %s is refused before they begin', async (_, derivation, numbers) => {
    const began = performance.now();
    expect(await refusalOf(encrypted(derivation, ...numbers), 'x')).toContain('takes too much');
    // Nor is one that hides behind a key that is none.
    const hidden = `-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n${encrypted(derivation, ...numbers)}`;
    expect(await refusalOf(hidden, 'x')).toContain('takes too much');
    expect(await refusalOf(`${encrypted(pbkdf2, 2048)}${encrypted(derivation, ...numbers)}`, 'x')).toContain(
      'takes too much',
    );
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test('is worked on beside few others, and a passphrase that is wrong keeps nobody waiting for ever', async () => {
    let [active, most] = [0, 0];
    const count = (worker: Worker): void => {
      most = Math.max(most, (active += 1));
      worker.once('exit', () => (active -= 1));
    };
    process.on('worker', count);
    onTestFinished(() => void process.off('worker', count));
    const { privateKey } = generateKeyPairSync('ed25519');
    const text = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
    const tried = Array.from({ length: 12 }, (_, at) =>
      readPrivateKey(new Secret(text), new Secret(at % 2 ? 'x' : 'y')),
    );
    const outcomes = await Promise.allSettled(tried);
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(outcomes.map((_, at) => at % 2 === 1));
    // One that has answered may still be about to end.
    expect(most).toBeLessThanOrEqual(4);
  });

  test('that asks for no more than usual is tried', async () => {
    expect(await refusalOf(encrypted(pbkdf2, 600_000), 'x')).toContain('the passphrase is wrong');
    const { privateKey } = generateKeyPairSync('ed25519');
    const text = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
    expect((await readPrivateKey(new Secret(text), new Secret('x'))).algorithm).toBe('ssh-ed25519');
    expect(await refusalOf(text.replace('-----END ENCRYPTED PRIVATE KEY-----', ''), 'x')).toContain('cut');
  });
});

describe('known hosts', () => {
  const now = new Date('2026-06-01T00:00:00Z');
  const key = strings('ssh-ed25519', Buffer.alloc(32, 7));
  const line = `ssh-ed25519 ${key.toString('base64')}`;
  const verdict = (text: string, host = 'web.corp', port = 22) =>
    new KnownHosts(text).verdict({ host, port }, key, now);

  test.each<[string, string, string, number]>([
    [`*.corp,!web.corp ${line}`, 'unknown', 'web.corp', 22],
    [`!web.corp,*.corp ${line}`, 'unknown', 'WEB.corp', 22],
    [`!web.corp ${line}`, 'unknown', 'web.corp', 22],
    [`web.corp ${line}`, 'unknown', 'web.corp', 2222],
    [`[web.corp]:2222 ${line}`, 'unknown', 'web.corp', 22],
    [`[web.corp]:2222 ${line}`, 'trusted', 'web.corp', 2222],
    [`[*.corp]:2222 ${line}`, 'trusted', 'web.corp', 2222],
    [`*.corp ${line}`, 'unknown', 'web.corp.evil.example', 22],
    [`web?corp ${line}`, 'trusted', 'web.corp', 22],
    [`web.corp ${line}\n@revoked * ${line}`, 'revoked', 'web.corp', 22],
    [`@revoked * ${line}\nweb.corp ${line}`, 'revoked', 'web.corp', 22],
    [`@cert-authority * ${line}`, 'changed', 'web.corp', 22],
  ])('%j say %s of %s, port %d', (text, expected, host, port) => {
    expect(verdict(text, host, port)).toBe(expected);
  });

  test.each([
    `@Revoked web.corp ${line}`,
    `@cert-authority @revoked web.corp ${line}`,
    `web.corp`,
    `web.corp ssh-ed25519`,
    `web.corp ssh-rsa ${key.toString('base64')}`,
    `web.corp,,x ${line}`,
    `|2|AAAA|AAAA ${line}`,
    `|1|AAAA|AAAA ${line}`,
    `web.corp 2048 65537 1234`,
  ])('with a line that cannot be read are refused whole: %j', (bad) => {
    expect(() => new KnownHosts(`web.corp ${line}\n${bad}\n`)).toThrow('line 2 of the known hosts');
  });

  test('of many stars and a name of many letters are compared in no time', () => {
    const pattern = `${'*a'.repeat(500)}*b`;
    const began = performance.now();
    expect(verdict(`${pattern} ${line}`, 'a'.repeat(1000))).toBe('unknown');
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
