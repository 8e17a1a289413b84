import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { RelayHandler } from './binding.ts';
import { AcceptedConnection } from './connection.ts';

/** Connections that are refused in their protocol at a time; beyond these they are closed without a word. */
const REFUSALS_MAX = 64;
/** For one that is refused to send its login, and to hear why. */
const REFUSAL_SECONDS = 5;
/** How often the permissions of running connections are looked at: a window of time may have closed. */
const RECHECK_MS = 15_000;

export interface RelayFrontLimits {
  /** Seconds for a downstream to send its login. */
  readonly headerSeconds: number;
  /** Seconds that work in progress gets once its permission has ended. */
  readonly drainSeconds: number;
}

/** Hands accepted sockets to relay services, and ends their connections when they must. */
export class RelayFront {
  /** Some clients wait for the server to speak (RFC 4253 section 4.2 lets either begin). */
  readonly speaksFirst = true;
  readonly #address: string;
  readonly #current: () => RelayHandler | undefined;
  readonly #connections = new Set<AcceptedConnection>();
  #limits: RelayFrontLimits;
  #refusing = 0;
  #recheck: NodeJS.Timeout | undefined;
  #draining = false;

  /** `current`: undefined where the address has no relay services any more. */
  constructor(address: string, limits: RelayFrontLimits, current: () => RelayHandler | undefined) {
    this.#address = address;
    this.#limits = limits;
    this.#current = current;
  }

  limit(limits: RelayFrontLimits): void {
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

  /** Connections end as soon as nothing is in progress; until then they may ask for more. */
  drain(): void {
    this.#draining = true;
    // First those that have a graver reason to end: the address was taken away.
    this.recheck();
    for (const connection of this.#connections) connection.endSoon(new SidecarError('draining'));
  }

  close(): void {
    this.#draining = true;
    clearInterval(this.#recheck);
    for (const connection of this.#connections) connection.cut(new SidecarError('draining'));
  }

  /**
   * Ends the connections whose use would not be allowed any more, and those whose service is gone: as soon as nothing is
   * in progress, or when the time to drain is over.
   */
  recheck(): void {
    const handler = this.#current();
    for (const connection of this.#connections) {
      if (connection.revoked || connection.isPermitted(handler)) continue;
      connection.revoke(new SidecarError('grant-ended'), this.#limits.drainSeconds);
    }
  }

  #serve(downstream: Socket, headerSeconds: number, refusal: SidecarError | undefined): void {
    const handler = this.#current();
    if (handler === undefined) {
      downstream.destroy();
      return;
    }
    const connection = new AcceptedConnection({
      id: randomBytes(8).toString('hex'),
      handler,
      current: this.#current,
      downstream,
      listener: this.#address,
      headerSeconds,
      refusal,
    });
    handler.enter();
    this.#connections.add(connection);
    // One that is refused leaves room for the next, whatever its connector waits for.
    if (refusal !== undefined) connection.stopAfter(refusal, headerSeconds);
    this.#recheck ??= setInterval(() => this.recheck(), RECHECK_MS).unref();
    void connection.run().then(() => {
      // Only now: a relay uses its service to the end.
      handler.leave();
      this.#gone(connection);
    });
  }

  #gone(connection: AcceptedConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#recheck);
    this.#recheck = undefined;
  }
}
