/** What `write` of a stream calls back. */
export type Written = (error?: Error | null) => void;

/**
 * Memory that a socket was read into, to be freed as soon as all of it has been used up. V8 sees but the small objects
 * that own such memory: it lets tens of MB wait, and a collection of them costs more than the ciphers do.
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
    if (this.#read && this.#rest === 0 && this.#writes === 0) free(this.#memory);
  }
}

/** Frees the memory of `bytes` where it holds nothing else; there are none in it any more. */
export function free(bytes: Buffer): void {
  const { buffer } = bytes;
  if (isWhole(bytes) && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Whether there is nothing beside it in its memory: many small buffers share theirs. */
export function isWhole(bytes: Buffer): boolean {
  return bytes.length > 0 && bytes.length === bytes.buffer.byteLength;
}
