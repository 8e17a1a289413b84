import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { RequestHead, ResponseHead } from '../connector/head.ts';
import type { Origin } from '../connector/origin.ts';

/**
 * The two ends of an exchange, as the pipeline sees them. Node's parser and undici stand behind them today; a faster
 * wire engine replaces either without a connector or the pipeline noticing.
 */

/** A request body while it comes in. */
export interface ArrivingBody extends Readable {
  /** True while nothing of it is there to be sent, and more must come. */
  readonly waiting: boolean;
}

export type HttpVersion = '1.0' | '1.1' | '2';

/** The agent's side of one exchange. */
export interface Downstream {
  /** Head as received: the target may be in any form of RFC 9112 section 3.2. */
  readonly head: RequestHead;
  readonly version: HttpVersion;
  /** True where the framing announces a body, even an empty one in chunks. */
  readonly hasBody: boolean;
  /** Bytes announced by Content-Length; undefined for chunked bodies. */
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
  /** Answers `100 Continue` where the downstream waits for it; call once policy said yes. */
  continue(): void;
  /** The request body, read on demand; `undefined` where there is none. One call only. */
  body(): ArrivingBody | undefined;
  /** True once the whole request has arrived. */
  readonly received: boolean;
  /** Passes an interim answer on (102, 103); HTTP/1.0 clients and fields besides Link are left out. */
  inform(head: ResponseHead): void;
  start(head: ResponseHead): void;
  /** False asks the caller to wait for `onDrain`. */
  write(chunk: Uint8Array): boolean;
  onDrain(resume: () => void): void;
  end(trailers?: readonly string[]): void;
  /** Cuts the connection, or the stream on it, so that a body that ends early cannot pass for a whole one. */
  abort(): void;
  readonly started: boolean;
  /** True once the downstream is gone. */
  readonly gone: boolean;
  /** Called once if the downstream goes away before `end`. */
  onGone(listener: () => void): void;
}

/** What the upstream's side reports, in this order: `inform`*, `head`, `chunk`*, then `end` or `error`. */
export interface UpstreamListener {
  started(control: UpstreamControl): void;
  inform(head: ResponseHead): void;
  head(head: ResponseHead): void;
  chunk(chunk: Uint8Array): void;
  end(trailers: readonly string[]): void;
  error(error: Error): void;
}

export interface UpstreamControl {
  pause(): void;
  resume(): void;
  abort(): void;
}

export interface UpstreamRequest {
  readonly head: RequestHead;
  /** What the agent speaks: an upstream of which either is to be had hears the same. */
  readonly version: HttpVersion;
  readonly body: Readable | Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** The body as the downstream sends it, where that is still arriving: tells who lets an upload stand still. */
  readonly arriving: ArrivingBody | undefined;
  /** For a streamed body of known length. */
  readonly contentLength: number | undefined;
  readonly headersSeconds: number;
  readonly idleSeconds: number;
}

/** Connections to one origin under one credential identity and one set of TLS options. */
export interface UpstreamPool {
  readonly origin: Origin;
  dispatch(request: UpstreamRequest, listener: UpstreamListener): void;
  /**
   * A connection besides those of the pool, for an upgrade from HTTP/1.1. Errors: `upstream-unreachable`, `upstream-tls`,
   * `upstream-closed`, those of the dialer.
   */
  connect(): Promise<Socket>;
  /** Ends when running exchanges have ended. */
  close(): Promise<void>;
}
