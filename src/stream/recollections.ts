import type { Peer } from '../connector/handshake.ts';
import { Tally } from '../upstream/tally.ts';

/** What a living connection remembers, for others of its service. */
export interface Recollection {
  readonly value: unknown;
  readonly peer: Peer;
}

/** Connections of one service that may act on a recollection at a time: who guesses keys gets no more than these. */
const RECALLS_MAX = 64;

/**
 * What living connections remember, by service and key. It outlives reloads, as the connections do.
 */
export class Recollections {
  readonly #byService = new Map<string, Map<string, Recollection>>();
  readonly #running = new Tally();

  /** Returns what forgets it again. */
  remember(service: string, key: Uint8Array, recollection: Recollection): () => void {
    const name = nameOf(key);
    const ours = this.#byService.get(service) ?? new Map<string, Recollection>();
    this.#byService.set(service, ours);
    ours.set(name, recollection);
    return () => {
      // The same key may have been given out again by another upstream since.
      if (ours.get(name) === recollection) ours.delete(name);
      if (ours.size === 0 && this.#byService.get(service) === ours) this.#byService.delete(service);
    };
  }

  recall(service: string, key: Uint8Array): Recollection | undefined {
    return this.#byService.get(service)?.get(nameOf(key));
  }

  /** Counts one that acts on a recollection; undefined where there are too many. Returns what ends it. */
  begin(service: string): (() => void) | undefined {
    return this.#running.begin(service, RECALLS_MAX);
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
