import { performServerHandshake } from 'node:http2';
import type { Socket } from 'node:net';
import type { HttpFrontLimits, HttpHandler } from '../front.ts';
import { Http2Connection } from './connection.ts';

/** Node counts frames that are no use, empty DATA among them, up to here. */
const INVALID_FRAMES_MAX = 100;
const REJECTED_STREAMS_MAX = 100;
/** Streams that a connection may have open. */
export const STREAMS_MAX = 100;
/** RST_STREAM frames: so many at once, then so many a second. A page that is left, or a deadline, cancels a hundred. */
export const RESETS_BURST = 500;
export const RESETS_PER_SECOND = 50;
/** Bytes of one stream that may wait here for an upstream that is slow to take them. */
const WINDOW_BYTES = 256 * 1024;
/** Bytes of all streams of a connection on their way; each stream has its own window besides. */
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
/** Fields of one head; their bytes are limited besides. */
const FIELDS_MAX = 256;

/** Speaks HTTP/2 on sockets of a front. */
export class Http2Front {
  readonly #address: string;
  readonly #connections = new Set<Http2Connection>();
  #limits: HttpFrontLimits;

  constructor(address: string, limits: HttpFrontLimits) {
    this.#address = address;
    this.#limits = limits;
  }

  /** For connections taken over from now on. */
  limit(limits: HttpFrontLimits): void {
    this.#limits = limits;
  }

  /** Takes over a socket whose client preface is there to be read, or will be. */
  attach(socket: Socket, current: () => HttpHandler): void {
    if (socket.destroyed) return;
    const session = performServerHandshake(socket, {
      settings: {
        enablePush: false,
        enableConnectProtocol: true,
        maxConcurrentStreams: STREAMS_MAX,
        maxHeaderListSize: this.#limits.headerBytes,
        initialWindowSize: WINDOW_BYTES,
      },
      maxHeaderListPairs: FIELDS_MAX,
      maxSessionInvalidFrames: INVALID_FRAMES_MAX,
      maxSessionRejectedStreams: REJECTED_STREAMS_MAX,
      streamResetBurst: RESETS_BURST,
      streamResetRate: RESETS_PER_SECOND,
      strictSingleValueFields: false,
    });
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    const connection = new Http2Connection(this.#address, { session, socket, limits: this.#limits, current });
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      connection.close();
    });
  }

  /** Running exchanges end; each connection is told that it gets no further ones. */
  drain(): void {
    for (const connection of this.#connections) connection.drain();
  }

  /** Closes everything at once. */
  close(): void {
    for (const connection of this.#connections) connection.cut();
  }
}
