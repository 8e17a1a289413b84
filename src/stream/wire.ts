import type { Socket } from 'node:net';
import type { Side } from '../connector/handshake.ts';
import { asSidecarError, SidecarError, type ErrorCode } from '../error.ts';

const NOTHING = Buffer.alloc(0);

/** How a side says that it ended, or that it is late. */
const CODES = {
  downstream: { closed: 'downstream-closed', late: 'login-timeout' },
  upstream: { closed: 'upstream-closed', late: 'upstream-timeout' },
} as const satisfies Record<Side, Record<'closed' | 'late', ErrorCode>>;

/**
 * Exact reads from a socket during a login. Takes what was asked for and not a byte more: the rest stays in the stream,
 * for the copying that follows. Node's stream holds back a sender that pushes more than its buffer takes.
 */
export class Wire {
  readonly side: Side;
  #socket: Socket;
  /** True once anything was read or written. */
  #spoken = false;

  constructor(side: Side, socket: Socket) {
    this.side = side;
    this.#socket = socket;
    // Whoever waits hears of the close that follows; while nobody does, an error must not end the process.
    socket.on('error', () => socket.destroy());
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** Bytes that arrived and are unread. */
  get unread(): number {
    return this.#socket.readableLength;
  }

  get spoken(): boolean {
    return this.#spoken;
  }

  /** The connection goes on inside TLS. */
  wrap(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    this.#socket = socket;
    this.#spoken = true;
  }

  /** Exactly `count` bytes by `untilMs` (of `performance.now`): at once where they are there. */
  read(count: number, untilMs: number): Buffer | Promise<Buffer> {
    this.#spoken = true;
    return this.#take(count) ?? this.#waitFor(count, untilMs);
  }

  peek(count: number, untilMs: number): Buffer | Promise<Buffer> {
    const there = this.#take(count);
    if (there !== undefined) return this.#putBack(there);
    return this.#waitFor(count, untilMs).then((bytes) => this.#putBack(bytes));
  }

  /** A socket that is gone takes everything in silence. */
  write(data: Uint8Array, secret: boolean): void {
    this.#spoken = true;
    if (secret) this.#socket.write(data, () => data.fill(0));
    else this.#socket.write(data);
  }

  /** Waits until the other side ends; what it still sends is thrown away. */
  async ended(untilMs: number): Promise<void> {
    const throwAway = (): undefined => {
      while (this.#socket.read() !== null);
    };
    try {
      throwAway();
      await this.#watch(untilMs, throwAway);
    } catch (thrown) {
      if (asSidecarError(thrown).code !== CODES[this.side].closed) throw thrown;
    }
  }

  #take(count: number): Buffer | undefined {
    if (count === 0) return NOTHING;
    // Asking for more than is there makes the stream fetch it; at the end it gives what is left.
    const bytes = this.#socket.read(count) as Buffer | null;
    if (bytes === null) return undefined;
    if (bytes.length < count) throw new SidecarError(CODES[this.side].closed);
    return bytes;
  }

  #putBack(bytes: Buffer): Buffer {
    this.#socket.unshift(bytes);
    return bytes;
  }

  #waitFor(count: number, untilMs: number): Promise<Buffer> {
    return this.#watch(untilMs, () => this.#take(count));
  }

  /**
   * Tries `take` whenever something arrives, until it has something. One listener for the whole wait: a new one is told
   * at once of what is there already, however little, and waiting would never end.
   */
  #watch<Result>(untilMs: number, take: () => Result | undefined): Promise<Result> {
    const socket = this.#socket;
    const { closed, late } = CODES[this.side];
    if (socket.destroyed || socket.readableEnded) return Promise.reject(new SidecarError(closed));
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        socket.off('readable', arrived).off('end', ended).off('close', ended);
      };
      const fail = (error: SidecarError): void => {
        stop();
        reject(error);
      };
      const arrived = (): void => {
        try {
          const result = take();
          if (result === undefined) return;
          stop();
          resolve(result);
        } catch (thrown) {
          fail(asSidecarError(thrown));
        }
      };
      const ended = (): void => fail(new SidecarError(closed));
      const timer = setTimeout(() => fail(new SidecarError(late)), Math.max(1, untilMs - performance.now()));
      socket.on('readable', arrived).on('end', ended).on('close', ended);
    });
  }
}
