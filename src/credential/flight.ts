import { SidecarError, type ErrorCode } from '../error.ts';
import type { Breaker } from './breaker.ts';
import type { Clock } from './clock.ts';
import { secretsOf, type Arrival, type Holding, type Use } from './holding.ts';
import type { Lease } from './lease.ts';
import type { Fetched, FetchContext, SecretStore } from './store.ts';

/** One thing to fetch, and every credential name of the service that it serves. */
export interface Ask {
  readonly from: string;
  readonly get: string;
  readonly uses: readonly Use[];
  /** Opens the store where it is not open yet. */
  store(): SecretStore;
  readonly breaker: Breaker;
}

export interface FetchObservation {
  readonly from: string;
  readonly outcome: 'ok' | ErrorCode;
  readonly seconds: number;
}

export interface FlightOptions {
  readonly asks: readonly Ask[];
  readonly context: FetchContext;
  readonly clock: Clock;
  readonly timeoutSeconds: number;
  /** True where the result is worth having though nobody waits any more: it goes to the cache. */
  readonly finishAlone: boolean;
  readonly onFetch: ((observation: FetchObservation) => void) | undefined;
  /** Everything arrived. */
  land(flight: Flight, arrivals: readonly Arrival[]): Holding;
  /** Called once, whatever the end. */
  ended(flight: Flight): void;
}

interface Waiter {
  readonly signal: AbortSignal;
  resolve(lease: Lease): void;
  reject(reason: Error): void;
  unlisten?: () => void;
}

/** Microtasks that a store which already has its value needs at most to hand it over, through three async functions. */
const PROMPT_MICROTASKS = 5;
const ID_CHARACTERS_MAX = 200;

/**
 * One round of fetches, all at once, and those who wait for it.
 *
 * A store that has its value at hand answers within a few microtasks. Only after those does the flight set its timer
 * and listen for aborts, because both would cost more than such an answer does.
 */
export class Flight {
  readonly #options: FlightOptions;
  readonly #waiters = new Set<Waiter>();
  readonly #arrived: (Fetched | undefined)[] = [];
  readonly #controller = new AbortController();
  #forgotten: Set<string> | undefined;
  #missing: number;
  #startedAt = 0;
  #listening = false;
  #cancelTimer: (() => void) | undefined;
  #over = false;

  constructor(options: FlightOptions) {
    this.#options = options;
    this.#missing = options.asks.length;
  }

  /** A lease on what this flight brings. An abort of `signal` ends this wait and no other. */
  join(signal: AbortSignal): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { signal, resolve, reject };
      this.#waiters.add(waiter);
      if (this.#listening) this.#listenTo(waiter);
    });
  }

  /** Listens for aborts from now on; for a flight that has to wait for its start. */
  listen(): void {
    this.#listening = true;
    for (const waiter of [...this.#waiters]) this.#listenTo(waiter);
  }

  start(): void {
    const { asks, clock } = this.#options;
    this.#startedAt = clock.monotonicSeconds();
    for (const ask of asks) {
      const refusal = ask.breaker.refusal(this.#startedAt);
      if (refusal !== undefined) return this.#end(explain(ask, refusal));
    }
    if (asks.length === 0) return this.#land();
    for (let at = 0; at < asks.length; at += 1) void this.#fetch(asks[at]!, at);
    this.#waitPatiently(PROMPT_MICROTASKS);
  }

  /** A version that proved stale while this flight was under way: its result is not to be kept if it is that again. */
  forget(version: string): void {
    this.#forgotten ??= new Set();
    this.#forgotten.add(version);
  }

  forgot(version: string): boolean {
    return this.#forgotten?.has(version) === true;
  }

  cancel(error: SidecarError): void {
    this.#end(error);
  }

  async #fetch(ask: Ask, at: number): Promise<void> {
    try {
      this.#arrive(ask, at, await ask.store().fetch(ask.get, this.#controller.signal, this.#options.context));
    } catch (thrown) {
      this.#fail([ask], fromStore(thrown));
    }
  }

  #arrive(ask: Ask, at: number, fetched: Fetched): void {
    if (this.#over) {
      return wipe(fetched);
    }
    this.#arrived[at] = fetched;
    this.#missing -= 1;
    if (fetched.cached !== true) this.#observe(ask, 'ok');
    if (this.#missing === 0) this.#land();
  }

  #land(): void {
    const holding = this.#options.land(this, this.#arrivals());
    const cached = this.#arrived.some((fetched) => fetched?.cached === true);
    for (const ask of this.#options.asks) ask.breaker.succeeded();
    const waiters = this.#close();
    holding.hold();
    for (const waiter of waiters) waiter.resolve(holding.lend(cached));
    holding.letGo();
    this.#options.ended(this);
  }

  #fail(failed: readonly Ask[], error: SidecarError): void {
    if (this.#over) return;
    const now = this.#options.clock.monotonicSeconds();
    const blamed = new Set<Breaker>();
    for (const ask of failed) {
      this.#observe(ask, error.code);
      if (!blamed.has(ask.breaker)) ask.breaker.failed(explain(ask, error), now);
      blamed.add(ask.breaker);
    }
    // A provider is well when all that it was asked for arrived; one answer of two says nothing.
    const unanswered = new Set(this.#pending().map((ask) => ask.breaker));
    for (const { breaker } of this.#options.asks) {
      if (!unanswered.has(breaker) && !blamed.has(breaker)) breaker.succeeded();
    }
    this.#end(explain(failed[0]!, error));
  }

  #end(error: SidecarError): void {
    if (this.#over) return;
    const waiters = this.#close();
    this.#controller.abort(error);
    for (const fetched of this.#arrived) if (fetched !== undefined) wipe(fetched);
    for (const waiter of waiters) waiter.reject(error);
    this.#options.ended(this);
  }

  #close(): Waiter[] {
    this.#over = true;
    this.#cancelTimer?.();
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.unlisten?.();
    return waiters;
  }

  #waitPatiently(microtasks: number): void {
    if (this.#over) return;
    if (microtasks > 0) return queueMicrotask(() => this.#waitPatiently(microtasks - 1));
    const { clock, timeoutSeconds } = this.#options;
    this.#cancelTimer = clock.after(timeoutSeconds, () => {
      const detail = `no answer within ${timeoutSeconds} s`;
      this.#fail(this.#pending(), new SidecarError('credential-timeout', { detail }));
    });
    if (!this.#listening) this.listen();
  }

  #listenTo(waiter: Waiter): void {
    const leave = () => {
      waiter.unlisten?.();
      if (!this.#waiters.delete(waiter)) return;
      waiter.reject(abortReason(waiter.signal));
      if (this.#waiters.size === 0 && !this.#options.finishAlone) this.#end(new SidecarError('credential-unavailable'));
    };
    if (waiter.signal.aborted) return leave();
    waiter.signal.addEventListener('abort', leave, { once: true });
    waiter.unlisten = () => waiter.signal.removeEventListener('abort', leave);
  }

  #arrivals(): Arrival[] {
    return this.#options.asks.map(({ uses }, at) => ({ uses, fetched: this.#arrived[at]! }));
  }

  #pending(): Ask[] {
    return this.#options.asks.filter((_, at) => this.#arrived[at] === undefined);
  }

  #observe(ask: Ask, outcome: 'ok' | ErrorCode): void {
    const seconds = this.#options.clock.monotonicSeconds() - this.#startedAt;
    try {
      this.#options.onFetch?.({ from: ask.from, outcome, seconds });
    } catch {
      // Whoever only watches has no say in whether a credential is lent.
    }
  }
}

/** What a store retains is its own to wipe. */
function wipe(fetched: Fetched): void {
  if (fetched.retained === true) return;
  for (const secret of secretsOf(fetched)) secret.wipe();
}

export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new DOMException('the wait was aborted', 'AbortError');
}

/** The message of a foreign error may quote what it failed to parse, so only its name and code are kept. */
function fromStore(thrown: unknown): SidecarError {
  if (thrown instanceof SidecarError) return thrown;
  const name = thrown instanceof Error ? thrown.name : typeof thrown;
  const code = thrown instanceof Error && 'code' in thrown ? ` ${String(thrown.code)}` : '';
  return new SidecarError('credential-unavailable', { detail: `${name}${code}` });
}

/** The same error, saying which credential of which provider it is about. */
function explain(ask: Ask, error: SidecarError): SidecarError {
  const names = ask.uses.map(({ name }) => `"${name}"`).join(', ');
  const id = nameableId(ask);
  const shown = id === undefined ? '' : `, id ${JSON.stringify(id.slice(0, ID_CHARACTERS_MAX))}`;
  const what = `credential ${names} (provider "${ask.from}"${shown})`;
  return new SidecarError(error.code, {
    detail: error.detail === undefined ? what : `${what}: ${error.detail}`,
    cause: error.cause,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
  });
}

/** As much of the id as is safe to print. */
function nameableId(ask: Ask): string | undefined {
  try {
    const store = ask.store();
    if (store.idIsSecret === true) return undefined;
    return store.nameableId === undefined ? ask.get : store.nameableId(ask.get);
  } catch {
    // Whether the id is safe to print cannot be learned from a store that does not open.
    return undefined;
  }
}
