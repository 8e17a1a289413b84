import type { ResponseHead } from '../connector/head.ts';
import type { UpstreamControl, UpstreamListener } from './engine.ts';

/** Lets only the newest dispatch speak to the exchange. */
export class Attempt implements UpstreamListener {
  readonly #exchange: UpstreamListener;
  readonly #number: number;
  readonly #current: () => number;

  constructor(exchange: UpstreamListener, number: number, current: () => number) {
    this.#exchange = exchange;
    this.#number = number;
    this.#current = current;
  }

  get #stale(): boolean {
    return this.#current() !== this.#number;
  }

  started(control: UpstreamControl): void {
    this.#exchange.started(control);
  }

  inform(head: ResponseHead): void {
    if (!this.#stale) this.#exchange.inform(head);
  }

  head(head: ResponseHead): void {
    if (!this.#stale) this.#exchange.head(head);
  }

  chunk(chunk: Uint8Array): void {
    if (!this.#stale) this.#exchange.chunk(chunk);
  }

  end(trailers: readonly string[]): void {
    if (!this.#stale) this.#exchange.end(trailers);
  }

  error(error: Error): void {
    if (!this.#stale) this.#exchange.error(error);
  }
}
