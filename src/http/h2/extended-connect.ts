import { createHash, randomBytes } from 'node:crypto';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { RequestHead } from '../../connector/head.ts';
import { SidecarError } from '../../error.ts';
import { request as httpRequest } from '../../node-http.ts';
import type { HttpContext, HttpRoutes } from '../binding.ts';
import type { ExchangeEnd } from '../exchange.ts';
import { endToEndResponse } from '../hop-by-hop.ts';
import type { Placement } from '../place.ts';
import { problemResponse } from '../problem.ts';
import { upstreamError } from '../undici-upstream.ts';
import { carryUpgrade, upgradeHeaders, type UpgradeEnd } from '../upgrade.ts';
import { cut, respond } from './downstream.ts';
import { http2Response } from './fields.ts';
import type { Http2RequestHead } from './request-head.ts';

interface WebsocketStream {
  readonly request: Http2RequestHead;
  readonly stream: ServerHttp2Stream;
  readonly id: string;
}

/** What the server's handshake proves it with (RFC 6455 section 1.3). */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Fields of the HTTP/1.1 handshake that an extended CONNECT does without (RFC 8441 section 5.1). */
const OWN: ReadonlySet<string> = new Set(['sec-websocket-key', 'sec-websocket-accept']);

/** Carries a websocket that an agent opened by extended CONNECT, over an upgrade of HTTP/1.1. Never rejects. */
export function serveWebsocketStream(
  context: HttpContext,
  routes: HttpRoutes,
  { request, stream, id }: WebsocketStream,
): Promise<ExchangeEnd> {
  return carryUpgrade(context, routes, {
    head: request.head,
    id,
    stream,
    join: (placement, head, connection) => new Joint(placement, head, stream, id).run(connection),
    refuse: (error) => refuse(stream, error, id),
  });
}

/** A stream of the agent and a connection of the upstream, joined once the upstream accepts. */
class Joint {
  readonly #placement: Placement;
  readonly #head: RequestHead;
  readonly #stream: ServerHttp2Stream;
  readonly #id: string;
  readonly #key = randomBytes(16).toString('base64');
  #request: ClientRequest | undefined;
  #unanswered: NodeJS.Timeout | undefined;
  #bytesUp = 0;
  #bytesDown = 0;
  #status = 502;
  #error: SidecarError | undefined;

  constructor(placement: Placement, head: RequestHead, stream: ServerHttp2Stream, id: string) {
    this.#placement = placement;
    this.#head = head;
    this.#stream = stream;
    this.#id = id;
  }

  run(connection: Socket): Promise<UpgradeEnd> {
    const { binding, origin } = this.#placement;
    const request = httpRequest({
      createConnection: () => connection,
      path: this.#head.target,
      headers: { ...upgradeHeaders(withoutOwn(this.#head), origin), 'sec-websocket-key': this.#key },
    });
    this.#request = request;
    this.#unanswered = setTimeout(() => {
      this.#fail(new SidecarError('upstream-timeout'));
    }, binding.headersSeconds * 1000);
    request.on('error', (error) => this.#fail(upstreamError(error)));
    request.on('response', (response) => this.#relay(response));
    request.on('upgrade', (response, socket, rest) => this.#accepted(response, socket, rest));
    request.end();
    return new Promise((resolve) => {
      this.#stream.once('close', () => {
        clearTimeout(this.#unanswered);
        request.destroy();
        // What was written goes out; the rest of the connection is of no use.
        connection.destroySoon();
        resolve(this.#end);
      });
    });
  }

  get #end(): UpgradeEnd {
    const error = this.#error;
    return {
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
      status: this.#status,
      ...(error === undefined ? {} : { error }),
    };
  }

  #accepted(response: IncomingMessage, socket: Socket, rest: Buffer): void {
    const expected = createHash('sha1').update(`${this.#key}${ACCEPT_SUFFIX}`).digest('base64');
    // An agent of HTTP/1.1 would have checked it; this one has no key to check it by.
    if (response.headers['sec-websocket-accept'] !== expected) {
      socket.destroy();
      this.#fail(new SidecarError('upstream-protocol', { detail: 'a handshake without its proof' }));
      return;
    }
    if (!this.#answer({ status: 200, headers: withoutOwnFields(response.rawHeaders) }, 101)) {
      socket.destroy();
      return;
    }
    const { idleSeconds } = this.#placement.binding;
    socket.setTimeout(idleSeconds * 1000, () => this.#cut(socket));
    socket.on('error', () => this.#cut(socket));
    if (rest.length > 0) socket.unshift(rest);
    socket.on('data', (chunk) => (this.#bytesDown += chunk.length));
    this.#stream.on('data', (chunk: Buffer) => (this.#bytesUp += chunk.length));
    socket.pipe(this.#stream).pipe(socket);
    // A websocket is over when either side is: nothing is waited for.
    socket.once('close', () => this.#stream.close());
  }

  #cut(socket: Socket): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
    socket.destroy();
  }

  /** An answer instead of a websocket. */
  #relay(response: IncomingMessage): void {
    const head = { status: response.statusCode!, headers: endToEndResponse(response.rawHeaders) };
    if (!this.#answer(head, head.status)) return;
    response.on('data', (chunk: Buffer) => (this.#bytesDown += chunk.length));
    response.pipe(this.#stream);
    response.once('close', () => {
      if (!response.complete) this.#fail(new SidecarError('upstream-closed'));
    });
    this.#stream.resume();
    this.#stream.once('finish', () => this.#stream.close());
  }

  /** False where the answer cannot be given. */
  #answer({ status, headers }: { status: number; headers: readonly string[] }, noted: number): boolean {
    clearTimeout(this.#unanswered);
    if (this.#stream.closed) return false;
    try {
      respond(this.#stream, http2Response({ status, reason: '', headers }));
    } catch (thrown) {
      this.#fail(upstreamError(thrown as Error));
      return false;
    }
    this.#status = noted;
    return true;
  }

  #fail(error: SidecarError): void {
    clearTimeout(this.#unanswered);
    if (this.#stream.closed || this.#stream.destroyed || this.#error !== undefined) return;
    if (this.#status === 101) {
      this.#stream.close(constants.NGHTTP2_CANCEL);
      return;
    }
    this.#error = error;
    if (this.#stream.headersSent) {
      cut(this.#stream);
      return;
    }
    this.#status = error.status;
    this.#request?.destroy();
    refuse(this.#stream, error, this.#id);
  }
}

function withoutOwn(head: RequestHead): RequestHead {
  return { ...head, headers: head.headers.filter((_, at, all) => !OWN.has(all[at - (at % 2)]!.toLowerCase())) };
}

function withoutOwnFields(headers: readonly string[]): string[] {
  return withoutOwn({ method: 'GET', target: '/', headers: endToEndResponse(headers) }).headers.slice();
}

function refuse(stream: ServerHttp2Stream, error: SidecarError, id: string): void {
  if (stream.closed || stream.destroyed) return;
  const problem = problemResponse(error, id);
  respond(stream, http2Response(problem));
  stream.end(problem.body);
  stream.resume();
  stream.once('finish', () => stream.close());
}
