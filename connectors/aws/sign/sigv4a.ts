import { createECDH, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { HmacKey } from './hmac.ts';
import type { Signer } from './key.ts';
import { SigningProblem } from './problem.ts';
import { formatScope, type Scope } from './scope.ts';
import type { Verifier } from './verify.ts';

/**
 * SigV4a: ECDSA over P-256 with a key derived from the secret access key (IAM User Guide, "AWS Signature Version 4 for
 * API requests", SigV4a; NIST SP 800-108 in counter mode).
 */

const ALGORITHM = 'AWS4-ECDSA-P256-SHA256';
/** n - 2, the largest candidate that becomes a private key. */
const CANDIDATE_MAX = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254f', 'hex');
/** RFC 5915: SEQUENCE { 1, OCTET STRING (32 bytes) … */
const SEC1_HEAD = Buffer.from('30770201010420', 'hex');
/** … [0] prime256v1, [1] BIT STRING (the uncompressed point) }. */
const SEC1_MIDDLE = Buffer.from('a00a06082a8648ce3d030107a144034200', 'hex');

/** The key pair of one access key. The private half lives in a `KeyObject`, which is cleared when it is collected. */
export class EcdsaKey implements Verifier {
  readonly accessKeyId: string;
  readonly #privateKey: KeyObject;
  readonly publicKey: KeyObject;

  private constructor(accessKeyId: string, privateKey: KeyObject) {
    this.accessKeyId = accessKeyId;
    this.#privateKey = privateKey;
    this.publicKey = createPublicKey(privateKey);
  }

  /** Errors: `unfit-key` for an access key id that the derivation cannot take. */
  static derive(secretAccessKey: Uint8Array, accessKeyId: string): EcdsaKey {
    const scalar = deriveScalar(secretAccessKey, accessKeyId);
    const ecdh = createECDH('prime256v1');
    ecdh.setPrivateKey(scalar);
    const der = Buffer.concat([SEC1_HEAD, scalar, SEC1_MIDDLE, ecdh.getPublicKey()]);
    scalar.fill(0);
    try {
      return new EcdsaKey(accessKeyId, createPrivateKey({ key: der, format: 'der', type: 'sec1' }));
    } finally {
      der.fill(0);
    }
  }

  /** Hex of the DER signature; another one each time. */
  signHex(text: string): string {
    return sign('sha256', Buffer.from(text, 'latin1'), this.#privateKey).toString('hex');
  }

  verifies(text: string, signature: string): boolean {
    return verify('sha256', Buffer.from(text, 'latin1'), this.publicKey, Buffer.from(signature, 'hex'));
  }

  /** The key as a signer of one scope, which has no region. Errors: `malformed-scope`. */
  bind(scope: Omit<Scope, 'region'>): Signer {
    const bare: Scope = { date: scope.date, service: scope.service };
    const scopeText = formatScope(bare);
    return { algorithm: ALGORITHM, scope: bare, scopeText, signHex: (text) => this.signHex(text) };
  }
}

function deriveScalar(secretAccessKey: Uint8Array, accessKeyId: string): Buffer {
  const start = Buffer.concat([Buffer.from('AWS4A'), secretAccessKey]);
  const hmac = new HmacKey(start);
  start.fill(0);
  try {
    for (let counter = 1; counter <= 254; counter += 1) {
      const label = `\0\0\0\x01${ALGORITHM}\0${accessKeyId}${String.fromCharCode(counter)}\0\0\x01\0`;
      const candidate = hmac.sign(label);
      if (isAtMost(candidate, CANDIDATE_MAX)) return addOne(candidate);
      candidate.fill(0);
    }
  } finally {
    hmac.wipe();
  }
  throw new SigningProblem('unfit-key', 'no signing key can be derived from this access key');
}

/** Big-endian comparison that looks at all bytes, whatever they are. */
export function isAtMost(value: Uint8Array, limit: Uint8Array): boolean {
  let borrow = 0;
  for (let at = limit.length - 1; at >= 0; at -= 1) borrow = ((limit[at]! - value[at]! - borrow) >> 31) & 1;
  return borrow === 0;
}

/** Big-endian, in place; all bytes are touched. */
export function addOne(value: Buffer): Buffer {
  let carry = 1;
  for (let at = value.length - 1; at >= 0; at -= 1) {
    carry += value[at]!;
    value[at] = carry & 0xff;
    carry >>= 8;
  }
  return value;
}
