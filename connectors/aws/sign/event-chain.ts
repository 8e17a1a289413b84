import { hash } from 'node:crypto';
import type { SignatureChain } from './chain.ts';
import { amzDateOf } from './string-to-sign.ts';

/** `:date` as an event-stream header: name length, name, type 8, then eight bytes of milliseconds since 1970. */
export const DATE_HEADER_BYTES = 15;
const DATE_HEAD = Buffer.from([5, ...Buffer.from(':date'), 8]);

/** The encoded `:date` header, the only one that an event signature covers. */
export function dateHeader(time: Date): Buffer {
  const encoded = Buffer.allocUnsafe(DATE_HEADER_BYTES);
  encoded.set(DATE_HEAD);
  encoded.writeBigInt64BE(BigInt(time.getTime()), DATE_HEAD.length);
  return encoded;
}

/** Hex signature of the next event of a `STREAMING-AWS4-HMAC-SHA256-EVENTS` body; `time` is that of its `:date`. */
export function signEvent(chain: SignatureChain, time: Date, payload: Uint8Array): string {
  const hashes = `${hash('sha256', dateHeader(time), 'hex')}\n${hash('sha256', payload, 'hex')}`;
  return chain.extend('PAYLOAD', hashes, amzDateOf(time));
}
