import { createHash, type Hash } from 'node:crypto';
import { AwsRefusal, mismatch } from './refusal.ts';
import { cutAt } from './received-head.ts';
import { chunkStringToSign, trailerStringToSign, type Signer } from './verify-head.ts';

const LINE_BYTES_MAX = 8 * 1024;
const TRAILER_LINES_MAX = 16;
/** S3 error InvalidChunkSizeError: only the last chunk may be smaller. */
const CHUNK_BYTES_MIN = 8 * 1024;

export interface ChunkedOptions {
  /** Absent: chunks carry no signatures. */
  readonly signer?: Signer;
  readonly decodedBytes: number;
  /** Names of `x-amz-trailer`. */
  readonly trailerNames: readonly string[];
  write(bytes: Buffer): void;
}

/**
 * Takes `Content-Encoding: aws-chunked` apart and checks each signature (S3 API Reference, "Signature Calculations for
 * the Authorization Header: Transferring Payload in Multiple Chunks", and "… Including trailing headers").
 */
export class ChunkedReader {
  readonly #options: ChunkedOptions;
  readonly trailers = new Map<string, string>();
  /** With data; without the last, empty one. */
  chunks = 0;
  #state: 'line' | 'data' | 'after-data' | 'trailers' | 'ended' = 'line';
  #line = '';
  #left = 0;
  #decoded = 0;
  #small = false;
  #hash: Hash | undefined;
  #signature = '';
  #previous: string;
  #trailerText = '';
  #trailerSignature: string | undefined;

  constructor(options: ChunkedOptions) {
    this.#options = options;
    this.#previous = options.signer?.claim.signature ?? '';
  }

  /** Errors: 400 for what is not well-formed, 403 for a signature that does not fit. */
  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'ended') throw incomplete('bytes after the end of the chunks');
      at = this.#state === 'data' ? this.#takeData(bytes, at) : this.#takeLine(bytes, at);
    }
  }

  end(): void {
    if (this.#state !== 'ended') throw incomplete('the chunks have no end');
    if (this.#decoded !== this.#options.decodedBytes)
      throw incomplete('not the length of x-amz-decoded-content-length');
    const expected = [...this.#options.trailerNames].sort().join();
    if ([...this.trailers.keys()].sort().join() !== expected)
      throw new AwsRefusal(400, 'MalformedTrailerError', 'The trailers are not those of x-amz-trailer.');
  }

  #takeData(bytes: Buffer, at: number): number {
    const data = bytes.subarray(at, at + this.#left);
    this.#hash?.update(data);
    this.#options.write(data);
    this.#left -= data.length;
    if (this.#left === 0) this.#state = 'after-data';
    return at + data.length;
  }

  #takeLine(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(10, at);
    const end = feed < 0 ? bytes.length : feed + 1;
    this.#line += bytes.toString('latin1', at, end);
    if (this.#line.length > LINE_BYTES_MAX) throw incomplete('a line is too long');
    if (feed < 0) return end;
    const line = this.#line;
    this.#line = '';
    if (!line.endsWith('\r\n')) throw incomplete('a line does not end with CR LF');
    this.#read(line.slice(0, -2));
    return end;
  }

  #read(line: string): void {
    if (this.#state === 'line') return this.#beginChunk(line);
    if (this.#state === 'after-data') {
      if (line !== '') throw incomplete('a chunk is longer than it says');
      this.#endChunk();
      this.#state = 'line';
      return;
    }
    if (line !== '') return this.#takeTrailer(line);
    this.#endTrailers();
    this.#state = 'ended';
  }

  #beginChunk(line: string): void {
    const [hex, extension] = cutAt(line, ';');
    if (!/^[0-9a-fA-F]{1,10}$/.test(hex)) throw incomplete('a chunk does not begin with its size');
    this.#left = Number.parseInt(hex, 16);
    this.#decoded += this.#left;
    if (this.#decoded > this.#options.decodedBytes) throw incomplete('more than x-amz-decoded-content-length');
    if (this.#left > 0 && this.#small)
      throw new AwsRefusal(400, 'InvalidChunkSizeError', 'Only the last chunk may have less than 8192 bytes.');
    this.#small ||= this.#left < CHUNK_BYTES_MIN;
    this.#takeSignature(extension);
    if (this.#left > 0) this.chunks += 1;
    else this.#endChunk();
    this.#state = this.#left > 0 ? 'data' : 'trailers';
  }

  #takeSignature(extension: string | undefined): void {
    const { signer } = this.#options;
    if (signer === undefined) {
      if (extension !== undefined) throw incomplete('a chunk has a signature where none belongs');
      return;
    }
    const [name, signature] = cutAt(extension ?? '', '=');
    if (name !== 'chunk-signature' || signature?.length !== signer.key.signatureChars)
      throw incomplete('a chunk has no signature');
    this.#signature = signature;
    this.#hash = createHash('sha256');
  }

  #endChunk(): void {
    const { signer } = this.#options;
    if (signer === undefined) return;
    const text = chunkStringToSign(signer, this.#previous, this.#hash!.digest('hex'));
    if (!signer.key.fits(text, this.#signature)) throw mismatch(`that of chunk ${this.chunks}`);
    this.#previous = this.#signature.replace(/\*+$/, '');
  }

  #takeTrailer(line: string): void {
    const [name, value] = cutAt(line, ':');
    if (value === undefined || this.trailers.size >= TRAILER_LINES_MAX) throw incomplete('a trailer is no trailer');
    if (this.#trailerSignature !== undefined) throw incomplete('a trailer after the signature');
    if (name.toLowerCase() === 'x-amz-trailer-signature') this.#trailerSignature = value.trim();
    else {
      this.trailers.set(name.toLowerCase(), value.trim());
      this.#trailerText += `${name.toLowerCase()}:${value.trim()}\n`;
    }
  }

  #endTrailers(): void {
    const { signer, trailerNames } = this.#options;
    const wanted = signer !== undefined && trailerNames.length > 0;
    if (!wanted && this.#trailerSignature !== undefined) throw incomplete('a signature of trailers where none belongs');
    if (!wanted) return;
    const text = trailerStringToSign(signer, this.#previous, this.#trailerText);
    if (!signer.key.fits(text, this.#trailerSignature ?? '')) throw mismatch('that of the trailers');
  }
}

function incomplete(message: string): AwsRefusal {
  return new AwsRefusal(400, 'IncompleteBody', `The body is not what it says: ${message}.`);
}
