import type { Socket } from 'node:net';
import { asSidecarError, SidecarError } from '../error.ts';
import { abortError } from './deadline.ts';

/** Milliseconds after which the next address is tried next to the one that has not answered (RFC 8305 section 5). */
const NEXT_ADDRESS_MS = 250;

/** Connects to one address. Must end when its signal does; a socket that it still returns then is closed. */
export type Attempt = (address: string, signal: AbortSignal) => Promise<Socket>;

/**
 * The first connection that stands (RFC 8305): one address after the other, each as soon as the one before failed or let
 * itself be waited for. The others are given up. Errors: `upstream-unreachable`, the reason of `signal`.
 */
export async function raceTo(addresses: readonly string[], signal: AbortSignal, attempt: Attempt): Promise<Socket> {
  const race = new Race(alternate(addresses), signal, attempt);
  return race.run();
}

class Race {
  readonly #left: string[];
  readonly #outer: AbortSignal;
  readonly #attempt: Attempt;
  readonly #losers = new AbortController();
  readonly #result = Promise.withResolvers<Socket>();
  readonly #failures: SidecarError[] = [];
  #running = 0;
  #over = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(addresses: string[], outer: AbortSignal, attempt: Attempt) {
    this.#left = addresses;
    this.#outer = outer;
    this.#attempt = attempt;
  }

  async run(): Promise<Socket> {
    const abort = (): void => this.#fail(abortError(this.#outer));
    if (this.#outer.aborted) abort();
    else this.#outer.addEventListener('abort', abort);
    this.#next();
    try {
      return await this.#result.promise;
    } finally {
      this.#outer.removeEventListener('abort', abort);
      clearTimeout(this.#timer);
      this.#losers.abort();
    }
  }

  #next(): void {
    clearTimeout(this.#timer);
    if (this.#over) return;
    const address = this.#left.shift();
    if (address === undefined) {
      if (this.#running === 0) this.#fail(together(this.#failures));
      return;
    }
    this.#running += 1;
    if (this.#left.length > 0) this.#timer = setTimeout(() => this.#next(), NEXT_ADDRESS_MS);
    this.#attempt(address, this.#losers.signal).then(
      (socket) => this.#connected(socket),
      (error: unknown) => {
        this.#running -= 1;
        this.#failures.push(asSidecarError(error));
        this.#next();
      },
    );
  }

  #connected(socket: Socket): void {
    if (this.#over) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.#over = true;
    this.#result.resolve(socket);
  }

  #fail(error: SidecarError): void {
    this.#over = true;
    this.#result.reject(error);
  }
}

/** Of several failures the first's code, with what each said. */
function together(failures: readonly SidecarError[]): SidecarError {
  const [first, ...others] = failures;
  if (first === undefined) return new SidecarError('upstream-unreachable', { detail: 'no address' });
  if (others.length === 0) return first;
  const detail = failures.map((failure) => failure.detail ?? failure.code).join('; ');
  return new SidecarError(first.code, { detail, cause: first });
}

/** The families by turns, from that of the first (RFC 8305 section 4): a family without a way out costs one wait. */
function alternate(addresses: readonly string[]): string[] {
  const isV6 = (address: string): boolean => address.includes(':');
  const first = addresses.filter((address) => isV6(address) === isV6(addresses[0]!));
  const second = addresses.filter((address) => isV6(address) !== isV6(addresses[0]!));
  return Array.from({ length: Math.max(first.length, second.length) }, (_, at) => [first[at], second[at]])
    .flat()
    .filter((address) => address !== undefined);
}
