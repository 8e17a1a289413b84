/** Buffers that held key material, to be overwritten together once the key is made. */
export class Scratch {
  readonly #buffers: Uint8Array[] = [];

  /** Remembers the buffer and hands it back. */
  keep<Bytes extends Uint8Array>(buffer: Bytes): Bytes {
    this.#buffers.push(buffer);
    return buffer;
  }

  wipe(): void {
    for (const buffer of this.#buffers) buffer.fill(0);
  }
}

/** Runs `use`, and overwrites what it kept, however it ends. */
export async function withScratch<Result>(use: (scratch: Scratch) => Result | Promise<Result>): Promise<Result> {
  const scratch = new Scratch();
  try {
    return await use(scratch);
  } finally {
    scratch.wipe();
  }
}
