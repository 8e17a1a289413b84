import { createHash, type Hash } from 'node:crypto';
import { EMPTY_SHA256 } from '../sign/canonical.ts';
import type { SignatureChain } from '../sign/chain.ts';
import { signChunk } from '../sign/chunk-chain.ts';
import { BODY_BYTES_MAX, CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX } from './aws-chunked.ts';
import { BodyProblem } from './body-problem.ts';
import { checkSignature } from './check-signature.ts';
import { LineReader } from './line-reader.ts';
import { TrailerReader } from './trailer-reader.ts';

export interface ReadOptions {
  /** How chunks say their signature: not at all, as HMAC (64 hex digits) or as padded ECDSA. */
  readonly signatures: 'none' | 'hmac' | 'ecdsa';
  /** Names announced in `x-amz-trailer`, lower-case; absent for a coding without a trailer part. */
  readonly trailers?: readonly string[];
  /** `x-amz-decoded-content-length`. */
  readonly decodedLength: number;
  /** Verifies all signatures, with `hmac` only. The reader closes it. */
  readonly chain?: SignatureChain;
}

/** One chunk of a body, by where it stands in the payload. */
export interface ReadChunk {
  readonly start: number;
  readonly bytes: number;
  /** Lower-case hex, once all of it was read; only where signatures are verified. */
  readonly sha256: string | undefined;
}

type State = 'size' | 'payload' | 'payload-end' | 'trailers' | 'done';

const SIZE_LINE = {
  none: /^([0-9A-Fa-f]{1,16})$/,
  hmac: /^([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})$/,
  ecdsa: /^([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{1,144}\**)$/,
} as const;
const RETURN = 0x0d;
const NEWLINE = 0x0a;

/**
 * Reads an aws-chunked body piece by piece and hands out its payload as slices of what it was fed, without a copy.
 *
 * A chunk's signature covers all of it, so with `chain` a wrong one is found after its bytes were handed out, but
 * always before the body's end: whoever forwards must not end the body until `end` has returned.
 */
export class AwsChunkedReader {
  readonly #options: ReadOptions;
  readonly #lines = new LineReader(CHUNK_LINE_BYTES_MAX);
  readonly #trailers: TrailerReader;
  #state: State = 'size';
  /** Bytes of the current chunk still to come. */
  #left = 0;
  #decoded = 0;
  #hash: Hash | undefined;
  #signature = '';
  #chunk: { start: number; bytes: number; sha256: string | undefined } | undefined;
  /** Bytes of the CRLF after the current chunk that were seen. */
  #ending = 0;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#trailers = new TrailerReader(options.trailers, options.signatures !== 'none', options.chain);
    if (options.decodedLength > BODY_BYTES_MAX) throw new BodyProblem('too-long', 'the body is longer than is taken');
  }

  /** Flat list of the trailer fields, lower-case names; complete once `end` has returned. */
  get trailers(): readonly string[] {
    return this.#trailers.fields;
  }

  /** The chunk that what was handed out last belongs to. */
  get chunk(): ReadChunk | undefined {
    return this.#chunk;
  }

  /** Yields the payload in `bytes`. Errors: `BodyProblem`, after which the reader is of no use. */
  *feed(bytes: Uint8Array): Generator<Uint8Array, void> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#state === 'payload') {
        const slice = rest.length <= this.#left ? rest : rest.subarray(0, this.#left);
        rest = rest.subarray(slice.length);
        this.#take(slice);
        yield slice;
      } else {
        rest = this.#step(rest);
      }
    }
  }

  /** Says that nothing more comes. Errors: `truncated`. */
  end(): void {
    if (this.#state !== 'done') throw new BodyProblem('truncated', 'the body ends before its framing does');
  }

  /** Overwrites the key it verifies with. */
  close(): void {
    this.#options.chain?.close();
  }

  #step(bytes: Uint8Array): Uint8Array {
    switch (this.#state) {
      case 'payload-end':
        return this.#readEnding(bytes);
      case 'size': {
        const { line, used } = this.#lines.read(bytes);
        if (line !== undefined) this.#readSize(line);
        return bytes.subarray(used);
      }
      case 'trailers': {
        const { line, used } = this.#lines.read(bytes);
        if (line !== undefined && this.#trailers.line(line)) this.#state = 'done';
        return bytes.subarray(used);
      }
      case 'payload':
      case 'done':
        throw new BodyProblem('malformed-framing', 'bytes follow the end of the body');
      default:
        return this.#state satisfies never;
    }
  }

  #readSize(line: string): void {
    const { signatures, chain, decodedLength } = this.#options;
    const match = line.endsWith('\r') ? SIZE_LINE[signatures].exec(line.slice(0, -1)) : null;
    if (match === null) throw new BodyProblem('malformed-framing', 'a chunk does not begin with its size');
    const size = Number.parseInt(match[1]!, 16);
    this.#signature = match[2] ?? '';
    if (size > decodedLength - this.#decoded)
      throw new BodyProblem('length-mismatch', 'the body is longer than its decoded length');
    if (size > 0) {
      this.#left = size;
      this.#chunk = { start: this.#decoded, bytes: size, sha256: undefined };
      this.#hash = chain === undefined ? undefined : createHash('sha256');
      this.#state = 'payload';
      return;
    }
    if (this.#decoded !== decodedLength)
      throw new BodyProblem('length-mismatch', 'the body is shorter than its decoded length');
    this.#verify(EMPTY_SHA256);
    this.#lines.limit(TRAILER_BYTES_MAX);
    this.#state = 'trailers';
  }

  #take(slice: Uint8Array): void {
    this.#hash?.update(slice);
    this.#left -= slice.length;
    this.#decoded += slice.length;
    if (this.#left > 0) return;
    this.#state = 'payload-end';
    if (this.#hash === undefined) return;
    const sha256 = this.#hash.digest('hex');
    this.#verify(sha256);
    this.#chunk!.sha256 = sha256;
  }

  #verify(sha256: string): void {
    if (this.#options.chain !== undefined) checkSignature(signChunk(this.#options.chain, sha256), this.#signature);
  }

  #readEnding(bytes: Uint8Array): Uint8Array {
    if (bytes[0] !== (this.#ending === 0 ? RETURN : NEWLINE))
      throw new BodyProblem('malformed-framing', 'a chunk is longer than its size');
    this.#ending += 1;
    if (this.#ending === 2) {
      this.#ending = 0;
      this.#state = 'size';
    }
    return bytes.subarray(1);
  }
}

/** The payload of a body; returns once the framing and all signatures held to the end. Errors: `BodyProblem`. */
export async function* decodeAwsChunked(
  source: AsyncIterable<Uint8Array>,
  reader: AwsChunkedReader,
): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const bytes of source) yield* reader.feed(bytes);
    reader.end();
  } finally {
    reader.close();
  }
}
