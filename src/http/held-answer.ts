import { REVIEWED_BYTES_MAX } from '../connector/connector.ts';
import type { ResponseHead } from '../connector/head.ts';
import type { UpstreamControl, UpstreamListener } from './engine.ts';

/** How long the upstream may say nothing before its connector has to judge by what came. */
const SILENCE_MS = 2_000;
/** How long an answer is held at most, however it drips. */
const HELD_MS_MAX = 10_000;

/**
 * An answer that waits for its connector's word: its head, and the beginning of its body. `ask` is called once, when
 * `REVIEWED_BYTES_MAX` bytes are there, or the end, or nothing more comes.
 */
export class HeldAnswer {
  readonly head: ResponseHead;
  readonly #control: UpstreamControl;
  readonly #ask: (answer: HeldAnswer) => void;
  readonly #since = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #asked = false;
  #trailers: readonly string[] | undefined;
  #error: Error | undefined;

  constructor(head: ResponseHead, control: UpstreamControl, ask: (answer: HeldAnswer) => void) {
    this.head = head;
    this.#control = control;
    this.#ask = ask;
    this.#timer = setTimeout(() => this.#stop(), SILENCE_MS);
  }

  /** False until the connector is asked. */
  get asked(): boolean {
    return this.#asked;
  }

  /** Of the body; `REVIEWED_BYTES_MAX` bytes at most. */
  get beginning(): Uint8Array {
    return Buffer.concat(this.#chunks, this.#bytes).subarray(0, REVIEWED_BYTES_MAX);
  }

  chunk(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= REVIEWED_BYTES_MAX) this.#stop();
    else if (performance.now() - this.#since < HELD_MS_MAX) this.#timer.refresh();
  }

  end(trailers: readonly string[]): void {
    this.#trailers = trailers;
    this.#conclude();
  }

  error(error: Error): void {
    this.#error = error;
  }

  /** What became of the upstream while its answer was held. */
  get failure(): Error | undefined {
    return this.#error;
  }

  /** Says again what came behind the head; what is still to come follows by itself. */
  replay(listener: Pick<UpstreamListener, 'chunk' | 'end'>): void {
    for (const chunk of this.#chunks) listener.chunk(chunk);
    if (this.#trailers !== undefined) listener.end(this.#trailers);
    else this.#control.resume();
  }

  /** Nobody will be asked any more. */
  drop(): void {
    this.#asked = true;
    clearTimeout(this.#timer);
  }

  #stop(): void {
    this.#control.pause();
    this.#conclude();
  }

  #conclude(): void {
    clearTimeout(this.#timer);
    if (this.#asked) return;
    this.#asked = true;
    this.#ask(this);
  }
}
