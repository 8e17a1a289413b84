import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openChecksum } from './checksum.ts';

const CHECK = Buffer.from('123456789');

function digestOf(name: string, ...pieces: readonly Uint8Array[]): string {
  const checksum = openChecksum(`x-amz-checksum-${name}`)!;
  for (const piece of pieces) checksum.update(piece);
  return checksum.digest();
}

function hex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

describe('checksums behind a body', () => {
  // The check values of the catalogue of parametrised CRC algorithms: each of the digits 1 to 9.
  test.each([
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
  ])('%s of the digits is the published one', (name, expected) => {
    expect(hex(digestOf(name, CHECK))).toBe(expected);
  });

  test('the hashes are those of node', () => {
    for (const name of ['sha1', 'sha256'])
      expect(digestOf(name, CHECK)).toBe(createHash(name).update(CHECK).digest('base64'));
  });

  test('a body in pieces has the checksum of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, cut) => {
        for (const name of ['crc32', 'crc32c', 'crc64nvme', 'sha1'])
          expect(digestOf(name, bytes.subarray(0, cut), bytes.subarray(cut))).toBe(digestOf(name, bytes));
      }),
    );
  });

  test('eight bytes at a time make the same as one at a time', () => {
    const bytes = Buffer.from(Array.from({ length: 1001 }, (_, at) => (at * 37) & 0xff));
    for (const name of ['crc32c', 'crc64nvme'])
      expect(digestOf(name, bytes)).toBe(digestOf(name, ...[...bytes].map((byte) => Uint8Array.of(byte))));
    expect(Number.parseInt(hex(digestOf('crc32', bytes)), 16)).toBe(crc32(bytes));
  });

  test('a trailer that is no checksum is not compared', () => {
    expect(openChecksum('x-amz-meta-note')).toBeUndefined();
  });
});
