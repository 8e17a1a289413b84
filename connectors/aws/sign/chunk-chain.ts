import { EMPTY_SHA256 } from './canonical.ts';
import type { SignatureChain } from './chain.ts';

/** `;chunk-signature=` and 64 hex digits. */
export const CHUNK_EXTENSION_BYTES = 81;

/** Hex signature of the next chunk of a `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` body, from the hex SHA-256 of its bytes. */
export function signChunk(chain: SignatureChain, chunkSha256: string): string {
  return chain.extend('PAYLOAD', `${EMPTY_SHA256}\n${chunkSha256}`);
}
