import type { Readable } from 'node:stream';
import { SidecarError } from '../error.ts';

/**
 * The chunks of a stream as they come, one for each `next`. The iterator that streams have themselves joins what waits
 * into new buffers: measurably more time for a body that only passes.
 */
export class ChunksOf implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #stream: Readable;
  readonly #waiting: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  #error: Error | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('data', (chunk: Uint8Array) => {
      this.#waiting.push(chunk);
      stream.pause();
      this.#settle();
    });
    stream.once('error', (error: Error) => (this.#error ??= error));
    stream.once('end', () => {
      this.#over = true;
      this.#settle();
    });
    stream.once('close', () => {
      if (!this.#over) this.#error ??= early();
      this.#settle();
    });
    stream.pause();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      const value = this.#waiting.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#error !== undefined) throw this.#error;
      if (this.#over) return { done: true, value: undefined };
      if (this.#stream.closed) throw this.#stream.errored ?? early();
      this.#stream.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#over) this.#stream.destroy();
    return { done: true, value: undefined };
  }

  #settle(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function early(): SidecarError {
  return new SidecarError('request-malformed', { detail: 'the body ended early' });
}
