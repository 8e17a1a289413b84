import { systemClock, type Clock } from '../../credential/clock.ts';
import type { Fetched } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { Kept, type KeptOptions } from './kept.ts';
import { Retired } from './retired.ts';

/** Credentials that one store keeps at a time; the one used longest ago makes room. */
const KEPT_MAX = 2000;

/** What a store needs of the world; tests pass their own. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: () => number;
}

export const SYSTEM: Surroundings = { clock: systemClock, random: Math.random };

/** Everything that one store keeps, by key. */
export class KeptSet {
  readonly #options: Omit<KeptOptions, 'mint'>;
  readonly #entries = new Map<string, Kept>();
  #closed = false;

  constructor(timeoutSeconds: number, surroundings: Surroundings) {
    this.#options = { timeoutSeconds, ...surroundings, retired: new Retired(surroundings.clock) };
  }

  /**
   * What is kept under `key`, asked for with `mint` where it must be. Not async, and so its callers: each one between
   * would cost three microtasks, and a source waits patiently for whoever needs more than five.
   */
  fetch(key: string, mint: KeptOptions['mint'], signal: AbortSignal): Promise<Fetched> {
    if (this.#closed) return Promise.reject(new SidecarError('draining', { detail: 'the provider is closed' }));
    let kept = this.#entries.get(key);
    if (kept === undefined) {
      this.#makeRoom();
      kept = new Kept({ ...this.#options, mint });
    } else this.#entries.delete(key);
    this.#entries.set(key, kept);
    return kept.fetch(signal);
  }

  forget(key: string): void {
    this.#entries.get(key)?.forget();
  }

  close(): void {
    this.#closed = true;
    for (const kept of this.#entries.values()) kept.close();
    this.#entries.clear();
    this.#options.retired.close();
  }

  #makeRoom(): void {
    if (this.#entries.size < KEPT_MAX) return;
    const [oldest] = this.#entries;
    this.#entries.delete(oldest![0]);
    oldest![1].drop();
  }
}
