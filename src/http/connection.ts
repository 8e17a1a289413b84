import { randomBytes } from 'node:crypto';
import type { ExchangeEnd } from './exchange.ts';
import type { HttpHandler } from './front.ts';

/** One accepted connection, and the exchanges and upgrades on it. */
export class Connection {
  /** Correlation id; exchanges have it with their number. */
  readonly id = randomBytes(8).toString('hex');
  readonly #begun = performance.now();
  readonly #listener: string;
  readonly #current: () => HttpHandler;
  #exchanges = 0;
  #running = 0;
  #bytesUp = 0;
  #bytesDown = 0;
  #closed = false;
  /** True once a request was refused here, after which nobody can be sure where the next one begins. */
  ended = false;

  /** `listener`: its address, for the ledger. */
  constructor(listener: string, current: () => HttpHandler) {
    this.#listener = listener;
    this.#current = current;
  }

  /** What serves the next exchange. */
  get handler(): HttpHandler {
    return this.#current();
  }

  /** Exchanges and upgrades. */
  get running(): number {
    return this.#running;
  }

  /** Counts one exchange from its beginning to its end. `serve` never rejects. */
  async run(serve: (handler: HttpHandler, id: string) => Promise<ExchangeEnd>): Promise<void> {
    const handler = this.#current();
    this.#exchanges += 1;
    this.#running += 1;
    handler.enter();
    const end = await serve(handler, `${this.id}-${this.#exchanges}`);
    this.#running -= 1;
    this.#bytesUp += end.bytesUp;
    this.#bytesDown += end.bytesDown;
    if (this.#closed && this.#running === 0) this.#note();
    handler.leave();
  }

  /** Its socket is closed: goes to the ledger once what that cut has been counted. */
  close(): void {
    this.#closed = true;
    if (this.#running === 0) this.#note();
  }

  #note(): void {
    if (this.#exchanges === 0) return;
    this.#current().context.ledger.note({
      type: 'connection.closed',
      id: this.id,
      listener: this.#listener,
      exchanges: this.#exchanges,
      bytesUp: this.#bytesUp,
      bytesDown: this.#bytesDown,
      ms: Math.round(performance.now() - this.#begun),
    });
  }
}
