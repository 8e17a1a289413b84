import { createHash, type Hash } from 'node:crypto';
import { EMPTY_SHA256 } from '../sign/canonical.ts';
import type { SignatureChain } from '../sign/chain.ts';
import { signChunk } from '../sign/chunk-chain.ts';
import { signTrailer, TRAILER_SIGNATURE } from '../sign/trailer-chain.ts';
import { CHUNK_BYTES } from './aws-chunked.ts';
import type { ReadChunk } from './aws-chunked-reader.ts';
import { BodyProblem } from './body-problem.ts';

export interface WriteOptions {
  /** `x-amz-decoded-content-length`; the body must have exactly that. */
  readonly decodedLength: number;
  /** Signs each chunk; absent for an unsigned coding. The writer closes it. */
  readonly chain?: SignatureChain;
  /** Flat list of trailer fields, asked for after the payload; absent for a coding without a trailer part. */
  readonly trailers?: () => readonly string[];
  /**
   * The chunk of another framing that the payload's next slice belongs to, hashed by then or when its last slice is
   * handed out: where its borders are those of a chunk here, nothing is hashed twice. Only for a payload that is passed on
   * slice by slice, as it comes.
   */
  readonly readChunk?: () => ReadChunk | undefined;
}

/** Slices shorter than this are copied together: thousands of views of one-byte reads would cost more than the bytes. */
const COPY_BELOW_BYTES = 4096;

/**
 * Encodes a payload as aws-chunked, 64 KiB a chunk, whatever the slices it comes in. Long slices are passed on without
 * a copy. Errors: `length-mismatch`, always before the last chunk, so that the upstream never sees a whole body that is
 * not what was announced.
 */
export async function* encodeAwsChunked(
  payload: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): AsyncGenerator<Uint8Array, void> {
  const { chain } = options;
  try {
    const gather = new Gather(options);
    for await (const slice of payload) {
      let rest = slice;
      while (rest.length > 0) {
        const part = rest.subarray(0, gather.room);
        rest = rest.subarray(part.length);
        gather.add(part);
        if (gather.room === 0) yield* gather.take();
      }
    }
    yield* gather.take();
    yield lastChunk(gather, options);
  } finally {
    chain?.close();
  }
}

function lastChunk(gather: Gather, { chain, decodedLength, trailers }: WriteOptions): Buffer {
  if (gather.total !== decodedLength)
    throw new BodyProblem('length-mismatch', 'the body is shorter than its decoded length');
  let last = chunkLine(0, chain, EMPTY_SHA256);
  if (trailers !== undefined) {
    const fields = trailers();
    for (let at = 0; at < fields.length; at += 2) last += `${fields[at]!}:${fields[at + 1]!}\r\n`;
    if (chain !== undefined) last += `${TRAILER_SIGNATURE}:${signTrailer(chain, fields)}\r\n`;
  }
  return Buffer.from(`${gather.ending}${last}\r\n`, 'latin1');
}

function chunkLine(size: number, chain: SignatureChain | undefined, sha256: string): string {
  const extension = chain === undefined ? '' : `;chunk-signature=${signChunk(chain, sha256)}`;
  return `${size.toString(16)}${extension}\r\n`;
}

/** The slices of one chunk, until it is whole. Holds 64 KiB at most. */
class Gather {
  readonly #chain: SignatureChain | undefined;
  readonly #decodedLength: number;
  readonly #readChunk: () => ReadChunk | undefined;
  #slices: Uint8Array[] = [];
  #size = 0;
  /** Of the chunk that is gathered; undefined where `#known` will tell its hash, or nobody asks for it. */
  #hash: Hash | undefined;
  #known: ReadChunk | undefined;
  /** Short slices of this chunk, copied; `#staged` bytes of it are in use. */
  #staging: Buffer | undefined;
  #staged = 0;
  /** Whether the last slice ends where the staging does. */
  #open = false;
  /** Bytes seen. */
  total = 0;
  /** CRLF of the chunk that was taken last; it goes out with the next line. */
  ending = '';

  constructor({ chain, decodedLength, readChunk = () => undefined }: WriteOptions) {
    this.#chain = chain;
    this.#decodedLength = decodedLength;
    this.#readChunk = readChunk;
  }

  /** Bytes that the chunk still takes. */
  get room(): number {
    return CHUNK_BYTES - this.#size;
  }

  add(slice: Uint8Array): void {
    if (this.#size === 0 && this.#chain !== undefined) this.#begin();
    this.total += slice.length;
    if (this.total > this.#decodedLength)
      throw new BodyProblem('length-mismatch', 'the body is longer than its decoded length');
    this.#hash?.update(slice);
    if (slice.length >= COPY_BELOW_BYTES) {
      this.#slices.push(slice);
      this.#open = false;
    } else {
      this.#copy(slice);
    }
    this.#size += slice.length;
  }

  *take(): Generator<Uint8Array, void> {
    if (this.#size === 0) return;
    const line = chunkLine(this.#size, this.#chain, this.#sha256());
    const slices = this.#slices;
    const ending = this.ending;
    this.#slices = [];
    this.#size = 0;
    this.#staging = undefined;
    this.#open = false;
    this.ending = '\r\n';
    yield Buffer.from(`${ending}${line}`, 'latin1');
    yield* slices;
  }

  /** Hashes what comes, unless it is a chunk of the same borders there. */
  #begin(): void {
    const chunk = this.#readChunk();
    const bytes = Math.min(CHUNK_BYTES, this.#decodedLength - this.total);
    this.#known = chunk?.start === this.total && chunk.bytes === bytes ? chunk : undefined;
    this.#hash = this.#known === undefined ? createHash('sha256') : undefined;
  }

  #sha256(): string {
    if (this.#chain === undefined) return '';
    const sha256 = this.#known === undefined ? this.#hash!.digest('hex') : this.#known.sha256;
    // The body ended within the chunk: it is refused where it is read, and must not be signed here.
    if (sha256 === undefined) throw new BodyProblem('truncated', 'the body ends before its framing does');
    return sha256;
  }

  #copy(slice: Uint8Array): void {
    if (this.#staging === undefined) {
      const toCome = this.#decodedLength - this.total + slice.length;
      this.#staging = Buffer.allocUnsafeSlow(Math.min(this.room, toCome));
      this.#staged = 0;
    }
    this.#staging.set(slice, this.#staged);
    const start = this.#open ? this.#staged - this.#slices.pop()!.length : this.#staged;
    this.#staged += slice.length;
    this.#slices.push(this.#staging.subarray(start, this.#staged));
    this.#open = true;
  }
}
