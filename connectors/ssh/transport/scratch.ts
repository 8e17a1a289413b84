import { freeSpent } from 'secretless-sidecar/connector';

/** What `write` of a stream calls back. */
export type Written = (error?: Error | null) => void;

/**
 * Memory that a socket was read into, to be freed as soon as all of it has been used up (see `freeSpent`).
 *
 * Whatever is not known to be used up stays, and is collected like anything else.
 */
export class Scratch {
  readonly #memory: Buffer;
  /** Bytes that somebody may need yet. */
  #rest: number;
  #writes = 0;
  #read = false;
  /** Bytes of other memory that came of this, and are left to be collected. */
  #left = 0;

  constructor(memory: Buffer) {
    this.#memory = memory;
    this.#rest = memory.length;
  }

  /** So many more bytes are needed by nobody. */
  spend(bytes: number): void {
    this.#rest -= bytes;
  }

  /** So many bytes were copied from here to where nobody will free them. */
  leave(bytes: number): void {
    this.#left += bytes;
  }

  /** As `spend`, once a write of these bytes has ended. */
  lend(bytes: number): Written {
    this.#rest -= bytes;
    this.#writes += 1;
    return this.#written;
  }

  readonly #written: Written = (error) => {
    // After an error nobody knows what the system holds on to.
    if (error) return;
    this.#writes -= 1;
    this.#free();
  };

  /** All that will be read of it has been read. Bytes that will not be freed but collected. */
  over(): number {
    this.#read = true;
    const collected = this.#left + (this.#rest === 0 ? 0 : this.#memory.length);
    this.#free();
    return collected;
  }

  #free(): void {
    if (this.#read && this.#rest === 0 && this.#writes === 0) freeSpent(this.#memory);
  }
}
