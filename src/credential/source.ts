import { SidecarError } from '../error.ts';
import { Grant } from '../policy/request.ts';
import { Breaker, BREAKER_DEFAULT, type BreakerOptions } from './breaker.ts';
import { systemClock, type Clock } from './clock.ts';
import { abortReason, Flight, type Ask, type FetchObservation, type FlightOptions } from './flight.ts';
import { Holding, type Named } from './holding.ts';
import type { CredentialSource, Lease } from './lease.ts';
import type { SecretStore } from './store.ts';

export interface SourceOptions {
  readonly service: string;
  /** By credential name. */
  readonly references: Readonly<Record<string, { readonly from: string; readonly get: string }>>;
  /** The store of a provider name; called at the first use of that name. */
  readonly store: (from: string) => SecretStore;
  /** Seconds that a fetched value may serve later leases; 0: fetched afresh for each use. */
  readonly cacheSeconds: number;
  /** Seconds that one fetch may take. */
  readonly timeoutSeconds: number;
  readonly clock?: Clock;
  /** Told of each fetch that ended, never of a cached answer. */
  readonly onFetch?: (observation: FetchObservation) => void;
  readonly breaker?: BreakerOptions;
}

/** The credentials of one service. Close it before the stores it uses. */
export function openSource(options: SourceOptions): CredentialSource {
  return new Source(options);
}

interface Cached {
  readonly holding: Holding;
  /** Monotonic seconds. */
  readonly until: number;
  readonly cancelTimer: () => void;
}

/**
 * With a cache, everyone who asks while a flight is under way shares it: one fetch for N callers.
 *
 * Without one each use gets a value that was read after it asked, since the value may have been rotated a moment
 * before. So a flight already under way is too old to join; but all who ask while it flies can share the next, which
 * starts when it ends and so after all of them asked. At any moment there is one flight running and at most one
 * queued: a thousand callers cost two fetches, never a thousand processes. The price is that a caller may wait for two
 * fetches in a row, at worst twice the timeout; the breaker ends that after a few.
 */
class Source implements CredentialSource {
  readonly #service: string;
  readonly #cacheSeconds: number;
  readonly #clock: Clock;
  readonly #flightOptions: FlightOptions;
  #running: Flight | undefined;
  #queued: Flight | undefined;
  #cached: Cached | undefined;
  /** The newest; lent again while the stores keep returning the same retained secrets. */
  #newest: Holding | undefined;
  #closed = false;

  constructor(options: SourceOptions) {
    this.#service = options.service;
    this.#cacheSeconds = options.cacheSeconds;
    this.#clock = options.clock ?? systemClock;
    this.#flightOptions = {
      asks: planAsks(options),
      clock: this.#clock,
      timeoutSeconds: options.timeoutSeconds,
      finishAlone: options.cacheSeconds > 0,
      onFetch: options.onFetch,
      land: (flight, entries) => this.#land(flight, entries),
      ended: (flight) => this.#ended(flight),
    };
  }

  lease(grant: Grant, signal: AbortSignal): Promise<Lease> {
    const refusal = this.#refusal(grant) ?? (signal.aborted ? abortReason(signal) : undefined);
    if (refusal !== undefined) return Promise.reject(refusal);
    const cached = this.#current();
    if (cached !== undefined) return Promise.resolve(cached.lend(true));
    if (this.#running === undefined) {
      const flight = (this.#running = new Flight(this.#flightOptions));
      const lease = flight.join(signal);
      flight.start();
      return lease;
    }
    if (this.#cacheSeconds > 0) return this.#running.join(signal);
    if (this.#queued === undefined) {
      this.#queued = new Flight(this.#flightOptions);
      this.#queued.listen();
    }
    return this.#queued.join(signal);
  }

  forget(version: string): void {
    if (this.#cached?.holding.version === version) this.#dropCached();
    // What is under way may have been read before the value proved stale.
    this.#running?.forget(version);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const draining = new SidecarError('draining', { detail: `the credentials of "${this.#service}" are closed` });
    this.#queued?.cancel(draining);
    this.#running?.cancel(draining);
    this.#dropCached();
    this.#newest = undefined;
  }

  #refusal(grant: Grant): SidecarError | undefined {
    if (!Grant.isGenuine(grant)) return new SidecarError('internal', { detail: 'lease asked for without a grant' });
    if (grant.service !== this.#service) {
      return new SidecarError('internal', { detail: `a grant for "${grant.service}" was shown to "${this.#service}"` });
    }
    if (this.#closed) return new SidecarError('draining');
    return undefined;
  }

  #current(): Holding | undefined {
    const cached = this.#cached;
    if (cached === undefined) return undefined;
    const { expiresAt } = cached.holding;
    // The wall clock too, since a monotonic clock may stand still while the machine sleeps.
    const ended = expiresAt !== undefined && this.#clock.wall() >= expiresAt;
    if (!ended && this.#clock.monotonicSeconds() < cached.until) return cached.holding;
    this.#dropCached();
    return undefined;
  }

  #land(flight: Flight, entries: readonly Named[]): Holding {
    const holding = this.#newest?.isStill(entries) === true ? this.#newest : new Holding(entries);
    this.#newest = holding;
    if (!flight.forgot(holding.version)) this.#cache(holding);
    return holding;
  }

  #cache(holding: Holding): void {
    const untilEnd = holding.expiresAt === undefined ? Infinity : +holding.expiresAt - +this.#clock.wall();
    const seconds = Math.min(this.#cacheSeconds, untilEnd / 1000);
    if (!(seconds > 0)) return;
    this.#dropCached();
    holding.hold();
    // The timer is for the wiping: an idle service keeps no secret beyond its time.
    const cancelTimer = this.#clock.after(seconds, () => this.#dropCached());
    this.#cached = { holding, until: this.#clock.monotonicSeconds() + seconds, cancelTimer };
  }

  #dropCached(): void {
    const cached = this.#cached;
    this.#cached = undefined;
    cached?.cancelTimer();
    cached?.holding.letGo();
  }

  #ended(flight: Flight): void {
    if (this.#queued === flight) this.#queued = undefined;
    if (this.#running !== flight) return;
    this.#running = this.#queued;
    this.#queued = undefined;
    this.#running?.start();
  }
}

/** One ask for each (from, get), however many names it serves; one breaker for each provider. */
function planAsks(options: SourceOptions): Ask[] {
  const breakers = new Map<string, Breaker>();
  const stores = new Map<string, SecretStore>();
  const asks = new Map<string, Ask & { readonly names: string[] }>();
  for (const [name, { from, get }] of Object.entries(options.references)) {
    const key = JSON.stringify([from, get]);
    const known = asks.get(key);
    if (known !== undefined) {
      known.names.push(name);
      continue;
    }
    const breaker = breakers.get(from) ?? new Breaker(options.breaker ?? BREAKER_DEFAULT);
    breakers.set(from, breaker);
    const store = () => {
      const open = stores.get(from) ?? options.store(from);
      stores.set(from, open);
      return open;
    };
    asks.set(key, { from, get, names: [name], breaker, store });
  }
  return [...asks.values()];
}
