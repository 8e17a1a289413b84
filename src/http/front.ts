import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { SidecarError, type ErrorCode } from '../error.ts';
import { HttpServer } from '../node-http.ts';
import type { HttpContext, HttpRoutes } from './binding.ts';
import { Connection } from './connection.ts';
import { serveExchange } from './exchange.ts';
import type { Http2Front } from './h2/front.ts';
import { clientErrorCode, headProblem } from './head-problem.ts';
import { NodeDownstream } from './node-downstream.ts';
import { tellVersion } from './preface.ts';
import { problemResponse } from './problem.ts';
import { isWebsocketUpgrade, problemText, serveUpgrade } from './upgrade.ts';

export interface HttpFrontLimits {
  readonly headerBytes: number;
  readonly headerSeconds: number;
  readonly keepAliveSeconds: number;
  /** 0: no limit. */
  readonly requestSeconds: number;
  /** Neither side of a downstream connection sent a byte. */
  readonly idleSeconds: number;
}

/** What a front serves just now; taken once per exchange, so that a reload never changes one half-way. */
export interface HttpHandler {
  readonly context: HttpContext;
  readonly routes: HttpRoutes;
  /** Takes CONNECT requests; absent: they are refused. */
  readonly tunnels?: Tunnels;
  /** Counts exchanges, so that what they use is closed only after the last. */
  enter(): void;
  leave(): void;
}

/** Whoever opens tunnels (RFC 9110 section 9.3.6). */
export interface Tunnels {
  /** Owns the socket from here on: answers, and closes it. Never throws. */
  open(request: TunnelRequest): void;
}

export interface TunnelRequest {
  /** As written: `host:port`, not parsed yet. */
  readonly target: string;
  /** Flat list as received. */
  readonly headers: readonly string[];
  readonly socket: Socket;
  /** Bytes that came behind the head. */
  readonly rest: Buffer;
  /** Correlation id of the connection. */
  readonly id: string;
}

/** What a connection may rest beyond `idleSeconds`, so that the exchange on it ends first, with its reason. */
const IDLE_GRACE_MS = 1_000;
/** How often node looks for connections over their time; its default of 30 s lets slow clients live that long. */
const CHECK_INTERVAL_MS = 500;
/** Exchanges that one connection may have waiting. */
const PIPELINED_MAX = 32;

/** Milliseconds that what is sent behind a refused head is still read and thrown away. */
const LINGER_MS: Partial<Record<ErrorCode, number>> = {
  'headers-too-large': 500,
  'request-malformed': 500,
  'connect-refused': 500,
};

/**
 * Speaks HTTP on sockets that a listener accepted, or that a tunnel ends on: HTTP/1.1 by node's parser in strict mode,
 * HTTP/2 where the socket begins with its preface or agreed on it by ALPN. Every limit is set and enforced.
 */
export class HttpFront {
  readonly #server: Server;
  readonly #address: string;
  readonly #connections = new WeakMap<Duplex, Http1Connection>();
  readonly #current: () => HttpHandler;
  /** Had a last answer of ours, outside any exchange. */
  readonly #answered = new WeakSet<Duplex>();
  #limits: HttpFrontLimits;
  /** Loaded by the first connection that speaks HTTP/2: most sidecars start sooner without it. */
  #http2: Http2Front | undefined;
  /** Connections that have not said which HTTP they speak. */
  readonly #undecided = new Set<Socket>();
  #draining = false;

  constructor(address: string, limits: HttpFrontLimits, current: () => HttpHandler) {
    this.#address = address;
    this.#current = current;
    this.#limits = limits;
    this.#server = new HttpServer({
      insecureHTTPParser: false,
      // Asked for in `#exchange`, where the refusal is a problem document as all others.
      requireHostHeader: false,
      maxHeaderSize: limits.headerBytes,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, limits.headerSeconds * 250),
      shouldUpgradeCallback: isWebsocketUpgrade,
    });
    // 0: no limit by count. Node drops fields over the count in silence, and the bytes are limited already.
    this.#server.maxHeadersCount = 0;
    this.limit(limits);
    this.#server.on('request', (request, response) => this.#exchange(request, response, false));
    this.#server.on('checkContinue', (request, response) => this.#exchange(request, response, true));
    this.#server.on('checkExpectation', (request, response) => this.#refuse(request, response, 'expectation-refused'));
    this.#server.on('upgrade', (message, socket, rest) => this.#upgrade(message, socket, rest));
    this.#server.on('connect', (message, socket, rest) => this.#connect(message, socket as Socket, rest));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#clientError(error, socket));
    // The server never listens itself; this starts the checks of headersTimeout and requestTimeout.
    this.#server.emit('listening');
  }

  /** Times for connections taken over from now on. The size of heads is fixed when the front is made. */
  limit(limits: HttpFrontLimits): void {
    this.#server.headersTimeout = limits.headerSeconds * 1000;
    this.#server.requestTimeout = limits.requestSeconds * 1000;
    this.#server.keepAliveTimeout = limits.keepAliveSeconds * 1000;
    this.#server.timeout = limits.idleSeconds * 1000 + IDLE_GRACE_MS;
    this.#limits = { ...limits, headerBytes: this.#limits.headerBytes };
    this.#http2?.limit(this.#limits);
  }

  /**
   * Takes over a socket whose first bytes are there to be read, or will be: a `TLSSocket` after its handshake too.
   * `current`: what this connection is served by, where that is not what the front serves.
   */
  attach(socket: Socket, current: () => HttpHandler = this.#current): void {
    const { alpnProtocol } = socket as TLSSocket;
    if (alpnProtocol === 'h2') this.#attachHttp2(socket, current);
    else if (typeof alpnProtocol === 'string') this.#attachHttp1(socket, current);
    else this.#attachUndecided(socket, current);
  }

  /** Answers on a socket that is not taken over. */
  turnAway(socket: Socket, code: ErrorCode): void {
    this.#answerRaw(socket, code);
  }

  /** Running exchanges end; idle connections are closed and no exchange keeps its connection. */
  drain(): void {
    this.#draining = true;
    for (const socket of this.#undecided) socket.destroy();
    this.#server.closeIdleConnections();
    this.#http2?.drain();
  }

  /** Closes everything at once. */
  close(): void {
    this.#draining = true;
    for (const socket of this.#undecided) socket.destroy();
    this.#server.closeAllConnections();
    this.#http2?.close();
    // Stops the interval that 'listening' started; there is no socket to close.
    this.#server.close(() => undefined);
  }

  #attachUndecided(socket: Socket, current: () => HttpHandler): void {
    this.#undecided.add(socket);
    const decided = (): boolean => this.#undecided.delete(socket);
    socket.once('close', decided);
    tellVersion(socket, this.#limits.headerSeconds, (version) => {
      decided();
      socket.off('close', decided);
      if (version === '2') this.#attachHttp2(socket, current);
      else this.#attachHttp1(socket, current);
    });
  }

  #attachHttp1(socket: Socket, current: () => HttpHandler): void {
    const connection = new Http1Connection(this.#address, current);
    this.#connections.set(socket, connection);
    socket.once('close', () => connection.close());
    this.#server.emit('connection', socket);
  }

  #attachHttp2(socket: Socket, current: () => HttpHandler): void {
    if (this.#http2 !== undefined) {
      this.#http2.attach(socket, current);
      return;
    }
    import('./h2/front.ts').then(
      ({ Http2Front }) => {
        this.#http2 ??= new Http2Front(this.#address, this.#limits);
        if (this.#draining) socket.destroy();
        else this.#http2.attach(socket, current);
      },
      () => socket.destroy(),
    );
  }

  #exchange(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const connection = this.#connections.get(request.socket)!;
    // RFC 9112 section 9.6: what comes behind the last request of a connection is not processed.
    if (connection.ended) return;
    if (connection.running >= PIPELINED_MAX) {
      request.socket.destroy();
      return;
    }
    // Of what came behind an upgrade that is ignored, node's parser loses what is no part of the body.
    if (this.#draining || request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    const refusal = headProblem(request);
    if (refusal !== undefined) {
      this.#refuse(request, response, refusal);
      return;
    }
    const downstream = new NodeDownstream(request, response, expectsContinue);
    connection.downstreams.add(downstream);
    this.#run(connection, async (handler, id) => {
      const end = await serveExchange(handler.context, handler.routes, downstream, id);
      connection.downstreams.delete(downstream);
      return end;
    });
  }

  #upgrade(message: IncomingMessage, socket: Duplex, rest: Buffer): void {
    const connection = this.#connections.get(socket)!;
    socket.on('error', () => socket.destroy());
    // Its answer would overtake those that are owed for the requests before it.
    if (connection.running > 0 || connection.ended) {
      socket.destroy();
      return;
    }
    this.#run(connection, (handler, id) =>
      serveUpgrade(handler.context, handler.routes, { message, socket, rest, id }),
    );
  }

  #run(connection: Connection, serve: Parameters<Connection['run']>[0]): void {
    void connection.run(serve).then(() => {
      if (this.#draining && connection.running === 0) setImmediate(() => this.#server.closeIdleConnections());
    });
  }

  #connect(message: IncomingMessage, socket: Socket, rest: Buffer): void {
    // As for an upgrade: no answer may overtake another.
    const connection = this.#connections.get(socket);
    if (connection === undefined || connection.running > 0 || connection.ended) {
      socket.destroy();
      return;
    }
    const { tunnels } = connection.handler;
    if (tunnels === undefined) {
      this.#answerRaw(socket, 'connect-refused');
      return;
    }
    // The front's clock ran on the socket; whoever has the tunnel sets one of its own.
    socket.setTimeout(0);
    this.#connections.delete(socket);
    tunnels.open({ target: message.url!, headers: message.rawHeaders, socket, rest, id: connection.id });
  }

  #refuse(request: IncomingMessage, response: ServerResponse, code: ErrorCode): void {
    const connection = this.#connections.get(request.socket)!;
    if (connection.ended) return;
    connection.ended = true;
    const { status, headers, body } = problemResponse(new SidecarError(code), connection.id);
    response.shouldKeepAlive = false;
    response.writeHead(status, [...headers]).end(body);
  }

  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    // node reports the same fault again for each packet that follows.
    const connection = this.#connections.get(socket);
    if (this.#answered.has(socket) || connection?.ended === true) return;
    const code = clientErrorCode(error.code);
    // Once an answer is on its way, another one on the same connection would be read as its continuation.
    if (code === undefined || !socket.writable || (connection?.running ?? 0) > 0) {
      socket.destroy();
      return;
    }
    (connection?.handler ?? this.#current()).context.log.info(
      { id: connection?.id, listener: this.#address, reason: error.code },
      'request refused',
    );
    this.#answerRaw(socket, code);
  }

  #answerRaw(socket: Duplex, code: ErrorCode): void {
    const id = this.#connections.get(socket)?.id ?? randomBytes(8).toString('hex');
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    this.#answered.add(socket);
    const linger = LINGER_MS[code] ?? 0;
    socket.end(problemText(new SidecarError(code), id), () => {
      if (linger === 0) socket.destroy();
    });
    if (linger === 0) return;
    // Reading on for a moment keeps the reset for unread bytes from overtaking the answer.
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), linger);
    socket.once('close', () => clearTimeout(timer));
  }
}

class Http1Connection extends Connection {
  /** Those of the running exchanges. */
  readonly downstreams = new Set<NodeDownstream>();

  override close(): void {
    for (const downstream of this.downstreams) downstream.lost();
    super.close();
  }
}
