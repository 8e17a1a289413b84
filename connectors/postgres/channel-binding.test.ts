import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serverEndPoint, signatureHash } from './channel-binding.ts';

const stored = readFileSync(new URL('./testdata/certificates.json', import.meta.url), 'utf8');
const certificates = JSON.parse(stored) as Record<string, string>;
const der = (name: string): Buffer => Buffer.from(certificates[name]!, 'base64');

describe('tls-server-end-point', () => {
  test.each([
    ['rsa-md5', 'sha256'],
    ['rsa-sha1', 'sha256'],
    ['rsa-sha256', 'sha256'],
    ['rsa-sha384', 'sha384'],
    ['pss-sha1', 'sha256'],
    ['pss-sha512', 'sha512'],
    ['ecdsa-sha384', 'sha384'],
  ])('of a certificate signed with %s is its %s', (name, hash) => {
    expect(signatureHash(der(name))).toBe(hash);
    expect(serverEndPoint(der(name))).toEqual(createHash(hash).update(der(name)).digest());
  });

  test('does not exist for Ed25519, whose signature has no hash of its own', () => {
    expect(serverEndPoint(der('ed25519'))).toBeUndefined();
  });

  test.each(['rsa-sha1', 'rsa-sha384', 'pss-sha512', 'ecdsa-sha384'])('agrees with pg on %s', (name) => {
    const { signatureAlgorithmHashFromCertificate } = createRequire(import.meta.url)(
      'pg/lib/crypto/cert-signatures',
    ) as {
      signatureAlgorithmHashFromCertificate: (certificate: Buffer, index: number) => string;
    };
    const theirs = signatureAlgorithmHashFromCertificate(der(name), 0);
    const mapped = /^(md5|sha-?1)$/i.test(theirs) ? 'sha256' : theirs.replace('-', '').toLowerCase();
    expect(signatureHash(der(name))).toBe(mapped);
  });

  test('is undefined, and never an error, for bytes that are no certificate', () => {
    const whole = der('pss-sha512');
    for (let cut = 0; cut < whole.length; cut += 1) expect(signatureHash(whole.subarray(0, cut))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(signatureHash(Buffer.from(bytes))).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(whole);
        changed[at] = byte;
        signatureHash(changed);
      }),
    );
  });
});
