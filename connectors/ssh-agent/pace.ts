import { SidecarError } from 'secretless-sidecar/connector';

export interface PaceOptions {
  /** Time for the first request, and for the rest of one that has begun. */
  readonly headerSeconds: number;
  /** Time between two requests; 0: no limit. */
  readonly idleSeconds: number;
  /** The connection is to end between two requests. */
  readonly ending: AbortSignal;
}

/**
 * How long a client may take. `end` is called once: with an error where it is told off, `isAtRest` where nothing is in
 * progress and what was answered may still be taken.
 */
export class Pace {
  readonly #options: PaceOptions;
  readonly #end: (error: SidecarError | undefined, isAtRest: boolean) => void;
  /** Runs while a request is awaited that must come, or has begun. */
  #deadline: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #hasAsked = false;
  #isResting = false;
  readonly #onEnding = (): void => {
    if (this.#isResting) this.#endAtRest();
  };

  constructor(options: PaceOptions, end: (error: SidecarError | undefined, isAtRest: boolean) => void) {
    this.#options = options;
    this.#end = end;
    options.ending.addEventListener('abort', this.#onEnding);
  }

  /** More bytes are awaited; `isInside`: of a request that has begun. */
  waits(isInside: boolean): void {
    this.#isResting = !isInside;
    if (this.#isResting && this.#options.ending.aborted) return this.#endAtRest();
    const { headerSeconds, idleSeconds } = this.#options;
    if (isInside || !this.#hasAsked) {
      clearTimeout(this.#idle);
      // Not begun anew by each byte: a request has so much time as a whole.
      this.#deadline ??= setTimeout(() => this.#end(new SidecarError('login-timeout'), false), headerSeconds * 1000);
    } else if (idleSeconds > 0) {
      clearTimeout(this.#idle);
      this.#idle = setTimeout(() => this.#end(undefined, false), idleSeconds * 1000);
    }
  }

  /** A request is there whole. */
  works(): void {
    this.#hasAsked = true;
    this.#isResting = false;
    this.#stop();
  }

  close(): void {
    this.#options.ending.removeEventListener('abort', this.#onEnding);
    this.#stop();
  }

  #stop(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#idle);
    this.#deadline = undefined;
  }

  #endAtRest(): void {
    const { reason } = this.#options.ending as { readonly reason: unknown };
    this.#end(reason instanceof SidecarError ? reason : undefined, true);
  }
}
