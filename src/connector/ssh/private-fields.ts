import { createPrivateKey, type KeyObject } from 'node:crypto';
import { derInteger, derOf, TAG } from './der.ts';
import type { Curve } from './public-key.ts';
import { withScratch } from './scratch.ts';
import { WireError } from './wire.ts';

/** Magnitudes of an RSA key; `inverse` is that of q modulo p. */
export interface RsaFields {
  readonly n: Buffer;
  readonly e: Buffer;
  readonly d: Buffer;
  readonly p: Buffer;
  readonly q: Buffer;
  readonly inverse: Buffer;
}

/** PKCS#8 of an ed25519 key up to its seed (RFC 8410 section 7). */
const ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Errors of all three: `WireError` where the crypto library makes no key of it. */
export function rsaPrivateKey({ n, e, d, p, q, inverse }: RsaFields): Promise<KeyObject> {
  return withScratch((scratch) => {
    const numbers = [Buffer.alloc(1), n, e, d, p, q, remainderOfLess(d, p), remainderOfLess(d, q), inverse];
    scratch.keep(numbers[6]!);
    scratch.keep(numbers[7]!);
    // RSAPrivateKey, RFC 8017 appendix A.1.2.
    const integers = numbers.map((one) => derInteger(scratch, withoutZeros(one)));
    return imported(derOf(scratch, TAG.sequence, ...integers), 'pkcs1');
  });
}

export function ecdsaPrivateKey(curve: Curve, d: Buffer, point: Buffer): Promise<KeyObject> {
  return withScratch((scratch) => {
    if (d.length > curve.bytes) throw new WireError('a number larger than its curve');
    const fixed = scratch.keep(Buffer.alloc(curve.bytes));
    fixed.set(d, curve.bytes - d.length);
    // ECPrivateKey, RFC 5915 section 3.
    const parts = [
      derInteger(scratch, Buffer.of(1)),
      derOf(scratch, TAG.octetString, fixed),
      derOf(scratch, TAG.first, Buffer.from(curve.identifier, 'hex')),
      derOf(scratch, TAG.second, derOf(scratch, TAG.bitString, Buffer.alloc(1), point)),
    ];
    return imported(derOf(scratch, TAG.sequence, ...parts), 'sec1');
  });
}

export function ed25519PrivateKey(seed: Buffer): Promise<KeyObject> {
  return withScratch((scratch) => {
    if (seed.length !== 32) throw new WireError(`an ed25519 key of ${seed.length} bytes`);
    return imported(scratch.keep(Buffer.concat([ED25519_PREFIX, seed])), 'pkcs8');
  });
}

function imported(der: Buffer, type: 'pkcs1' | 'pkcs8' | 'sec1'): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type });
  } catch {
    throw new WireError('a private key that is no key');
  }
}

function withoutZeros(number: Buffer): Buffer {
  let zeros = 0;
  while (zeros < number.length && number[zeros] === 0) zeros += 1;
  return number.subarray(zeros);
}

/**
 * `value` modulo `prime` - 1, for the exponents that OpenSSH and PuTTY leave out. In buffers, bit by bit, because
 * a BigInt cannot be overwritten.
 */
function remainderOfLess(value: Buffer, prime: Buffer): Buffer {
  if (prime.at(-1)! % 2 === 0) throw new WireError('a prime that is even');
  const modulus = Buffer.concat([Buffer.alloc(1), prime]);
  modulus[modulus.length - 1]! -= 1;
  const rest = Buffer.alloc(modulus.length);
  for (const byte of value) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      let carry = (byte >> bit) & 1;
      for (let at = rest.length - 1; at >= 0; at -= 1) {
        const doubled = rest[at]! * 2 + carry;
        rest[at] = doubled & 0xff;
        carry = doubled >> 8;
      }
      if (rest.compare(modulus) >= 0) subtract(rest, modulus);
    }
  }
  modulus.fill(0);
  return rest;
}

function subtract(from: Buffer, amount: Buffer): void {
  let borrow = 0;
  for (let at = from.length - 1; at >= 0; at -= 1) {
    const difference = from[at]! - amount[at]! - borrow;
    from[at] = difference & 0xff;
    borrow = difference < 0 ? 1 : 0;
  }
}
