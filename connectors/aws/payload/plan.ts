import { SidecarError } from 'secretless-sidecar/connector';
import { BODY_BYTES_MAX } from '../body/aws-chunked.ts';
import type { Config } from '../config.ts';
import { EMPTY_SHA256, UNSIGNED_PAYLOAD } from '../sign/canonical.ts';
import { onlyValue, type SignableHead } from '../sign/head.ts';
import { pathRuleOf } from '../sign/path.ts';

export const UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
export const SIGNED_CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
export const SIGNED_EVENTS = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
export const SIGNED_CHUNKS_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';

/** What becomes of a body, by what the client announced of it. */
export type PayloadPlan =
  /** It goes on as it comes, under this hash or word. */
  | { readonly kind: 'keep'; readonly payloadHash: string }
  /** It is hashed before it is sent. */
  | { readonly kind: 'hash' }
  /** An aws-chunked body that is taken apart and put together anew. */
  | ChunkPlan
  /** An event stream whose frames are signed anew, each as long as it was. */
  | EventsPlan;

export interface EventsPlan {
  readonly kind: 'events';
  /** Of the whole body, where its head says so. */
  readonly bytes: number | undefined;
}

export interface ChunkPlan {
  readonly kind: 'chunks';
  /** How its chunks are signed as they come. */
  readonly signatures: 'none' | 'hmac' | 'ecdsa';
  readonly decodedLength: number;
  /** Names of the trailers that come, lower-case; absent for a coding without them. */
  readonly trailers: readonly string[] | undefined;
  /** The word that goes upstream; `UNSIGNED-PAYLOAD` is a plain body. */
  readonly writes:
    typeof SIGNED_CHUNKS | typeof SIGNED_CHUNKS_TRAILER | typeof UNSIGNED_TRAILER | typeof UNSIGNED_PAYLOAD;
}

type Modes = Pick<Config, 'chunked' | 'trailers'>;

const HEX_HASH = /^[0-9a-f]{64}$/;
const FIELD_NAME = /^[a-z0-9-]{1,128}$/;
const TRAILERS_MAX = 16;
/** Signs no payload (VPC Lattice User Guide, "SIGv4 authenticated requests"). */
const NEVER_HASHED = 'vpc-lattice-svcs';

/**
 * Decides by the client's `x-amz-content-sha256` (`announced`), never by a guess from the body: a framing that is kept
 * under another hash is stored as part of the object. Errors: `payload-unsupported`, `body-malformed`.
 */
export function planPayload(
  head: SignableHead,
  announced: string | undefined,
  service: string,
  modes: Modes,
): PayloadPlan {
  const streaming = announced?.startsWith('STREAMING-') === true;
  if (!streaming && isAwsChunked(head)) throw malformed('a body in aws-chunked coding is announced as one that is not');
  if (service === NEVER_HASHED) return { kind: 'keep', payloadHash: UNSIGNED_PAYLOAD };
  if (announced === undefined) return unannounced(head, service);
  if (HEX_HASH.test(announced) || announced === UNSIGNED_PAYLOAD) return { kind: 'keep', payloadHash: announced };
  switch (announced) {
    case UNSIGNED_TRAILER:
      return modes.trailers === 'strip'
        ? chunks(head, 'none', true, UNSIGNED_PAYLOAD)
        : { kind: 'keep', payloadHash: UNSIGNED_TRAILER };
    case SIGNED_CHUNKS:
      return chunks(head, 'hmac', false, modes.chunked === 'unsigned' ? UNSIGNED_PAYLOAD : SIGNED_CHUNKS);
    case SIGNED_CHUNKS_TRAILER:
      return chunks(head, 'hmac', true, withTrailer(modes));
    case SIGNED_EVENTS:
      return { kind: 'events', bytes: contentLengthOf(head) };
    // An ECDSA signature has no fixed width upstream and covers the same bytes that TLS does.
    case 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD':
      return chunks(head, 'ecdsa', false, UNSIGNED_PAYLOAD);
    case 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER':
      return chunks(head, 'ecdsa', true, modes.trailers === 'strip' ? UNSIGNED_PAYLOAD : UNSIGNED_TRAILER);
    default:
      throw new SidecarError('payload-unsupported', { detail: `x-amz-content-sha256: ${announced.slice(0, 64)}` });
  }
}

function withTrailer({ chunked, trailers }: Modes): ChunkPlan['writes'] {
  if (trailers === 'strip') return chunked === 'unsigned' ? UNSIGNED_PAYLOAD : SIGNED_CHUNKS;
  return chunked === 'unsigned' ? UNSIGNED_TRAILER : SIGNED_CHUNKS_TRAILER;
}

function unannounced(head: SignableHead, service: string): PayloadPlan {
  if (!announcesBody(head)) return { kind: 'keep', payloadHash: EMPTY_SHA256 };
  return pathRuleOf(service) === 's3' ? { kind: 'keep', payloadHash: UNSIGNED_PAYLOAD } : { kind: 'hash' };
}

function chunks(
  head: SignableHead,
  signatures: ChunkPlan['signatures'],
  withTrailers: boolean,
  writes: ChunkPlan['writes'],
): ChunkPlan {
  const decodedLength = decodedLengthOf(head);
  return { kind: 'chunks', signatures, decodedLength, trailers: withTrailers ? trailersOf(head) : undefined, writes };
}

function contentLengthOf({ headers }: SignableHead): number | undefined {
  const text = onlyValue(headers, 'content-length')?.trim();
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw malformed('content-length is no length');
  return Number(text);
}

function decodedLengthOf({ headers }: SignableHead): number {
  const text = onlyValue(headers, 'x-amz-decoded-content-length')?.trim() ?? '';
  const length = /^\d{1,13}$/.test(text) ? Number(text) : Number.NaN;
  if (!(length <= BODY_BYTES_MAX)) throw malformed('x-amz-decoded-content-length is missing or no length');
  return length;
}

function trailersOf({ headers }: SignableHead): readonly string[] {
  const names = (onlyValue(headers, 'x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  if (names.length === 0 || names.length > TRAILERS_MAX || !names.every((name) => FIELD_NAME.test(name)))
    throw malformed('x-amz-trailer is missing or names no fields');
  return names;
}

/** Whether the head says that a body follows. */
export function announcesBody({ headers }: SignableHead): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase();
    if (name === 'transfer-encoding') return true;
    if (name === 'content-length') return !/^0+$/.test(headers[at + 1]!.trim());
  }
  return false;
}

function isAwsChunked({ headers }: SignableHead): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    if (
      headers[at]!.toLowerCase() === 'content-encoding' &&
      /(^|,)[ \t]*aws-chunked[ \t]*(,|$)/i.test(headers[at + 1]!)
    )
      return true;
  }
  return false;
}

function malformed(detail: string): SidecarError {
  return new SidecarError('body-malformed', { detail });
}
