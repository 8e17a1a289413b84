import {
  createECDH,
  createHmac,
  createPublicKey,
  timingSafeEqual,
  verify as verifySignature,
  type KeyObject,
} from 'node:crypto';
import type { Claim } from './claim.ts';
import { sha256Hex } from './canonical-form.ts';

/** What signatures of one request and of its chunks are checked with. */
export interface SigningKey {
  /** `AWS4-HMAC-SHA256`, `AWS4-HMAC-SHA256-PAYLOAD`: the first line of what is signed. */
  readonly algorithm: string;
  /** Hex characters of a signature as it stands in a chunk. */
  readonly signatureChars: number;
  fits(stringToSign: string, signature: string): boolean;
}

export function openSigningKey(claim: Claim, secretAccessKey: string): SigningKey {
  return claim.algorithm === 'AWS4-HMAC-SHA256' ? hmacKey(claim, secretAccessKey) : ecdsaKey(claim, secretAccessKey);
}

function hmacKey({ algorithm, day, region, service }: Claim, secretAccessKey: string): SigningKey {
  const hmac = (key: string | Uint8Array, text: string): Buffer =>
    createHmac('sha256', key).update(text, 'latin1').digest();
  const key = hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region!), service), 'aws4_request');
  return {
    algorithm,
    signatureChars: 64,
    fits: (stringToSign, signature) =>
      /^[0-9a-f]{64}$/.test(signature) && timingSafeEqual(hmac(key, stringToSign), Buffer.from(signature, 'hex')),
  };
}

function ecdsaKey({ algorithm, accessKeyId }: Claim, secretAccessKey: string): SigningKey {
  const key = publicKeyOf(accessKeyId, secretAccessKey);
  return {
    algorithm,
    // A DER signature on P-256 has up to 72 bytes; in a chunk it is filled up with asterisks.
    signatureChars: 144,
    fits: (stringToSign, signature) => {
      const hex = signature.replace(/\*+$/, '');
      const signed = Buffer.from(stringToSign, 'latin1');
      return /^([0-9a-f]{2})+$/.test(hex) && verifySignature('sha256', signed, key, Buffer.from(hex, 'hex'));
    },
  };
}

/** Order of P-256 (SEC 2, secp256r1), less two. */
const ORDER_LESS_TWO = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551') - 2n;

/** The public half of the key that SigV4a derives from a secret: NIST SP 800-108 in counter mode. */
export function publicKeyOf(accessKeyId: string, secretAccessKey: string): KeyObject {
  for (let counter = 1; counter < 255; counter += 1) {
    const fixed = [Buffer.from([0, 0, 0, 1]), Buffer.from('AWS4-ECDSA-P256-SHA256'), Buffer.from([0])];
    const context = [Buffer.from(accessKeyId), Buffer.from([counter]), Buffer.from([0, 0, 1, 0])];
    const candidate = createHmac('sha256', `AWS4A${secretAccessKey}`)
      .update(Buffer.concat([...fixed, ...context]))
      .digest('hex');
    const value = BigInt(`0x${candidate}`);
    if (value > ORDER_LESS_TWO) continue;
    const pair = createECDH('prime256v1');
    pair.setPrivateKey(Buffer.from((value + 1n).toString(16).padStart(64, '0'), 'hex'));
    const point = pair.getPublicKey();
    const [x, y] = [point.subarray(1, 33), point.subarray(33, 65)].map((half) => half.toString('base64url'));
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x!, y: y! }, format: 'jwk' });
  }
  throw new Error('no key can be derived');
}

export function requestStringToSign(claim: Claim, canonical: string): string {
  return [claim.algorithm, claim.timestamp, claim.scope, sha256Hex(canonical)].join('\n');
}
