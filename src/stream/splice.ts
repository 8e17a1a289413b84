import type { Socket } from 'node:net';
import type { Splice } from '../connector/handshake.ts';
import { freeSpent, isWhole } from '../connector/spent.ts';
import { SidecarError } from '../error.ts';
import { youngGeneration } from '../young-generation.ts';

/** How long a connection must rest to be ended: a command may be on its way. */
const QUIET_MS = 20;
/** Chunks from which on their memory is freed at once. */
const FREED_BYTES_MIN = 8 * 1024;
/** For the other side to take in the last bytes of a connection that was ended. */
const LINGER_MS = 1_000;

export interface SpliceOptions {
  /** Neither side sends a byte; 0: no limit. */
  readonly idleSeconds: number;
  /** What the login said of the time after it. */
  readonly plan: Splice;
}

/**
 * Copies bytes both ways until both sides have ended: backpressure kept, a half-close passed on as one, the loss of one side
 * ends the other. Looks at no byte, but for the end of what the upstream sends, where the protocol tells rest by it.
 */
export class Splicing {
  /** Resolves when both sockets are closed. */
  readonly over: Promise<void>;
  readonly #downstream: Socket;
  readonly #upstream: Socket;
  readonly #plan: Splice;
  #bytesUp = 0;
  #bytesDown = 0;
  #rests: boolean;
  /** Why the connection is to end at its next rest. */
  #ending: SidecarError | undefined;
  #ended: SidecarError | undefined;
  #quiet: NodeJS.Timeout | undefined;
  readonly #age: NodeJS.Timeout | undefined;

  constructor(downstream: Socket, upstream: Socket, { plan, idleSeconds }: SpliceOptions) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#plan = plan;
    this.#rests = downstream.readableLength === 0;
    this.over = Promise.all([closed(downstream), closed(upstream)]).then(() => this.#stop());
    // A side that was lost already says so no more.
    if (downstream.destroyed) upstream.destroy();
    if (upstream.destroyed) downstream.destroy();
    this.#copyUp();
    this.#copyDown();
    if (idleSeconds > 0) downstream.setTimeout(idleSeconds * 1000, () => this.cut());
    if (plan.ageSecondsMax !== undefined) {
      this.#age = setTimeout(() => this.endAtRest(new SidecarError('connection-aged')), plan.ageSecondsMax * 1000);
    }
  }

  get bytesUp(): number {
    return this.#bytesUp;
  }

  get bytesDown(): number {
    return this.#bytesDown;
  }

  /** Why it was ended from here; undefined where a side ended it. */
  get ended(): SidecarError | undefined {
    return this.#ended;
  }

  /** Ends the connection as soon as it rests between two commands; at once where the protocol cannot tell. */
  endAtRest(reason: SidecarError): void {
    if (this.#ending !== undefined) return;
    this.#ending = reason;
    if (this.#plan.restsAfter === undefined) this.#end();
    else this.#watch();
  }

  /** Ends it now, whatever it is doing. */
  cut(reason?: SidecarError): void {
    this.#ended ??= reason;
    this.#downstream.destroy();
    this.#upstream.destroy();
  }

  #copyUp(): void {
    const to = this.#upstream;
    copy(this.#downstream, to, (chunk) => {
      this.#bytesUp += chunk.length;
      this.#rests = false;
      return send(to, chunk);
    });
  }

  #copyDown(): void {
    const to = this.#downstream;
    const { restsAfter } = this.#plan;
    copy(this.#upstream, to, (chunk) => {
      this.#bytesDown += chunk.length;
      if (restsAfter !== undefined) this.#rests = restsAfter(chunk);
      const more = send(to, chunk);
      if (this.#ending !== undefined) this.#watch();
      return more;
    });
  }

  /** Rest is told by what was sent last; whether it stays so, only time tells. */
  #watch(): void {
    clearTimeout(this.#quiet);
    if (!this.#rests) return;
    this.#quiet = setTimeout(() => {
      if (this.#rests && this.#downstream.writableLength === 0) this.#end();
    }, QUIET_MS);
  }

  #end(): void {
    const reason = this.#ending!;
    this.#ended = reason;
    const farewell = this.#plan.farewell?.(reason);
    if (farewell === undefined) this.#downstream.end();
    else this.#downstream.end(farewell);
    this.#upstream.end();
    const timer = setTimeout(() => this.cut(), LINGER_MS);
    void this.over.then(() => clearTimeout(timer));
  }

  #stop(): void {
    clearTimeout(this.#quiet);
    clearTimeout(this.#age);
  }
}

/**
 * False where the chunk, or a part of it, waits in memory. `write` also says so of every chunk as large as its buffer,
 * though the kernel took it whole: stopping and starting the reader for each of those is what a COPY would mostly do.
 */
function send(to: Socket, chunk: Buffer): boolean {
  return passOn(to, chunk) || to.writableLength === 0;
}

/** A large chunk is freed once it has left; of small ones the collector has less work than that would be. */
function passOn(to: Socket, chunk: Buffer): boolean {
  if (chunk.length < FREED_BYTES_MIN || !isWhole(chunk)) {
    youngGeneration.passed(chunk.length);
    return to.write(chunk);
  }
  return to.write(chunk, (error) => {
    // After an error nobody knows what the system holds on to.
    if (!error) freeSpent(chunk);
  });
}

/**
 * `take` writes a chunk to `to` and says whether it takes more. Handing chunks past the stream of `from` was tried: 5 % of
 * the processor, within the noise, for a method of Node's that nobody promises.
 */
function copy(from: Socket, to: Socket, take: (chunk: Buffer) => boolean): void {
  from.on('data', (chunk: Buffer) => {
    if (!take(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  // After its own end a side closes when the other has ended too; closed before, it was lost.
  from.on('close', () => {
    if (!from.readableEnded || !from.writableFinished) to.destroy();
  });
  // A login listened for `readable`, which holds back the flow until the turn after it stopped.
  setImmediate(() => from.resume());
}

function closed(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => void socket.once('close', () => resolve()));
}
