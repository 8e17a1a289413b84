import type { RawSide } from '../transport/raw-side.ts';
import type { Side } from './watcher.ts';

/** Bytes that may wait for one side before the other is no longer read. */
export const PENDING_BYTES_MAX = 1024 * 1024;
/** Bytes that may wait for a side before it is not read itself: only answers to its own requests get this far. */
const OWN_PENDING_BYTES_MAX = 2 * PENDING_BYTES_MAX;

/** What the relay needs of a side. */
export type RelaySide = Pick<
  RawSide,
  'attach' | 'closed' | 'end' | 'forward' | 'pause' | 'pending' | 'resume' | 'send'
>;

type PauseReason = 'verdict' | 'other-side' | 'own-side';

/** One side of the relay, with the reasons for which it is not read at present. */
export class Leg {
  readonly side: Side;
  readonly #raw: RelaySide;
  readonly #paused = new Set<PauseReason>();
  /** Set once, by whoever joins the two. */
  other!: Leg;

  constructor(side: Side, raw: RelaySide) {
    this.side = side;
    this.#raw = raw;
  }

  send(message: Uint8Array): void {
    this.#raw.send(message);
    this.#hold();
  }

  /** Sends a message of the other side's on, which is lost by that. */
  forward(message: Buffer): void {
    this.#raw.forward(message);
    this.#hold();
  }

  #hold(): void {
    const { pending } = this.#raw;
    if (pending > PENDING_BYTES_MAX) this.other.pause('other-side');
    if (pending > OWN_PENDING_BYTES_MAX) this.pause('own-side');
  }

  /** What was sent here has gone out, or at least so much that a key exchange kept back. */
  drained(): void {
    if (this.#raw.pending > PENDING_BYTES_MAX) return;
    this.other.resume('other-side');
    this.resume('own-side');
  }

  get paused(): boolean {
    return this.#paused.size > 0;
  }

  pause(reason: PauseReason): void {
    this.#paused.add(reason);
    this.#raw.pause();
  }

  resume(reason: PauseReason): void {
    if (this.#paused.delete(reason) && this.#paused.size === 0) this.#raw.resume();
  }
}
