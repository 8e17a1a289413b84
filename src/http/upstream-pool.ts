import type { Socket } from 'node:net';
import type { Origin } from '../connector/origin.ts';
import { asSidecarError } from '../error.ts';
import type { Dialer } from './dialer.ts';
import type { UpstreamControl, UpstreamListener, UpstreamPool, UpstreamRequest } from './engine.ts';
import type { Http2Upstream } from './h2/upstream.ts';
import { openUndiciPool, undiciConnect, type UndiciConnect, type UndiciPoolOptions } from './undici-upstream.ts';
import { isAlpnRefusal, UpstreamConnector } from './upstream-connect.ts';

export interface PoolOptions extends UndiciPoolOptions {
  /**
   * `auto`: HTTP/2 for agents that speak it themselves, where the upstream takes it by ALPN; `always`: for every agent, in
   * clear with prior knowledge; `never`. Default `auto`.
   */
  readonly http2?: 'auto' | 'always' | 'never';
  /** Absent: the host is resolved and dialled as it is. */
  readonly dialer?: Dialer | undefined;
}

/** Connections to one origin, of either HTTP as `options.http2` says. */
export function openPool(options: PoolOptions): UpstreamPool {
  return new Pool(options);
}

class Pool implements UpstreamPool {
  readonly origin: Origin;
  readonly #options: PoolOptions;
  readonly #connector: UpstreamConnector;
  readonly #http1: Pick<UpstreamPool, 'dispatch' | 'close'>;
  /** Loaded by the first request that may go by HTTP/2. */
  #http2: Promise<Http2Upstream> | undefined;
  /** Connections that were opened for HTTP/2, where the upstream chose HTTP/1.1. */
  readonly #spare = new Set<Socket>();
  /** What the upstream takes, as far as is known; undefined: either, or not known yet. */
  #only: '1.1' | '2' | undefined;
  /** True once it has answered by HTTP/1.1. */
  #answered = false;

  constructor(options: PoolOptions) {
    const { origin, http2 = 'auto' } = options;
    this.origin = origin;
    this.#options = options;
    this.#connector = new UpstreamConnector(options);
    this.#http1 = openUndiciPool(options, this.#connectHttp1());
    if (http2 === 'always') this.#only = '2';
    // In clear there is nothing to agree by.
    else if (http2 === 'never' || origin.scheme === 'http') this.#only = '1.1';
  }

  dispatch(request: UpstreamRequest, listener: UpstreamListener): void {
    if (this.#only === '2' || (this.#only === undefined && request.version === '2')) {
      void this.#dispatchHttp2(request, listener);
    } else if (this.#answered || this.#only === '1.1') this.#http1.dispatch(request, listener);
    else this.#dispatchFirst(request, listener);
  }

  connect(): Promise<Socket> {
    return this.#connector.connect(['http/1.1']);
  }

  async close(): Promise<void> {
    const http2 = await this.#http2?.catch(() => undefined);
    await Promise.all([this.#http1.close(), http2?.close()]);
    for (const socket of this.#spare) socket.destroy();
  }

  async #dispatchHttp2(request: UpstreamRequest, listener: UpstreamListener): Promise<void> {
    try {
      this.#http2 ??= this.#openHttp2();
      (await this.#http2).dispatch(request, listener);
    } catch (thrown) {
      listener.error(asSidecarError(thrown));
    }
  }

  async #openHttp2(): Promise<Http2Upstream> {
    const { Http2Upstream } = await import('./h2/upstream.ts');
    const offered = this.#only === '2' ? ['h2'] : ['h2', 'http/1.1'];
    return new Http2Upstream({
      origin: this.origin,
      connections: this.#options.connections,
      headerBytes: this.#options.headerBytes,
      settingsSeconds: this.#options.connectSeconds,
      connect: () => this.#connector.connect(offered),
      chosenHttp1: (socket, waiting) => this.#chosenHttp1(socket, waiting),
    });
  }

  /** The upstream knows no HTTP/2: what waited for it goes by HTTP/1.1, on that very connection. */
  #chosenHttp1(socket: Socket, waiting: readonly (readonly [UpstreamRequest, UpstreamListener])[]): void {
    this.#only = '1.1';
    this.#spare.add(socket);
    socket.once('close', () => this.#spare.delete(socket));
    for (const [request, listener] of waiting) this.#http1.dispatch(request, listener);
  }

  /**
   * As long as nobody knows whether the upstream speaks HTTP/1.1 at all. One that refuses it in the TLS handshake has not
   * seen a byte of the request.
   */
  #dispatchFirst(request: UpstreamRequest, listener: UpstreamListener): void {
    const { body } = request;
    const kept = body === undefined || body instanceof Uint8Array ? request : { ...request, body: notDestroyed(body) };
    let started = false;
    this.#http1.dispatch(kept, {
      started: (control: UpstreamControl) => {
        started = this.#answered = true;
        listener.started(control);
      },
      inform: (head) => listener.inform(head),
      head: (head) => listener.head(head),
      chunk: (chunk) => listener.chunk(chunk),
      end: (trailers) => listener.end(trailers),
      error: (error) => {
        if (started || !isAlpnRefusal(error)) {
          listener.error(error);
          return;
        }
        this.#only = '2';
        void this.#dispatchHttp2(request, listener);
      },
    });
  }

  #connectHttp1(): UndiciConnect {
    const own = this.#options.dialer === undefined ? undiciConnect(this.#options) : undefined;
    return (options, callback) => {
      const [spare] = this.#spare;
      if (spare !== undefined) {
        this.#spare.delete(spare);
        // undici does not expect it before its own call returns.
        queueMicrotask(() => callback(null, spare));
        return;
      }
      if (own !== undefined) {
        own(options, callback);
        return;
      }
      this.#connector.connect(['http/1.1']).then(
        (socket) => callback(null, socket),
        (error: Error) => callback(error, null),
      );
    };
  }
}

/** undici destroys the streams of requests that it gives up, but not what only iterates. */
function notDestroyed(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => body[Symbol.asyncIterator]() };
}
