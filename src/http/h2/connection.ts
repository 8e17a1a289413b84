import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { asSidecarError, type SidecarError } from '../../error.ts';
import { Connection } from '../connection.ts';
import { serveExchange } from '../exchange.ts';
import type { HttpFrontLimits, HttpHandler } from '../front.ts';
import { problemResponse } from '../problem.ts';
import { Allowance } from './allowance.ts';
import { Http2Downstream, respond } from './downstream.ts';
import { serveWebsocketStream } from './extended-connect.ts';
import { http2Response } from './fields.ts';
import { readRequestHead, type Http2RequestHead } from './request-head.ts';

/** What a connection may rest beyond `idleSeconds`, so that the exchanges on it end first, with their reason. */
const IDLE_GRACE_MS = 1_000;
/** How long a connection that is over may take to close. */
const LEAVE_MS = 1_000;
/** Exchanges of one connection, with those that go on for a moment after their stream was reset. */
const RUNNING_MAX = 200;
/** Generous: clients of gRPC measure the path with a PING per round trip while messages flow. */
const PINGS: readonly [number, number] = [20_000, 10_000];
const SETTINGS: readonly [number, number] = [50, 5];

export interface Http2ConnectionParts {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  readonly limits: HttpFrontLimits;
  readonly current: () => HttpHandler;
}

/** One HTTP/2 connection of an agent. */
export class Http2Connection extends Connection {
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #limits: HttpFrontLimits;
  /** Until the first request, and between requests. */
  #rest: NodeJS.Timeout | undefined;
  #leaving: NodeJS.Timeout | undefined;
  #streams = 0;

  constructor(listener: string, { session, socket, limits, current }: Http2ConnectionParts) {
    super(listener, current);
    this.#session = session;
    this.#socket = socket;
    this.#limits = limits;
    session.on('stream', (stream, _fields, _flags, raw) => this.#serve(stream, raw));
    session.on('error', (error: Error) => this.#failed(error.message));
    session.setTimeout(limits.idleSeconds * 1000 + IDLE_GRACE_MS, () => this.cut());
    this.#ration('ping', PINGS);
    this.#ration('remoteSettings', SETTINGS);
    // A side that has closed its half can neither ask nor take what is sent to it.
    socket.once('end', () => this.cut());
    this.#restFor(limits.headerSeconds);
  }

  drain(): void {
    this.#session.close();
    if (this.#streams === 0) this.#leave();
  }

  /** Ends everything on it at once. */
  cut(): void {
    this.#session.destroy();
    this.#leave();
  }

  override close(): void {
    clearTimeout(this.#rest);
    clearTimeout(this.#leaving);
    super.close();
  }

  #serve(stream: ServerHttp2Stream, raw: readonly string[]): void {
    // Whoever uses the stream hears of its end; an error that nobody waits for must not end the process.
    stream.on('error', () => undefined);
    this.#streams += 1;
    clearTimeout(this.#rest);
    stream.once('close', () => this.#ended());
    if (stream.closed || stream.destroyed) return;
    if (this.running >= RUNNING_MAX) {
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    const request = this.#read(stream, raw);
    if (request === undefined) return;
    if (request.protocol !== undefined) {
      void this.run(({ context, routes }, id) => serveWebsocketStream(context, routes, { request, stream, id }));
      return;
    }
    const served = new Http2Downstream(stream, request, this.#limits.requestSeconds);
    void this.run(({ context, routes }, id) => serveExchange(context, routes, served, id));
  }

  #read(stream: ServerHttp2Stream, raw: readonly string[]): Http2RequestHead | undefined {
    try {
      const scheme = this.#session.encrypted === true ? 'https' : 'http';
      return readRequestHead(raw, scheme, this.#limits.headerBytes);
    } catch (thrown) {
      const error = asSidecarError(thrown);
      this.handler.context.log.info({ id: this.id, error }, 'request refused');
      refuse(stream, error, this.id);
      return undefined;
    }
  }

  #ended(): void {
    this.#streams -= 1;
    if (this.#streams > 0) return;
    if (this.#session.closed || this.#session.destroyed) this.#leave();
    else this.#restFor(this.#limits.keepAliveSeconds);
  }

  #restFor(seconds: number): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.drain(), seconds * 1000);
  }

  #ration(event: 'ping' | 'remoteSettings', [burst, perSecond]: readonly [number, number]): void {
    const allowance = new Allowance(burst, perSecond);
    this.#session.on(event, () => {
      if (!allowance.take()) this.#flooded(event);
    });
  }

  #flooded(what: string): void {
    if (this.#session.destroyed) return;
    this.#session.destroy(new Error(`too many: ${what}`), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#leave();
  }

  #failed(reason: string): void {
    this.handler.context.log.info({ id: this.id, reason }, 'HTTP/2 connection ended');
  }

  /** node waits for the other side to take the last frames and to close; that may be never. */
  #leave(): void {
    if (this.#socket.destroyed) return;
    this.#leaving ??= setTimeout(() => this.#socket.destroy(), LEAVE_MS);
  }
}

function refuse(stream: ServerHttp2Stream, error: SidecarError, id: string): void {
  const problem = problemResponse(error, id);
  respond(stream, http2Response(problem));
  // To HEAD the answer is over already.
  if (!stream.writableEnded) stream.end(problem.body);
  stream.resume();
}
