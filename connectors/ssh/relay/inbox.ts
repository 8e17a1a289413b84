import type { Leg } from './leg.ts';

/** Takes one side's messages in order: while one of them waits for a verdict, those behind it wait too. */
export class Inbox {
  readonly #leg: Leg;
  readonly #handle: (message: Buffer) => void | Promise<void>;
  readonly #fail: (error: unknown) => void;
  /** Present while a verdict is awaited; no more than what was read with the message that caused it. */
  #held: Buffer[] | undefined;

  constructor(leg: Leg, handle: (message: Buffer) => void | Promise<void>, fail: (error: unknown) => void) {
    this.#leg = leg;
    this.#handle = handle;
    this.#fail = fail;
  }

  take(message: Buffer): void {
    if (this.#held !== undefined) {
      this.#held.push(message);
      return;
    }
    const verdict = this.#handle(message);
    if (verdict !== undefined) void this.#wait(verdict, []);
  }

  async #wait(verdict: Promise<void>, behind: readonly Buffer[]): Promise<void> {
    const held = [...behind];
    this.#held = held;
    this.#leg.pause('verdict');
    try {
      await verdict;
      for (let next = held.shift(); next !== undefined; next = held.shift()) await this.#handle(next);
      this.#held = undefined;
      this.#leg.resume('verdict');
    } catch (error) {
      this.#fail(error);
    }
  }
}
