import {
  isSignedBy,
  type PublicKey,
  readPublicKey,
  signatureAlgorithmsOf,
  WireError,
} from 'secretless-sidecar/connector/ssh';
import { WireReader } from './wire.ts';

/** What proves an agent is no shorter, whatever the key of an upstream may be. */
const RSA_BITS_MIN = 2048;

/** A public key as it came over the wire, and the algorithm that it was offered with. */
export interface OfferedKey {
  readonly algorithm: string;
  /** RFC 4253 §6.6. */
  readonly blob: Buffer;
}

/**
 * Undefined where the key is of a kind that is not taken (certificates, security keys, DSA, short RSA, a wrong point), or
 * is offered with an algorithm that is not one of its kind: SHA-1 is none.
 */
export function readOffered({ algorithm, blob }: OfferedKey): PublicKey | undefined {
  try {
    const key = readPublicKey(blob);
    const bits = key.key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN;
    const isFit = bits >= RSA_BITS_MIN && signatureAlgorithmsOf(key.algorithm).some((known) => known === algorithm);
    return isFit ? key : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/**
 * Whether `signature`, in the format of RFC 4253 §6.6, is one of `message` by the offered key, made with the very
 * algorithm that was offered. Errors: `SshError` `protocol` where it has no name in front.
 */
export function isProven(offered: OfferedKey, message: Uint8Array, signature: Buffer): boolean {
  const key = readOffered(offered);
  if (key === undefined || new WireReader(signature).name() !== offered.algorithm) return false;
  return isSignedBy(key, message, signature);
}
