import type { SignatureChain } from './chain.ts';
import { sha256Latin1 } from './canonical.ts';
import { signedFields } from './fields.ts';

export const TRAILER_SIGNATURE = 'x-amz-trailer-signature';

/**
 * Hex signature of the trailer fields, which is the last of a chain (S3 API Reference, "Signature Calculations for the
 * Authorization Header: Including Trailing Headers"). Flat list: name, value, name, value …
 */
export function signTrailer(chain: SignatureChain, trailers: readonly string[]): string {
  return chain.extend('TRAILER', sha256Latin1(signedFields(trailers, () => true).canonical));
}
