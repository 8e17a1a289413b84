import { expect, test } from 'vitest';
import { addOne, EcdsaKey, isAtMost } from './sigv4a.ts';

test('the key pair is the one that other implementations derive', () => {
  // aws-c-auth, tests/key_derivation_tests.c (Apache-2.0): "derived in synchronicity with Golang and IAM".
  const key = EcdsaKey.derive(Buffer.from('q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom'), 'AKISORANDOMAASORANDOM');
  const { x, y } = key.publicKey.export({ format: 'jwk' });
  expect(Buffer.from(x!, 'base64url').toString('hex')).toBe(
    '15d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb',
  );
  expect(Buffer.from(y!, 'base64url').toString('hex')).toBe(
    '0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0',
  );
});

test('the key depends on the access key id and on the secret', () => {
  const publicOf = (secret: string, id: string): string =>
    EcdsaKey.derive(Buffer.from(secret), id).publicKey.export({ format: 'der', type: 'spki' }).toString('hex');
  expect(new Set([publicOf('a', 'A'), publicOf('a', 'B'), publicOf('b', 'A')]).size).toBe(3);
});

test('a signature holds for its text and for no other', () => {
  const key = EcdsaKey.derive(Buffer.from('secret'), 'AKID');
  const signature = key.signHex('text');
  expect(key.verifies('text', signature)).toBe(true);
  expect(key.verifies('texT', signature)).toBe(false);
  expect(key.verifies('text', '30'.repeat(71))).toBe(false);
  expect(key.verifies('text', '')).toBe(false);
});

test('candidates are compared as numbers', () => {
  const limit = Buffer.from('01ff00', 'hex');
  for (const [value, wanted] of [
    ['01ff00', true],
    ['01feff', true],
    ['000000', true],
    ['01ff01', false],
    ['020000', false],
    ['ffffff', false],
  ] as const) {
    expect(isAtMost(Buffer.from(value, 'hex'), limit), value).toBe(wanted);
  }
});

test('one is added across bytes', () => {
  expect(
    ['000000', '0000ff', '00ffff', 'ffffffff'].map((hex) => addOne(Buffer.from(hex, 'hex')).toString('hex')),
  ).toEqual(['000001', '000100', '010000', '00000000']);
});
