import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { base64Decode, base64Lines } from './base64.ts';
import { poly1305 } from './poly1305.ts';
import { publicKeyOf, readPublicKey } from './public-key.ts';
import { number, strings, uint32, WireError, WireReader } from './wire.ts';

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), fc.bigInt({ min: 1n, max: 2n ** 4096n }), (parts, value) => {
      const digits = value.toString(16);
      const magnitude = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
      const reader = new WireReader(Buffer.concat([strings(...parts), number(magnitude)]));
      for (const part of parts) expect(reader.string()).toEqual(Buffer.from(part));
      expect(reader.number()).toEqual(magnitude);
      reader.end();
    }),
  );
});

test('a length that the bytes do not have is refused, and no memory is given for it', () => {
  for (const length of [5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    expect(() => new WireReader(Buffer.concat([uint32(length), Buffer.alloc(4)])).string()).toThrow(WireError);
  }
  expect(() => new WireReader(strings('12345')).string(4)).toThrow('claims 5 bytes');
  expect(() => new WireReader(Buffer.alloc(3)).uint32()).toThrow(WireError);
  expect(() => new WireReader(Buffer.alloc(1)).end()).toThrow(WireError);
});

test('a number has one way to be written', () => {
  for (const hex of ['', '00', '0001', '80', 'ff01', '000080'.slice(0, 4)]) {
    expect(() => new WireReader(strings(Buffer.from(hex, 'hex'))).number()).toThrow(WireError);
  }
  expect(new WireReader(strings(Buffer.from('0080', 'hex'))).number()).toEqual(Buffer.of(0x80));
});

test('a text that is not UTF-8 and a name with a blank are refused', () => {
  expect(() => new WireReader(strings(Buffer.of(0xe9))).text(10)).toThrow(WireError);
  for (const name of ['', 'a b', 'a\0', 'é', 'x'.repeat(65)]) {
    expect(() => new WireReader(strings(name)).name()).toThrow(WireError);
  }
});

test('Base64 is that of Node, in lines', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const text = base64Lines(bytes).toString();
      expect(text.replaceAll('\n', '')).toBe(Buffer.from(bytes).toString('base64'));
      expect(text.split('\n').every((line) => line.length <= 70)).toBe(true);
      expect(base64Decode(Buffer.from(text))).toEqual(Buffer.from(bytes));
      expect(base64Decode(Buffer.from(text.replaceAll('=', '')))).toEqual(Buffer.from(bytes));
    }),
  );
  for (const text of ['A', 'AA=A', 'AB==', 'AAB=', 'A===', 'AA==A', 'A-_=', 'AAAA=', 'AA=']) {
    expect(() => base64Decode(Buffer.from(text))).toThrow(WireError);
  }
});

test('poly1305 gives the tag of RFC 8439 section 2.5.2', () => {
  const key = Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex');
  const tag = poly1305(key, Buffer.from('Cryptographic Forum Research Group'));
  expect(tag.toString('hex')).toBe('a8061dc1305136c6c22b8baf0c0127a9');
});

test('a public key that is no point, too small, too large or followed by bytes is refused', () => {
  const modulus = (bytes: number): Buffer => number(Buffer.alloc(bytes, 0xff));
  const rsa = (e: Buffer, n: Buffer): Buffer => Buffer.concat([strings('ssh-rsa'), number(e), n]);
  const three = Buffer.of(3);
  expect(readPublicKey(rsa(three, modulus(128))).algorithm).toBe('ssh-rsa');
  const bad = [
    rsa(three, modulus(127)),
    rsa(three, modulus(2049)),
    rsa(three, number(Buffer.concat([Buffer.of(0x7f), Buffer.alloc(2048, 0xff)]))),
    rsa(Buffer.of(1), modulus(128)),
    rsa(Buffer.of(2), modulus(128)),
    rsa(Buffer.alloc(9, 3), modulus(128)),
    Buffer.concat([rsa(three, modulus(128)), Buffer.alloc(1)]),
    strings('ssh-ed25519', Buffer.alloc(31)),
    strings('ssh-ed25519', Buffer.alloc(33)),
    strings('ssh-dss', 'x'),
    strings('ecdsa-sha2-nistp256', 'nistp384', Buffer.alloc(65, 4)),
    strings('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65, 4)),
    strings('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(33, 2)),
    Buffer.alloc(0),
    Buffer.alloc(5000),
  ];
  for (const blob of bad) expect(() => readPublicKey(blob)).toThrow(WireError);

  const { blob } = publicKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
  const renamed = Buffer.from(blob.toString('latin1').replace('\bnistp256', '\bnistp384'), 'latin1');
  expect(renamed.equals(blob)).toBe(false);
  expect(() => readPublicKey(renamed)).toThrow(WireError);
});
