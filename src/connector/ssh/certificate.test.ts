import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { certificateProblem, readCertificate } from './certificate.ts';
import { PrivateKey } from './private-key.ts';
import { publicKeyOf } from './public-key.ts';
import { readPublicLine } from './public-line.ts';
import { hasKeygen, KeyFolder, type MadeKey } from './testdata/keygen.ts';
import { strings, uint32, WireError } from './wire.ts';

const folder = new KeyFolder();
afterAll(() => folder.remove());

function certified(authority: MadeKey, key: MadeKey, ...options: readonly string[]): Buffer {
  folder.run('-q', '-s', authority.path, '-I', 'agent-7 run-1', ...options, `${key.path}.pub`);
  return readPublicLine(readFileSync(`${key.path}-cert.pub`, 'utf8')).blob;
}

describe.skipIf(!hasKeygen)('a certificate that ssh-keygen made', () => {
  test('is read for every type of key and of authority', () => {
    const types = ['ed25519', 'rsa 2048', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521'];
    for (const [index, type] of types.entries()) {
      const key = folder.make(type);
      const authority = folder.make(types[(index + 1) % types.length]!);
      const blob = certified(authority, key, '-n', 'deploy,root', '-z', '42', '-V', '20260101000000Z:20270101000000Z');
      const certificate = readCertificate(blob);
      expect(certificate.type).toBe(`${certificate.key.algorithm}-cert-v01@openssh.com`);
      expect(certificate.key.blob).toEqual(key.blob);
      expect(certificate.authority.blob).toEqual(authority.blob);
      expect(certificate).toMatchObject({ kind: 'user', keyId: 'agent-7 run-1', principals: ['deploy', 'root'] });
      expect(certificate.serial).toBe(42n);
      expect(certificate.validFrom).toBe(BigInt(Date.UTC(2026, 0) / 1000));
      expect(certificate.validBefore).toBe(BigInt(Date.UTC(2027, 0) / 1000));
      expect([...certificate.extensions.keys()]).toContain('permit-pty');
    }
  });

  test('tells its options and for what it serves', () => {
    const authority = folder.make('ed25519');
    const options = ['-O', 'clear', '-O', 'force-command=git-shell', '-O', 'source-address=10.0.0.0/8'];
    const certificate = readCertificate(
      certified(authority, folder.make('ed25519'), '-n', 'git', '-V', '20260101000000Z:20270101000000Z', ...options),
    );
    expect(Object.fromEntries(certificate.criticalOptions)).toEqual({
      'force-command': 'git-shell',
      'source-address': '10.0.0.0/8',
    });
    expect(certificate.extensions.size).toBe(0);
    const problem = (principal: string, now: string, kind: 'user' | 'host' = 'user'): string | undefined =>
      certificateProblem(certificate, { kind, principal, now: new Date(now) });
    expect(problem('git', '2026-01-01T00:00:00Z')).toBeUndefined();
    expect(problem('git', '2026-12-31T23:59:59Z')).toBeUndefined();
    expect(problem('git', '2025-12-31T23:59:59Z')).toBe('not-yet-valid');
    expect(problem('git', '2027-01-01T00:00:00Z')).toBe('expired');
    expect(problem('root', '2026-06-01T00:00:00Z')).toBe('wrong-principal');
    expect(problem('git', '2026-06-01T00:00:00Z', 'host')).toBe('wrong-kind');
  });

  test('without names serves any user and no host', () => {
    const authority = folder.make('ed25519');
    const user = readCertificate(certified(authority, folder.make('ed25519')));
    const host = readCertificate(certified(authority, folder.make('ed25519'), '-h'));
    const now = new Date();
    expect(user.validBefore).toBe(2n ** 64n - 1n);
    expect(certificateProblem(user, { kind: 'user', principal: 'anyone', now })).toBeUndefined();
    expect(certificateProblem(host, { kind: 'host', principal: 'web', now })).toBe('wrong-principal');
  });

  test('is none when any of its bits is another, or when it is cut', () => {
    const blob = certified(folder.make('ed25519'), folder.make('ecdsa 256'), '-n', 'git');
    for (let at = 0; at < blob.length; at += 1) {
      const changed = Buffer.from(blob);
      changed[at]! ^= 1 << (at % 8);
      expect(() => readCertificate(changed)).toThrow(WireError);
      expect(() => readCertificate(blob.subarray(0, at))).toThrow(WireError);
    }
    expect(() => readCertificate(Buffer.concat([blob, Buffer.alloc(1)]))).toThrow(WireError);
  });

  test('is told from a key', () => {
    expect(() => readCertificate(folder.make('ed25519').blob)).toThrow('a key, and no certificate');
  });
});

interface Parts {
  readonly kind?: number;
  readonly principals?: readonly string[];
  readonly critical?: Buffer;
  readonly extra?: Buffer;
}

/** A certificate that an authority has really signed, of parts that ssh-keygen would not put together. */
async function signed({ kind = 2, principals = ['web'], critical = strings(''), extra }: Parts): Promise<Buffer> {
  const make = (): PrivateKey => {
    const { privateKey } = generateKeyPairSync('ed25519');
    return new PrivateKey(privateKey, publicKeyOf(privateKey));
  };
  const [key, authority] = [make(), make()];
  const body = Buffer.concat([
    strings('ssh-ed25519-cert-v01@openssh.com', 'nonce', key.publicBlob.subarray(-32)),
    Buffer.alloc(8),
    uint32(kind),
    strings('id', strings(...principals)),
    Buffer.alloc(8),
    Buffer.alloc(8, 0xff),
    critical,
    strings('', '', authority.publicBlob),
  ]);
  return Buffer.concat([body, strings(await authority.sign(body)), extra ?? Buffer.alloc(0)]);
}

test('a certificate of a host with a critical option serves for nothing, for none is defined', async () => {
  const use = { kind: 'host', principal: 'web', now: new Date() } as const;
  expect(certificateProblem(readCertificate(await signed({})), use)).toBeUndefined();
  const critical = strings(strings('verify-required', ''));
  expect(certificateProblem(readCertificate(await signed({ critical })), use)).toBe('critical-option');
});

test('a certificate that is signed and still wrong in itself is refused', async () => {
  const many = (count: number): string[] => Array.from({ length: count }, (_, at) => `host-${at}`);
  expect(readCertificate(await signed({ principals: many(256) })).principals).toHaveLength(256);
  const wrong: Parts[] = [
    { principals: many(257) },
    { principals: [''] },
    { principals: ['web\0evil'] },
    { kind: 0 },
    { kind: 3 },
    { critical: strings(strings('twice', '', 'twice', '')) },
    { critical: strings(strings('loose', Buffer.concat([strings('value'), Buffer.alloc(1)]))) },
    { critical: strings(strings(...many(65).flatMap((name) => [name, '']))) },
    { critical: strings(Buffer.of(0, 0)) },
    { extra: Buffer.alloc(1) },
  ];
  for (const parts of wrong) {
    const blob = await signed(parts);
    expect(() => readCertificate(blob), JSON.stringify(parts)).toThrow(WireError);
  }
});
