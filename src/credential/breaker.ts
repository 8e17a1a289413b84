import { SidecarError } from '../error.ts';

export interface BreakerOptions {
  /** Failures in a row after which the provider is left alone. */
  readonly failures: number;
  /** How long it is left alone before one probe. */
  readonly pauseSeconds: number;
}

/** Recovery within five seconds of the provider's return needs a pause below that. */
export const BREAKER_DEFAULT: BreakerOptions = { failures: 5, pauseSeconds: 4 };

/**
 * Keeps a failing provider from being asked again and again.
 *
 * Half-open needs no state of its own: after the pause the count still stands at the limit, so the next failure pauses
 * again at once and the next success clears it. That it is one probe and not a herd follows from its owner, which
 * runs one flight at a time.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  #pausedUntil = 0;
  #last: SidecarError | undefined;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** The refusal while paused; undefined where the provider may be asked. `now` in monotonic seconds. */
  refusal(now: number): SidecarError | undefined {
    if (this.#failures < this.#options.failures || now >= this.#pausedUntil) return undefined;
    return new SidecarError('provider-paused', {
      detail: `${this.#failures} failures in a row, the last: ${this.#last?.detail ?? this.#last?.code ?? 'unknown'}`,
      cause: this.#last,
      retryAfterSeconds: Math.max(1, Math.ceil(this.#pausedUntil - now)),
    });
  }

  succeeded(): void {
    this.#failures = 0;
    this.#last = undefined;
  }

  failed(error: SidecarError, now: number): void {
    // A provider that says "I do not hold this" has answered and is well.
    if (error.code === 'credential-missing') return this.succeeded();
    // Without its tool nobody was asked: pausing would only hide which tool to install.
    if (error.code === 'provider-tool-missing') return;
    this.#failures += 1;
    this.#last = error;
    if (this.#failures >= this.#options.failures) this.#pausedUntil = now + this.#options.pauseSeconds;
  }
}
