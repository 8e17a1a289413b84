import { constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { Readable } from 'node:stream';
import { formatAuthority, type Origin } from '../../connector/origin.ts';
import { SidecarError, type ErrorCode } from '../../error.ts';
import type { UpstreamListener, UpstreamRequest } from '../engine.ts';
import { upstreamError } from '../undici-upstream.ts';
import { http2Fields, isMethod, withoutPseudo } from './fields.ts';
import { watchEnd } from './wholeness.ts';

export interface Http2Sending {
  readonly session: ClientHttp2Session;
  readonly origin: Origin;
  readonly request: UpstreamRequest;
  readonly listener: UpstreamListener;
  /** Called once the stream is closed. */
  readonly closed: () => void;
  /** What ended the connection, where that ended the stream. */
  readonly failure: () => Error | undefined;
}

/** Visible ASCII: what a blank or a control in a path would do to the next hop is not tried out. */
const PATH = /^[!-~]+$/;

/** Sends one request on a stream of its own. Errors: `header-refused`, `request-malformed`; nothing was sent then. */
export function sendRequest(sending: Http2Sending): void {
  new Sending(sending);
}

function headOf(origin: Origin, { head, contentLength }: UpstreamRequest): string[] {
  if (!isMethod(head.method) || !PATH.test(head.target)) {
    throw new SidecarError('request-malformed', { detail: 'a method or a path that HTTP/2 cannot carry' });
  }
  const fields = [':method', head.method, ':scheme', origin.scheme, ':authority', formatAuthority(origin)];
  fields.push(':path', head.target, ...http2Fields(head.headers, 'header-refused'));
  if (contentLength !== undefined) fields.push('content-length', String(contentLength));
  // This hop passes trailers on; servers of gRPC ask for the field.
  fields.push('te', 'trailers');
  return fields;
}

class Sending {
  readonly #request: UpstreamRequest;
  readonly #listener: UpstreamListener;
  readonly #failure: () => Error | undefined;
  readonly #stream: ClientHttp2Stream;
  readonly #isWhole: () => boolean;
  /** Resets the stream; its own `close` would end the body first, and a cut one would pass for a whole one. */
  readonly #cancel = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #trailers: readonly string[] = [];
  #bytes = 0;
  #sent = false;
  #answered = false;
  #paused = false;
  #over = false;

  constructor({ session, origin, request, listener, closed, failure }: Http2Sending) {
    this.#request = request;
    this.#listener = listener;
    this.#failure = failure;
    const { body } = request;
    const { signal } = this.#cancel;
    const stream = session.request(headOf(origin, request), { endStream: body === undefined, signal });
    this.#stream = stream;
    this.#isWhole = watchEnd(stream);
    stream.on('error', (error: Error) => this.#fail(this.#reasonOf(error)));
    stream.once('close', () => {
      // The reason is an error with a stack, made only where nobody was told of an end before.
      if (!this.#over) this.#fail(this.#reasonOf(undefined));
      closed();
    });
    stream.on('headers', (fields, _flags, raw) => this.#inform(fields[':status'] ?? 0, raw));
    stream.once('response', (fields, flags, raw) => this.#respond(fields[':status'] ?? 0, flags, raw));
    stream.on('trailers', (_fields, _flags, raw: string[]) => {
      this.#trailers = withoutPseudo(raw);
    });
    listener.started({ pause: () => this.#pause(), resume: () => this.#resume(), abort: () => this.#abort() });
    if (!this.#over) this.#send(body);
  }

  #send(body: UpstreamRequest['body']): void {
    const { idleSeconds, headersSeconds } = this.#request;
    if (body === undefined || body instanceof Uint8Array) {
      this.#sent = true;
      if (body !== undefined) this.#stream.end(body);
      this.#arm(headersSeconds, () => 'upstream-timeout');
      return;
    }
    // A body may take longer than any answer: the clock of the answer starts when it is sent.
    this.#arm(idleSeconds, () => this.#stalled());
    if (body instanceof Readable) this.#follow(body);
    else void this.#iterate(body);
  }

  #follow(body: Readable): void {
    const resume = (): void => void body.resume();
    this.#stream.on('drain', resume);
    body.on('data', (chunk: Buffer) => {
      if (!this.#write(chunk)) body.pause();
    });
    body.once('end', () => this.#finish());
    body.once('error', (error: Error) => this.#fail(upstreamError(error)));
    body.once('close', () => this.#cut());
    if (body.destroyed && !body.readableEnded) this.#cut();
  }

  async #iterate(body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of body) {
        if (this.#over || this.#stream.destroyed) return;
        if (!this.#write(chunk)) await this.#drained();
      }
      this.#finish();
    } catch (thrown) {
      this.#fail(upstreamError(thrown as Error));
    }
  }

  #drained(): Promise<void> {
    const stream = this.#stream;
    return new Promise((resolve) => {
      const done = (): void => {
        stream.off('drain', done).off('close', done);
        resolve();
      };
      stream.on('drain', done).on('close', done);
    });
  }

  #write(chunk: Uint8Array): boolean {
    if (this.#over || this.#stream.destroyed || this.#stream.writableEnded) return true;
    this.#bytes += chunk.length;
    const { contentLength } = this.#request;
    if (contentLength !== undefined && this.#bytes > contentLength) {
      this.#fail(new SidecarError('request-malformed', { detail: 'more body than announced' }));
      return true;
    }
    return this.#stream.write(chunk, () => this.#refresh());
  }

  #finish(): void {
    if (this.#over || this.#sent) return;
    const { contentLength, headersSeconds } = this.#request;
    if (contentLength !== undefined && this.#bytes !== contentLength) {
      this.#fail(new SidecarError('request-malformed', { detail: 'less body than announced' }));
      return;
    }
    this.#sent = true;
    this.#stream.end();
    if (!this.#answered) this.#arm(headersSeconds, () => 'upstream-timeout');
  }

  /** The body is gone before its end: the upstream must not take what came for all of it. */
  #cut(): void {
    if (!this.#sent) this.#fail(new SidecarError('request-malformed', { detail: 'the body ended early' }));
  }

  #inform(status: number, raw: readonly string[]): void {
    if (!this.#over) this.#listener.inform({ status, reason: '', headers: withoutPseudo(raw) });
  }

  #respond(status: number, flags: number, raw: readonly string[]): void {
    if (this.#over) return;
    this.#answered = true;
    this.#stream.on('data', (chunk: Buffer) => this.#pass(() => this.#listener.chunk(chunk)));
    this.#stream.once('end', () => this.#end());
    this.#rearm();
    this.#pass(() => this.#listener.head({ status, reason: '', headers: withoutPseudo(raw) }));
    // Told at once, so that an answer that is all head can be one further down too.
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#end();
  }

  #end(): void {
    if (this.#over) return;
    if (!this.#isWhole()) {
      this.#fail(new SidecarError('upstream-closed', { detail: 'the answer ended early' }));
      return;
    }
    this.#settle();
    // Nobody is interested in the rest of the request.
    if (!this.#stream.writableEnded) this.#cancel.abort();
    this.#listener.end(this.#trailers);
  }

  /** What the listener cannot take ends the exchange, and never the process. */
  #pass(tell: () => void): void {
    if (this.#over) return;
    this.#refresh();
    try {
      tell();
    } catch (thrown) {
      this.#fail(upstreamError(thrown as Error));
    }
  }

  #pause(): void {
    this.#paused = true;
    clearTimeout(this.#timer);
    this.#stream.pause();
  }

  #resume(): void {
    if (this.#over) return;
    this.#paused = false;
    this.#rearm();
    this.#stream.resume();
  }

  #abort(): void {
    this.#fail(new SidecarError('upstream-closed', { detail: 'given up by the downstream' }));
  }

  /** While the answer comes: neither side says anything. */
  #rearm(): void {
    if (this.#answered && !this.#paused) this.#arm(this.#request.idleSeconds, () => 'upstream-timeout');
  }

  /** Who let an upload stand still: bytes that wait here are the upstream's to take. */
  #stalled(): ErrorCode {
    return this.#request.arriving?.waiting === true ? 'request-timeout' : 'upstream-timeout';
  }

  #arm(seconds: number, code: () => ErrorCode): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(new SidecarError(code())), seconds * 1000);
  }

  /** Not a clock that was stopped: node would start it again. */
  #refresh(): void {
    if (!this.#over && !this.#paused) this.#timer?.refresh();
  }

  #fail(error: SidecarError): void {
    if (this.#over) return;
    this.#settle();
    this.#cancel.abort();
    this.#listener.error(error);
  }

  #settle(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #reasonOf(error: Error | undefined): SidecarError {
    const cause = this.#failure() ?? error;
    const detail = cause?.message ?? `reset with code ${this.#stream.rstCode}`;
    return new SidecarError(BREACHES.has(this.#stream.rstCode ?? 0) ? 'upstream-protocol' : 'upstream-closed', {
      detail,
      cause,
    });
  }
}

/** Codes of streams that this side ends since what came is no HTTP/2. */
const BREACHES: ReadonlySet<number> = new Set([
  constants.NGHTTP2_PROTOCOL_ERROR,
  constants.NGHTTP2_FLOW_CONTROL_ERROR,
  constants.NGHTTP2_FRAME_SIZE_ERROR,
  constants.NGHTTP2_COMPRESSION_ERROR,
]);
