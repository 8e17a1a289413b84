/** What is counted: the openings of a connection, and what is asked for once it is open or needs none, apart. */
export type Counted = 'requests' | 'openings';

/** What `evaluate` may ask of the counts. */
export interface RateReader {
  /** Milliseconds until one more use fits; 0: now. */
  waitMilliseconds(rule: string, agent: string, service: string, perMinute: number, counted: Counted): number;
}

export interface RateLimits {
  /** Combinations of rule, agent and service that were used within a minute. */
  readonly keysMax?: number;
  /** Times remembered over all of them; 8 bytes each. */
  readonly timesMax?: number;
}

export const WINDOW_MILLISECONDS = 60_000;
const KEYS_MAX = 10_000;
const TIMES_MAX = 4_000_000;
const SWEEP_MILLISECONDS = 1_000;
const FIRST_CAPACITY = 8;

/**
 * Exact sliding windows: of the uses counted for one rule, agent and service, requests and openings apart, at most N
 * lie in any 60 seconds (half-open: two uses exactly 60 s apart share no window).
 *
 * Each key remembers the times of its uses in a ring that grows as needed; keys without a use for a minute are swept.
 * Where a limit of memory is reached, further uses wait (fail closed). Times are milliseconds of a monotonic clock;
 * one that goes back stands still here. Lives on over a reload of the rules, also when a rule's N changes.
 */
export class RateWindows {
  readonly #rings = new Map<string, Ring>();
  readonly #keysMax: number;
  readonly #timesMax: number;
  #times = 0;
  #sweptAt = -Infinity;
  #latest = -Infinity;

  constructor(limits: RateLimits = {}) {
    this.#keysMax = limits.keysMax ?? KEYS_MAX;
    this.#timesMax = limits.timesMax ?? TIMES_MAX;
  }

  /** Keys remembered. */
  get keys(): number {
    return this.#rings.size;
  }

  /** Times that memory is held for, over all keys. */
  get times(): number {
    return this.#times;
  }

  /** Milliseconds from `at` until one more use fits; 0: now. Counts nothing. */
  waitMilliseconds(
    rule: string,
    agent: string,
    service: string,
    perMinute: number,
    at: number,
    counted: Counted = 'requests',
  ): number {
    const now = Math.max(at, this.#latest);
    const ring = this.#rings.get(keyOf(rule, agent, service, counted));
    if (ring === undefined) {
      return this.#hasRoom(1, Math.min(FIRST_CAPACITY, perMinute), now) ? 0 : WINDOW_MILLISECONDS;
    }
    const wait = ring.length < perMinute ? 0 : untilGone(ring.newest(perMinute), now);
    if (wait > 0 || !ring.full) return wait;
    const oldest = untilGone(ring.newest(ring.length), now);
    return oldest === 0 || this.#hasRoom(0, ring.growth(perMinute), now) ? 0 : oldest;
  }

  /** Counts a use at `at`, which `waitMilliseconds` has just let through. */
  count(
    rule: string,
    agent: string,
    service: string,
    perMinute: number,
    at: number,
    counted: Counted = 'requests',
  ): void {
    const now = Math.max(at, this.#latest);
    this.#latest = now;
    const key = keyOf(rule, agent, service, counted);
    let ring = this.#rings.get(key);
    if (ring === undefined) {
      if (now - this.#sweptAt >= WINDOW_MILLISECONDS) this.#sweep(now);
      ring = new Ring(Math.min(FIRST_CAPACITY, perMinute));
      this.#rings.set(key, ring);
      this.#times += ring.capacity;
    } else if (ring.full && untilGone(ring.newest(ring.length), now) > 0) {
      const growth = ring.growth(perMinute);
      ring.grow(growth);
      this.#times += growth;
    }
    ring.push(now);
  }

  #hasRoom(keys: number, times: number, now: number): boolean {
    const fits = (): boolean => this.#rings.size + keys <= this.#keysMax && this.#times + times <= this.#timesMax;
    if (fits()) return true;
    // Seldom, so that being full does not cost a walk over all keys for each refusal.
    if (now - this.#sweptAt >= SWEEP_MILLISECONDS) this.#sweep(now);
    return fits();
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    this.#latest = now;
    for (const [key, ring] of this.#rings) {
      if (untilGone(ring.newest(1), now) > 0) continue;
      this.#rings.delete(key);
      this.#times -= ring.capacity;
    }
  }
}

/** Milliseconds until a use at `time` has left the window that ends now. */
function untilGone(time: number, now: number): number {
  return Math.max(0, WINDOW_MILLISECONDS - (now - time));
}

/** One text for four; the lengths keep `a` + `bc` and `ab` + `c` apart. */
function keyOf(rule: string, agent: string, service: string, counted: Counted): string {
  return `${counted === 'openings' ? '+' : ''}${rule.length} ${agent.length} ${rule}${agent}${service}`;
}

/** The last times of one key, oldest overwritten first. */
class Ring {
  #slots: Float64Array;
  #next = 0;
  #length = 0;

  constructor(capacity: number) {
    this.#slots = new Float64Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get capacity(): number {
    return this.#slots.length;
  }

  get full(): boolean {
    return this.#length === this.#slots.length;
  }

  /** The nth newest time, from 1; n is at most `length`. */
  newest(nth: number): number {
    const size = this.#slots.length;
    return this.#slots[(this.#next - nth + size) % size]!;
  }

  push(time: number): void {
    this.#slots[this.#next] = time;
    this.#next = (this.#next + 1) % this.#slots.length;
    if (this.#length < this.#slots.length) this.#length += 1;
  }

  /** Slots to add when full: as many again, up to `most` in all. */
  growth(most: number): number {
    return Math.max(0, Math.min(this.capacity, most - this.capacity));
  }

  grow(growth: number): void {
    const slots = new Float64Array(this.capacity + growth);
    for (let nth = this.#length; nth >= 1; nth -= 1) slots[this.#length - nth] = this.newest(nth);
    this.#slots = slots;
    this.#next = this.#length % slots.length;
  }
}
