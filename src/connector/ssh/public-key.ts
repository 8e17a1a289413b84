import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { number, strings, WireError, WireReader } from './wire.ts';

export type EcdsaAlgorithm = 'ecdsa-sha2-nistp256' | 'ecdsa-sha2-nistp384' | 'ecdsa-sha2-nistp521';
/** Types of keys: the word in front of their blob. */
export type KeyAlgorithm = 'ssh-ed25519' | 'ssh-rsa' | EcdsaAlgorithm;

/** A curve of RFC 5656 section 10.1, named as SSH and as JSON Web Keys name it. */
export interface Curve {
  readonly algorithm: EcdsaAlgorithm;
  readonly name: string;
  readonly jwk: string;
  /** Bytes of one coordinate. */
  readonly bytes: number;
  /** DER of its object identifier. */
  readonly identifier: string;
  readonly hash: string;
}

export const CURVES: readonly Curve[] = [
  {
    algorithm: 'ecdsa-sha2-nistp256',
    name: 'nistp256',
    jwk: 'P-256',
    bytes: 32,
    identifier: '06082a8648ce3d030107',
    hash: 'sha256',
  },
  {
    algorithm: 'ecdsa-sha2-nistp384',
    name: 'nistp384',
    jwk: 'P-384',
    bytes: 48,
    identifier: '06052b81040022',
    hash: 'sha384',
  },
  {
    algorithm: 'ecdsa-sha2-nistp521',
    name: 'nistp521',
    jwk: 'P-521',
    bytes: 66,
    identifier: '06052b81040023',
    hash: 'sha512',
  },
];

/** Bits of an RSA modulus: what OpenSSH takes at least (`SSH_RSA_MINIMUM_MODULUS_SIZE` is its old 1024) and at most. */
export const RSA_BITS_MIN = 1024;
export const RSA_BITS_MAX = 16_384;
/** A larger exponent makes every verification slow. */
const RSA_EXPONENT_BYTES_MAX = 8;
/** More than the largest blob of a key: RSA of 16384 bits has 2 KiB. */
export const PUBLIC_BLOB_BYTES_MAX = 4096;

export interface PublicKey {
  readonly algorithm: KeyAlgorithm;
  /** As SSH writes it (RFC 4253 section 6.6). */
  readonly blob: Buffer;
  readonly key: KeyObject;
}

/** The key of a blob. Errors: `WireError` where it is none, of a type that is not known, or no point of its curve. */
export function readPublicKey(blob: Uint8Array): PublicKey {
  const reader = new WireReader(blob);
  const algorithm = reader.name();
  const key = readPublicFields(algorithm, reader);
  reader.end();
  return { algorithm: algorithm as KeyAlgorithm, blob: Buffer.from(blob), key };
}

/** What follows the type in a blob, and in the middle of a certificate. Errors: those of `readPublicKey`. */
export function readPublicFields(algorithm: string, reader: WireReader): KeyObject {
  if (algorithm === 'ssh-ed25519') {
    const x = reader.string(32);
    if (x.length !== 32) throw new WireError(`an ed25519 key of ${x.length} bytes`);
    return imported({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') });
  }
  if (algorithm === 'ssh-rsa') return readRsaFields(reader);
  const curve = CURVES.find((known) => known.algorithm === algorithm);
  if (curve === undefined) throw new WireError('a type of key that is not known');
  if (reader.name() !== curve.name) throw new WireError('a curve that is not that of the type');
  const point = reader.string(2 * curve.bytes + 1);
  // RFC 5656 section 3.1 allows compressed points; nobody sends them, and a key has one fingerprint.
  if (point.length !== 2 * curve.bytes + 1 || point[0] !== 4) throw new WireError('a point that is not uncompressed');
  const x = point.subarray(1, 1 + curve.bytes).toString('base64url');
  return imported({ kty: 'EC', crv: curve.jwk, x, y: point.subarray(1 + curve.bytes).toString('base64url') });
}

function readRsaFields(reader: WireReader): KeyObject {
  const e = reader.number();
  const n = reader.number();
  const bits = n.length * 8 - (Math.clz32(n[0]!) - 24);
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) throw new WireError(`an RSA key of ${bits} bits`);
  const isOne = e.length === 1 && e[0] === 1;
  if (e.length > RSA_EXPONENT_BYTES_MAX || isOne || e.at(-1)! % 2 === 0) throw new WireError('an unusable exponent');
  return imported({ kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') });
}

function imported(jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new WireError('a public key that is no key');
  }
}

/** The public half as SSH writes it. Errors: `WireError` where SSH has no such type. */
export function publicKeyOf(key: KeyObject): PublicKey {
  if (!['rsa', 'ec', 'ed25519'].includes(key.asymmetricKeyType ?? ''))
    throw new WireError('a type of key that SSH does not know');
  const jwk = exported(key);
  const field = (name: 'n' | 'e' | 'x' | 'y'): Buffer => Buffer.from(jwk[name] ?? '', 'base64url');
  if (jwk.kty === 'RSA') {
    return readPublicKey(Buffer.concat([strings('ssh-rsa'), number(field('e')), number(field('n'))]));
  }
  if (jwk.kty === 'OKP') return readPublicKey(strings('ssh-ed25519', field('x')));
  const curve = CURVES.find((known) => known.jwk === jwk.crv);
  if (curve === undefined) throw new WireError('a curve that SSH does not know');
  return readPublicKey(strings(curve.algorithm, curve.name, Buffer.concat([Buffer.of(4), field('x'), field('y')])));
}

function exported(key: KeyObject): JsonWebKey {
  try {
    return (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  } catch {
    // A curve without a name there, or a point that is none.
    throw new WireError('a curve that SSH does not know');
  }
}

/** `SHA256:` and unpadded Base64, as `ssh-keygen -l` prints it. Of a certificate: give it the blob of its key. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
