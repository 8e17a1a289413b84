import type { Globals } from './globals.ts';
import type { Leg } from './leg.ts';

export interface KeepaliveOptions {
  /** Of silence, after which the side is asked. */
  readonly seconds: number;
  /** Questions without an answer after which it is gone. */
  readonly count: number;
}

/** As many questions as OpenSSH's `ServerAliveCountMax`. */
export const KEEPALIVE: KeepaliveOptions = { seconds: 60, count: 3 };

/** Asks a side that says nothing whether it is there. One that we do not read is not silent. */
export class Keepalive {
  readonly #timer: NodeJS.Timeout;
  #asked = 0;
  #heard = false;

  constructor(leg: Leg, globals: Globals, options: KeepaliveOptions, gone: () => void) {
    this.#timer = setInterval(() => {
      if (this.#heard || leg.paused) this.#asked = 0;
      else if (this.#asked >= options.count || !globals.ping(leg)) return gone();
      else this.#asked += 1;
      this.#heard = false;
    }, options.seconds * 1000).unref();
  }

  heard(): void {
    this.#heard = true;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
