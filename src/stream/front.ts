import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { StreamHandler } from './binding.ts';
import { StreamConnection } from './connection.ts';

/** Connections that are refused in their protocol at a time; beyond these they are closed without a word. */
const REFUSALS_MAX = 64;
/** For one that is refused to send its login. */
const REFUSAL_SECONDS = 3;
/** How often the permission of a running connection is looked at: a window of time may have closed. */
const RECHECK_MS = 15_000;

export interface StreamFrontLimits {
  /** Seconds for a downstream to send its login. */
  readonly headerSeconds: number;
  /** Seconds that work in progress gets once its permission has ended. */
  readonly drainSeconds: number;
}

/** Speaks a stream protocol on sockets that a listener accepted. */
export class StreamFront {
  readonly #address: string;
  readonly #current: () => StreamHandler;
  readonly #connections = new Set<StreamConnection>();
  #limits: StreamFrontLimits;
  #refusing = 0;
  #recheck: NodeJS.Timeout | undefined;
  #draining = false;

  constructor(address: string, limits: StreamFrontLimits, current: () => StreamHandler) {
    this.#address = address;
    this.#limits = limits;
    this.#current = current;
  }

  limit(limits: StreamFrontLimits): void {
    this.#limits = limits;
  }

  attach(socket: Socket): void {
    this.#serve(socket, this.#limits.headerSeconds, this.#draining ? new SidecarError('draining') : undefined);
  }

  /** The refusal comes in the protocol, once the downstream has said enough to understand it. */
  turnAway(socket: Socket, code: ErrorCode): void {
    if (this.#refusing >= REFUSALS_MAX) {
      socket.destroy();
      return;
    }
    this.#refusing += 1;
    socket.once('close', () => (this.#refusing -= 1));
    this.#serve(socket, REFUSAL_SECONDS, new SidecarError(code));
  }

  /** Connections end at their next rest. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections) connection.endAtRest(new SidecarError('draining'));
  }

  close(): void {
    this.#draining = true;
    clearInterval(this.#recheck);
    for (const connection of this.#connections) connection.cut();
  }

  /** Ends the connections whose use would not be allowed any more: at their next rest, or when the time to drain is over. */
  recheck(): void {
    const { parts, binding } = this.#current();
    for (const connection of this.#connections) {
      const { request } = connection;
      if (request === undefined || connection.revoked) continue;
      const same = request.service === binding.service && request.principal.agent === binding.principal.agent;
      if (same && parts.policy.permits(request)) continue;
      connection.revoke(new SidecarError('grant-ended'), this.#limits.drainSeconds);
    }
  }

  #serve(downstream: Socket, headerSeconds: number, refusal: SidecarError | undefined): void {
    const handler = this.#current();
    const connection = new StreamConnection({
      id: randomBytes(8).toString('hex'),
      parts: handler.parts,
      binding: handler.binding,
      downstream,
      listener: this.#address,
      headerSeconds,
      ...(refusal === undefined ? {} : { refusal }),
    });
    handler.enter();
    this.#connections.add(connection);
    this.#recheck ??= setInterval(() => this.recheck(), RECHECK_MS).unref();
    void connection.run(() => handler.leave()).then(() => this.#gone(connection));
  }

  #gone(connection: StreamConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#recheck);
    this.#recheck = undefined;
  }
}
