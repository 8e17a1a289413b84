export const SLAB_BYTES = 64 * 1024;

/**
 * Bytes gathered in buffers of one size. A body may come in chunks of one byte, and to keep each in a buffer of its own
 * would cost a hundred times its bytes.
 */
export class Slabs {
  readonly #firstBytes: number;
  readonly #slabs: Buffer[] = [];
  #free = 0;
  #bytes = 0;

  /** `expectedBytes` where the length is known: a small body then takes no whole slab. */
  constructor(expectedBytes = SLAB_BYTES) {
    this.#firstBytes = Math.max(1, Math.min(expectedBytes, SLAB_BYTES));
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Copies a chunk; `grow` is asked before each new slab. Returns how many bytes were taken. */
  put(chunk: Uint8Array, grow: (bytes: number) => boolean = () => true): number {
    let taken = 0;
    while (taken < chunk.length) {
      if (this.#free === 0) {
        const size = this.#slabs.length === 0 ? this.#firstBytes : SLAB_BYTES;
        if (!grow(size)) break;
        this.#slabs.push(Buffer.allocUnsafeSlow(size));
        this.#free = size;
      }
      const slab = this.#slabs.at(-1)!;
      const part = chunk.subarray(taken, taken + this.#free);
      slab.set(part, slab.length - this.#free);
      this.#free -= part.length;
      taken += part.length;
    }
    this.#bytes += taken;
    return taken;
  }

  /** What was put in, in order. */
  parts(): Buffer[] {
    if (this.#free === 0) return [...this.#slabs];
    const last = this.#slabs.at(-1)!;
    return [...this.#slabs.slice(0, -1), last.subarray(0, last.length - this.#free)];
  }
}
