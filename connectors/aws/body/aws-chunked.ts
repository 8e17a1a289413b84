import { CHUNK_EXTENSION_BYTES } from '../sign/chunk-chain.ts';
import { TRAILER_SIGNATURE } from '../sign/trailer-chain.ts';

/**
 * The `aws-chunked` content coding (S3 API Reference, "Signature Calculations for the Authorization Header:
 * Transferring Payload in Multiple Chunks" and "… Including Trailing Headers"):
 *
 *     hex-size [";chunk-signature=" hex] CRLF bytes CRLF … "0" [";chunk-signature=" hex] CRLF
 *     *(name ":" value CRLF) ["x-amz-trailer-signature:" hex CRLF] CRLF
 */

/** Payload bytes of each chunk that is written, but the last. */
export const CHUNK_BYTES = 64 * 1024;
/** Largest size a chunk or a body may announce; S3 takes 5 TiB as an object, 5 GiB in one request. */
export const BODY_BYTES_MAX = 2 ** 40;
/** Longest line before a chunk: 11 hex digits that count, leading zeros, and a signature. */
export const CHUNK_LINE_BYTES_MAX = 256;
/** Longest trailer part. */
export const TRAILER_BYTES_MAX = 16 * 1024;
export const TRAILERS_MAX = 16;

/** Base64 lengths of the checksums that a trailer may hold (S3 User Guide, "Checking object integrity"). */
const CHECKSUM_LENGTHS: Readonly<Record<string, number>> = {
  'x-amz-checksum-crc32': 8,
  'x-amz-checksum-crc32c': 8,
  'x-amz-checksum-crc64nvme': 12,
  'x-amz-checksum-sha1': 28,
  'x-amz-checksum-sha256': 44,
};

export interface ChunkedShape {
  readonly signed: boolean;
  /** Trailer names, lower-case; absent for a coding that has no trailer part. */
  readonly trailers?: readonly string[];
}

/**
 * Bytes of the encoded body, known before it is read; `undefined` where a trailer's length is not. `decodedLength` in
 * bytes.
 */
export function chunkedLength(decodedLength: number, { signed, trailers }: ChunkedShape): number | undefined {
  const extension = signed ? CHUNK_EXTENSION_BYTES : 0;
  const frame = (size: number): number => size.toString(16).length + extension + 2 + size + 2;
  const rest = decodedLength % CHUNK_BYTES;
  let length = ((decodedLength - rest) / CHUNK_BYTES) * frame(CHUNK_BYTES);
  if (rest > 0) length += frame(rest);
  length += 1 + extension + 2 + 2;
  for (const name of trailers ?? []) {
    const value = CHECKSUM_LENGTHS[name];
    if (value === undefined) return undefined;
    length += name.length + 1 + value + 2;
  }
  if (signed && trailers !== undefined) length += TRAILER_SIGNATURE.length + 1 + 64 + 2;
  return length;
}
