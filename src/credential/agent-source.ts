import { SidecarError } from '../error.ts';
import { Grant } from '../policy/request.ts';
import { Breaker, BREAKER_DEFAULT } from './breaker.ts';
import { systemClock, type Clock } from './clock.ts';
import { abortReason, Flight, type Ask, type FlightOptions } from './flight.ts';
import { Holding, type Arrival, type Use } from './holding.ts';
import type { CredentialSource, Lease } from './lease.ts';
import type { SourceOptions } from './source.ts';
import type { FetchContext, SecretStore } from './store.ts';

interface Cached {
  readonly holding: Holding;
  /** Monotonic seconds. */
  readonly until: number;
  readonly cancelTimer: () => void;
}

/**
 * The credentials of one service: for one agent, or for all where they do not depend on who asks.
 *
 * With a cache, everyone who asks while a flight is under way shares it: one fetch for N callers.
 *
 * Without one each use gets a value that was read after it asked, since the value may have been rotated a moment
 * before. So a flight already under way is too old to join; but all who ask while it flies can share the next, which
 * starts when it ends and so after all of them asked. At any moment there is one flight running and at most one
 * queued: a thousand callers cost two fetches, never a thousand processes. The price is that a caller may wait for two
 * fetches in a row, at worst twice the timeout; the breaker ends that after a few.
 */
export class AgentSource implements CredentialSource {
  readonly #context: FetchContext;
  readonly #cacheSeconds: number;
  readonly #clock: Clock;
  readonly #flightOptions: FlightOptions;
  #running: Flight | undefined;
  #queued: Flight | undefined;
  #cached: Cached | undefined;
  /** The newest; lent again while the stores keep returning the same retained secrets. */
  #newest: Holding | undefined;
  #closed = false;

  /** `agent`: whom everything is fetched for, where it is for one agent alone. */
  constructor(options: SourceOptions, agent?: string) {
    this.#context = { service: options.service, ...(agent === undefined ? {} : { agent }) };
    this.#cacheSeconds = options.cacheSeconds;
    this.#clock = options.clock ?? systemClock;
    this.#flightOptions = {
      asks: planAsks(options),
      context: this.#context,
      clock: this.#clock,
      timeoutSeconds: options.timeoutSeconds,
      finishAlone: options.cacheSeconds > 0,
      onFetch: options.onFetch,
      land: (flight, arrivals) => this.#land(flight, arrivals),
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

  /** True while nobody waits for a fetch. */
  get idle(): boolean {
    return this.#running === undefined;
  }

  /** True where what is fetched depends on the agent. Throws what a store that cannot be opened throws. */
  get perAgent(): boolean {
    return this.#flightOptions.asks.some((ask) => ask.store().perAgent === true);
  }

  forget(version: string): void {
    // The stores know no versions: one who comes late with an old one must not make them ask again.
    if (this.#newest?.version === version) {
      for (const ask of this.#flightOptions.asks) ask.store().forget?.(ask.get, this.#context);
    }
    if (this.#cached?.holding.version === version) this.#dropCached();
    // What is under way may have been read before the value proved stale.
    this.#running?.forget(version);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const draining = new SidecarError('draining', {
      detail: `the credentials of "${this.#context.service}" are closed`,
    });
    this.#queued?.cancel(draining);
    this.#running?.cancel(draining);
    this.#dropCached();
    this.#newest = undefined;
  }

  #refusal(grant: Grant): SidecarError | undefined {
    if (!Grant.isGenuine(grant)) return new SidecarError('internal', { detail: 'lease asked for without a grant' });
    const { service, agent } = this.#context;
    if (grant.service !== service) {
      return new SidecarError('internal', { detail: `a grant for "${grant.service}" was shown to "${service}"` });
    }
    if (agent !== undefined && grant.principal.agent !== agent) {
      return new SidecarError('internal', { detail: 'a grant of one agent was shown to the credentials of another' });
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
    const usable = !ended && this.#clock.monotonicSeconds() < cached.until && !cached.holding.wiped;
    if (usable) return cached.holding;
    this.#dropCached();
    return undefined;
  }

  #land(flight: Flight, arrivals: readonly Arrival[]): Holding {
    const holding = this.#newest?.isStill(arrivals) === true ? this.#newest : new Holding(arrivals);
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
  const asks = new Map<string, Ask & { readonly uses: Use[] }>();
  for (const [name, { from, get, field }] of Object.entries(options.references)) {
    const use = { name, ...(field === undefined ? {} : { field }) };
    const key = JSON.stringify([from, get]);
    const known = asks.get(key);
    if (known !== undefined) {
      known.uses.push(use);
      continue;
    }
    const breaker = breakers.get(from) ?? new Breaker(options.breaker ?? BREAKER_DEFAULT);
    breakers.set(from, breaker);
    const store = () => {
      const open = stores.get(from) ?? options.store(from);
      stores.set(from, open);
      return open;
    };
    asks.set(key, { from, get, uses: [use], breaker, store });
  }
  return [...asks.values()];
}
