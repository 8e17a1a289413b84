import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from 'node:http2';
import { headerValues, type RequestHead, type ResponseHead } from '../../connector/head.ts';
import { SidecarError } from '../../error.ts';
import { youngGeneration } from '../../young-generation.ts';
import { RequestBody } from '../body.ts';
import type { ArrivingBody } from '../engine.ts';
import type { CountedDownstream } from '../exchange.ts';
import { http2Response, http2Trailers } from './fields.ts';
import type { Http2RequestHead } from './request-head.ts';
import { watchEnd } from './wholeness.ts';

/** How long an unwanted rest of a request body is read and thrown away before the stream is reset. */
const LINGER_MS = 1_000;

/** Answers without a body, whatever comes (RFC 9110 section 6.4.1). */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

/** One exchange on a stream of node's HTTP/2. */
export class Http2Downstream implements CountedDownstream {
  readonly head: RequestHead;
  readonly version = '2';
  readonly hasBody: boolean;
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
  readonly #stream: ServerHttp2Stream;
  readonly #isWhole: () => boolean;
  #body: RequestBody | undefined;
  #late: NodeJS.Timeout | undefined;
  #bytesDown = 0;
  /** The answer's head, until it is sent: with the first bytes of the body, or alone. */
  #answer: string[] | undefined;
  #started = false;
  #bodiless = false;
  #ended = false;
  #aborted = false;
  #trailers: readonly string[] = [];

  /** `requestSeconds`: how long the whole request may take to arrive; 0: any time. */
  constructor(stream: ServerHttp2Stream, request: Http2RequestHead, requestSeconds: number) {
    this.#stream = stream;
    this.#isWhole = watchEnd(stream);
    this.head = request.head;
    this.contentLength = request.contentLength;
    this.hasBody = !stream.endAfterHeaders && request.contentLength !== 0;
    this.expectsContinue = request.expectsContinue;
    stream.on('wantTrailers', () => this.#finish());
    if (this.hasBody && requestSeconds > 0) {
      this.#late = setTimeout(() => this.#tooLate(), requestSeconds * 1000);
      stream.once('close', () => clearTimeout(this.#late));
    }
  }

  get received(): boolean {
    return !this.hasBody || this.#isWhole();
  }

  get started(): boolean {
    return this.#started;
  }

  get gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  /** Body bytes so far, for the ledger. */
  get bytes(): { readonly up: number; readonly down: number } {
    return { up: this.#body?.bytes ?? 0, down: this.#bytesDown };
  }

  continue(): void {
    if (this.expectsContinue && !this.#started && !this.gone) this.#stream.additionalHeaders({ ':status': 100 });
  }

  body(bytesMax?: number): ArrivingBody | undefined {
    if (!this.hasBody) return undefined;
    this.#body ??= new RequestBody({ stream: this.#stream, isWhole: this.#isWhole }, bytesMax);
    return this.#body;
  }

  inform({ status, headers }: ResponseHead): void {
    if (this.#started || this.gone) return;
    if (status === 102) this.#stream.additionalHeaders({ ':status': 102 });
    const hints = headerValues(headers, 'link');
    if (status === 103 && hints.length > 0) this.#stream.additionalHeaders({ ':status': 103, link: hints });
  }

  start(head: ResponseHead): void {
    this.#answer = http2Response(head);
    this.#started = true;
    this.#bodiless = this.head.method === 'HEAD' || BODILESS.has(head.status);
    process.nextTick(() => this.#respond(false));
  }

  write(chunk: Uint8Array): boolean {
    if (this.#bodiless || this.gone) return true;
    this.#respond(false);
    this.#bytesDown += chunk.length;
    youngGeneration.passed(chunk.length);
    return this.#stream.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.#stream.once('drain', resume);
  }

  end(trailers: readonly string[] = []): void {
    this.#ended = true;
    this.#trailers = trailers;
    if (this.gone) return;
    // An answer that is all head: to a client of gRPC, trailers (gRPC over HTTP/2, "Trailers-Only").
    this.#respond(trailers.length === 0);
    if (!this.#stream.writableEnded) this.#stream.end();
    clearTimeout(this.#late);
    if (this.received) return;
    this.#body?.destroy();
    this.#stream.resume();
  }

  abort(): void {
    this.#aborted = true;
    cut(this.#stream);
  }

  onGone(listener: () => void): void {
    let told = false;
    const gone = (): void => {
      // One that this side gave up did not go away: its end has a reason already.
      if (told || this.#ended || this.#aborted) return;
      told = true;
      listener();
    };
    this.#stream.once('aborted', gone).once('close', gone);
  }

  #respond(ends: boolean): void {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer === undefined || this.gone) return;
    const endStream = ends || this.#bodiless;
    respond(this.#stream, answer, { endStream, waitForTrailers: !endStream });
    if (endStream && !this.received) this.#linger();
  }

  /** All of the body is sent. */
  #finish(): void {
    if (this.gone) return;
    try {
      this.#stream.sendTrailers(http2Trailers(this.#trailers));
    } catch {
      this.abort();
      return;
    }
    if (!this.received) this.#linger();
  }

  /** The answer is out, and nobody reads the rest of the request (RFC 9113 section 8.1). */
  #linger(): void {
    const timer = setTimeout(() => this.#stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS);
    this.#stream.once('close', () => clearTimeout(timer));
  }

  #tooLate(): void {
    if (this.received) return;
    const error = new SidecarError('request-timeout');
    if (this.#body === undefined || this.#body.destroyed) this.abort();
    else this.#body.destroy(error);
  }
}

/** Resets a stream. Its own `close` would end the answer first, and a cut one would pass for a whole one. */
export function cut(stream: ServerHttp2Stream): void {
  stream.destroy(new Error('cut'));
}

/** Answers with these fields alone: node would add a date of its own. */
export function respond(stream: ServerHttp2Stream, fields: string[], options?: ServerStreamResponseOptions): void {
  const withoutDate: ServerStreamResponseOptions & { readonly sendDate: false } = { ...options, sendDate: false };
  stream.respond(fields, withoutDate);
}
