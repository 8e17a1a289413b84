import type { Clock } from '../../credential/clock.ts';
import type { Secret } from '../../credential/secret.ts';

/** Secrets that were replaced while leases on them may be out: wiped when none of those can still be of use. */
export class Retired {
  readonly #clock: Clock;
  readonly #waiting = new Set<{ readonly secrets: readonly Secret[]; cancelTimer: () => void }>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wipeAfter(secrets: readonly Secret[], seconds: number): void {
    if (this.#closed) return wipeAll(secrets);
    const entry = { secrets, cancelTimer: (): void => undefined };
    entry.cancelTimer = this.#clock.after(seconds, () => {
      this.#waiting.delete(entry);
      wipeAll(secrets);
    });
    this.#waiting.add(entry);
  }

  /** Wipes all of them: whoever used them is gone. */
  close(): void {
    this.#closed = true;
    for (const { secrets, cancelTimer } of this.#waiting) {
      cancelTimer();
      wipeAll(secrets);
    }
    this.#waiting.clear();
  }
}

function wipeAll(secrets: readonly Secret[]): void {
  for (const secret of secrets) secret.wipe();
}
