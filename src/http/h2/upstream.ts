import { connect, type ClientHttp2Session, type ClientSessionOptions, type Settings } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { formatOrigin, type Origin } from '../../connector/origin.ts';
import { asSidecarError, SidecarError } from '../../error.ts';
import type { UpstreamListener, UpstreamRequest } from '../engine.ts';
import { sendRequest } from './upstream-stream.ts';

export interface Http2UpstreamOptions {
  readonly origin: Origin;
  readonly connections: number;
  readonly headerBytes: number;
  /** How long the upstream may take to say its settings, which come first of all. */
  readonly settingsSeconds: number;
  connect(): Promise<Socket | TLSSocket>;
  /** Told once, with the first connection, where the upstream agreed on HTTP/1.1. */
  readonly chosenHttp1: (socket: Socket, waiting: readonly Waiting[]) => void;
}

type Waiting = readonly [UpstreamRequest, UpstreamListener];

/** Bytes of one stream that may wait here for an agent that is slow to take them. */
const WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
/** Streams that a connection that is being opened will take, perhaps (RFC 9113 section 6.5.2 advises no fewer). */
const STREAMS_ASSUMED = 100;
const STREAMS_MAX = 1_000;
const FIELDS_MAX = 512;
const IDLE_MS = 60_000;
/** How long a connection that is over may take to close. */
const LEAVE_MS = 1_000;

/** Connections of HTTP/2 to one origin; as few as its limit of streams allows. */
export class Http2Upstream {
  readonly #options: Http2UpstreamOptions;
  readonly #connections = new Set<UpstreamConnection>();
  readonly #waiting: Waiting[] = [];
  #connecting = 0;
  #closing = false;
  #closed: (() => void) | undefined;

  constructor(options: Http2UpstreamOptions) {
    this.#options = options;
  }

  dispatch(request: UpstreamRequest, listener: UpstreamListener): void {
    this.#waiting.push([request, listener]);
    this.#proceed();
  }

  /** Ends when running exchanges have ended. */
  async close(): Promise<void> {
    this.#closing = true;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      this.#proceed();
    });
  }

  readonly #proceed = (): void => {
    while (this.#waiting.length > 0) {
      const connection = [...this.#connections].find(({ hasRoom }) => hasRoom);
      if (connection === undefined) break;
      connection.send(...this.#waiting.shift()!);
    }
    const { connections } = this.#options;
    if (this.#waiting.length > this.#connecting * STREAMS_ASSUMED) {
      if (this.#connections.size + this.#connecting < connections) void this.#connect();
    }
    if (!this.#closing || this.#waiting.length > 0 || this.#connecting > 0) return;
    for (const connection of this.#connections) connection.leave();
    if (this.#connections.size === 0) this.#closed?.();
  };

  async #connect(): Promise<void> {
    this.#connecting += 1;
    try {
      const socket = await this.#options.connect();
      await this.#opened(socket);
    } catch (thrown) {
      const error = asSidecarError(thrown, 'upstream-closed');
      for (const [, listener] of this.#waiting.splice(0)) listener.error(error);
    } finally {
      this.#connecting -= 1;
      this.#proceed();
    }
  }

  async #opened(socket: Socket | TLSSocket): Promise<void> {
    const { origin, headerBytes, settingsSeconds, chosenHttp1 } = this.#options;
    if (origin.scheme === 'https' && (socket as TLSSocket).alpnProtocol !== 'h2') {
      chosenHttp1(socket, this.#waiting.splice(0));
      return;
    }
    // Which fields may come once only is for the one who reads them to say; here they pass as they came.
    const lenient: ClientSessionOptions & { readonly strictSingleValueFields: false } = {
      strictSingleValueFields: false,
    };
    const session = connect(formatOrigin(origin), {
      ...lenient,
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: headerBytes },
      peerMaxConcurrentStreams: STREAMS_ASSUMED,
      maxHeaderListPairs: FIELDS_MAX,
    });
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    await settled(session, socket, settingsSeconds);
    const connection = new UpstreamConnection(session, socket, origin, this.#proceed);
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      this.#proceed();
    });
  }
}

class UpstreamConnection {
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  readonly #origin: Origin;
  /** Told when there may be room for another stream. */
  readonly #changed: () => void;
  #streams = 0;
  #streamsMax: number;
  #over = false;
  /** Why it ended, for the streams that it cut. */
  #failure: Error | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(session: ClientHttp2Session, socket: Socket, origin: Origin, changed: () => void) {
    this.#session = session;
    this.#socket = socket;
    this.#origin = origin;
    this.#changed = changed;
    this.#streamsMax = streamsOf(session.remoteSettings);
    session.on('error', (error: Error) => (this.#failure = error));
    session.on('remoteSettings', (settings: Settings) => {
      this.#streamsMax = streamsOf(settings);
      changed();
    });
    session.once('goaway', () => this.leave());
    // The other side has closed its half: no answer comes any more.
    socket.once('end', () => this.#cut());
    socket.once('close', () => clearTimeout(this.#idle));
    this.#rest();
  }

  get hasRoom(): boolean {
    return !this.#over && !this.#session.closed && !this.#session.destroyed && this.#streams < this.#streamsMax;
  }

  send(request: UpstreamRequest, listener: UpstreamListener): void {
    clearTimeout(this.#idle);
    this.#streams += 1;
    const closed = (): void => {
      this.#streams -= 1;
      if (this.#streams === 0) this.#rest();
      this.#changed();
    };
    const failure = (): Error | undefined => this.#failure;
    try {
      sendRequest({ session: this.#session, origin: this.#origin, request, listener, closed, failure });
    } catch (thrown) {
      closed();
      listener.error(thrown instanceof SidecarError ? thrown : asSidecarError(thrown, 'upstream-closed'));
    }
  }

  /** Takes no more requests, and closes when the running ones have ended. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#session.close();
    if (this.#streams === 0) this.#cut();
  }

  #rest(): void {
    clearTimeout(this.#idle);
    if (this.#over) this.#cut();
    else this.#idle = setTimeout(() => this.leave(), IDLE_MS).unref();
  }

  /** node waits for the other side to take the last frames and to close; that may be never. */
  #cut(): void {
    this.#over = true;
    this.#session.destroy();
    if (!this.#socket.destroyed) this.#idle = setTimeout(() => this.#socket.destroy(), LEAVE_MS);
  }
}

function streamsOf({ maxConcurrentStreams = STREAMS_MAX }: Settings): number {
  return Math.min(maxConcurrentStreams, STREAMS_MAX);
}

/**
 * Waits for the upstream's settings: how many streams it takes, and that it speaks HTTP/2 at all. Errors: `upstream-protocol`,
 * `upstream-timeout`.
 */
function settled(session: ClientHttp2Session, socket: Socket, seconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    session.on('error', (error: Error) => (failure = error));
    const settle = (error: SidecarError | undefined): void => {
      clearTimeout(timer);
      socket.off('close', closed);
      if (error === undefined) {
        resolve();
        return;
      }
      session.destroy();
      socket.destroy();
      reject(error);
    };
    const closed = (): void =>
      settle(new SidecarError('upstream-protocol', { detail: failure?.message ?? 'no settings came', cause: failure }));
    const timer = setTimeout(() => settle(new SidecarError('upstream-timeout')), seconds * 1000);
    session.once('remoteSettings', () => settle(undefined));
    socket.once('close', closed);
  });
}
