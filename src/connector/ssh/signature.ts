import { type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { CURVES, type KeyAlgorithm, type PublicKey } from './public-key.ts';
import { number, strings, WireError, WireReader } from './wire.ts';

/** Algorithms of signatures. `ssh-rsa`, which is RSA over SHA-1, is none of them. */
export type SignatureAlgorithm = Exclude<KeyAlgorithm, 'ssh-rsa'> | 'rsa-sha2-256' | 'rsa-sha2-512';

/** RSA of 16384 bits, and the names and lengths around. */
export const SIGNATURE_BYTES_MAX = 4096;

const signAsync = promisify(
  (
    hash: string | null,
    bytes: Uint8Array,
    key: { key: KeyObject; dsaEncoding?: 'ieee-p1363' },
    done: (error: Error | null, signature?: Buffer) => void,
  ) => sign(hash, bytes, key, done),
);

/** The algorithms that a type of key can sign with, the best first. */
export function signatureAlgorithmsOf(algorithm: KeyAlgorithm): readonly SignatureAlgorithm[] {
  return algorithm === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [algorithm];
}

/** Signs on a thread of its own; the answer is a signature as SSH writes it (RFC 4253 section 6.6, RFC 8332, 5656, 8709). */
export async function signWith(key: KeyObject, algorithm: SignatureAlgorithm, bytes: Uint8Array): Promise<Buffer> {
  const hash = hashOf(algorithm);
  const curve = CURVES.find((known) => known.algorithm === algorithm);
  const raw = (await signAsync(hash, bytes, curve === undefined ? { key } : { key, dsaEncoding: 'ieee-p1363' }))!;
  if (curve === undefined) return strings(algorithm, raw);
  const pair = Buffer.concat([number(raw.subarray(0, curve.bytes)), number(raw.subarray(curve.bytes))]);
  return strings(algorithm, pair);
}

/**
 * Whether `signature`, as SSH writes it, is one of that key over the bytes; true means nothing else. A signature that is
 * malformed, of SHA-1, or of an algorithm that the key does not have is none.
 */
export function isSignedBy(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    const reader = new WireReader(signature);
    const name = reader.name();
    const algorithm = signatureAlgorithmsOf(key.algorithm).find((known) => known === name);
    if (algorithm === undefined) return false;
    const raw = rawSignature(key, algorithm, reader.string(SIGNATURE_BYTES_MAX));
    reader.end();
    const isEcdsa = CURVES.some((known) => known.algorithm === algorithm);
    return verify(hashOf(algorithm), bytes, isEcdsa ? { key: key.key, dsaEncoding: 'ieee-p1363' } : key.key, raw);
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

/** The signature as the crypto library takes it. Errors: `WireError`. */
function rawSignature(key: PublicKey, algorithm: SignatureAlgorithm, raw: Buffer): Buffer {
  if (algorithm === 'ssh-ed25519') return raw;
  const curve = CURVES.find((known) => known.algorithm === algorithm);
  if (curve === undefined) {
    // RFC 8332 section 3 has no padding in front; OpenSSH takes signatures that lost their zeros, and so must we.
    const bytes = Math.ceil((key.key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
    if (raw.length > bytes) throw new WireError('a signature longer than its modulus');
    return Buffer.concat([Buffer.alloc(bytes - raw.length), raw]);
  }
  const reader = new WireReader(raw);
  const numbers = [reader.number(), reader.number()];
  reader.end();
  return Buffer.concat(
    numbers.flatMap((one) => {
      if (one.length > curve.bytes) throw new WireError('a number larger than its curve');
      return [Buffer.alloc(curve.bytes - one.length), one];
    }),
  );
}

function hashOf(algorithm: SignatureAlgorithm): string | null {
  switch (algorithm) {
    case 'ssh-ed25519':
      return null;
    case 'rsa-sha2-256':
      return 'sha256';
    case 'rsa-sha2-512':
      return 'sha512';
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
      return CURVES.find((known) => known.algorithm === algorithm)!.hash;
    default:
      return algorithm satisfies never;
  }
}
