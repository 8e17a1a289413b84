import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../credential/clock.ts';
import { secretsOf } from '../../credential/holding.ts';
import type { Secret } from '../../credential/secret.ts';
import type { Fetched } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import type { Retired } from './retired.ts';

/** What was fetched, as it came; its secrets are the receiver's. */
export type Minted = Pick<Fetched, 'secret' | 'fields' | 'expiresAt'>;

export interface KeptOptions {
  /** Asks whoever hands it out. */
  readonly mint: (signal: AbortSignal) => Promise<Minted>;
  /** Seconds that one asking may take. */
  readonly timeoutSeconds: number;
  readonly clock: Clock;
  /** Between 0 and 1, for the jitter of the back-off. */
  readonly random: () => number;
  readonly retired: Retired;
}

interface Current {
  readonly fetched: Fetched;
  /** The same, for whoever gets it without anybody being asked. */
  readonly kept: Fetched;
  readonly mintedAt: number;
  readonly lifetimeSeconds: number;
  /** Remaining seconds from which on it is asked for anew. */
  readonly aheadSeconds: number;
  /** Remaining seconds from which on callers wait for the new one. */
  readonly waitSeconds: number;
}

const AHEAD_SECONDS_MAX = 15 * 60;
const WAIT_SECONDS_MAX = 60;
/** Where nobody says when it ends: asked for anew after 5 minutes, and given up an hour after the last answer. */
const ENDLESS = { lifetimeSeconds: 3600, aheadSeconds: 3600 - 300, waitSeconds: 0 };
/** So young, asking anew would bring nothing else: `forget` cannot make a caller who fails over and over ask each time. */
const REST_SECONDS = 10;
const BACKOFF_SECONDS_MAX = 60;

/**
 * One credential that ends, kept and asked for anew in time.
 *
 * Nothing runs while nobody asks: the first fetch within the last third of its life (15 minutes at most) starts one
 * asking in the background and gets the old one, as do all others until the new one is there. In the last minute, and
 * after `forget`, callers wait. An asking that fails leaves the old one in use for as long as it is valid.
 */
export class Kept {
  readonly #options: KeptOptions;
  #current: Current | undefined;
  #asking: Promise<Fetched> | undefined;
  #controller: AbortController | undefined;
  #stale = false;
  #failures = 0;
  /** Monotonic seconds before which nobody is asked while what is kept is valid. */
  #restUntil = 0;
  #end: 'dropped' | 'closed' | undefined;

  constructor(options: KeptOptions) {
    this.#options = options;
  }

  async fetch(signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    if (this.#end === 'closed') throw draining();
    const current = this.#current;
    if (current === undefined) return waitFor(this.#ask(), signal);
    switch (this.#judge(current)) {
      case 'serve':
        return current.kept;
      case 'ask':
        void this.#ask();
        return current.kept;
      case 'wait':
        return waitFor(this.#ask(), signal).catch((thrown: unknown) => {
          if (signal.aborted || this.#remainingSeconds(current) <= 0 || current.kept.secret.wiped) throw thrown;
          return current.kept;
        });
    }
  }

  /** What is kept proved stale: the next fetch waits for another. */
  forget(): void {
    this.#stale = this.#current !== undefined;
  }

  /** Ends it without hurting those who still use what it gave out. */
  drop(): void {
    this.#end ??= 'dropped';
    this.#retire();
  }

  close(): void {
    this.#end = 'closed';
    this.#controller?.abort(draining());
    for (const secret of this.#current === undefined ? [] : secretsOf(this.#current.fetched)) secret.wipe();
    this.#current = undefined;
  }

  #judge(current: Current): 'serve' | 'ask' | 'wait' {
    const remaining = this.#remainingSeconds(current);
    if (remaining <= 0) return 'wait';
    if (!this.#stale && remaining > current.aheadSeconds) return 'serve';
    if (this.#options.clock.monotonicSeconds() < this.#restUntil) return 'serve';
    return this.#stale || remaining <= current.waitSeconds ? 'wait' : 'ask';
  }

  /** By the clock that shows less of it: one may have been set back, the other stands still while the machine sleeps. */
  #remainingSeconds({ fetched: { expiresAt }, mintedAt, lifetimeSeconds }: Current): number {
    const { clock } = this.#options;
    const byAge = lifetimeSeconds - (clock.monotonicSeconds() - mintedAt);
    return expiresAt === undefined ? byAge : Math.min(byAge, (+expiresAt - +clock.wall()) / 1000);
  }

  #ask(): Promise<Fetched> {
    if (this.#asking !== undefined) return this.#asking;
    const asking = this.#run().finally(() => (this.#asking = undefined));
    // Those who wait hear of it; where nobody does, the next fetch tries again.
    asking.catch(() => undefined);
    return (this.#asking = asking);
  }

  async #run(): Promise<Fetched> {
    const { clock, mint, timeoutSeconds } = this.#options;
    const controller = (this.#controller = new AbortController());
    const detail = `no answer within ${timeoutSeconds} s`;
    const timeout = () => controller.abort(new SidecarError('credential-timeout', { detail }));
    const cancelTimer = clock.after(timeoutSeconds, timeout);
    const minting = mint(controller.signal);
    try {
      return this.#land(await waitFor(minting, controller.signal));
    } catch (thrown) {
      // It may yet arrive, when nobody waits any more.
      if (controller.signal.aborted) minting.then(wipe, () => undefined);
      this.#failures += 1;
      const seconds = Math.min(BACKOFF_SECONDS_MAX, 2 ** (this.#failures - 1));
      this.#restUntil = clock.monotonicSeconds() + seconds * (0.5 + this.#options.random() / 2);
      throw thrown;
    } finally {
      cancelTimer();
    }
  }

  #land(minted: Minted): Fetched {
    if (this.#end === 'closed') {
      wipe(minted);
      throw draining();
    }
    const { clock } = this.#options;
    const same = this.#current !== undefined && isSame(this.#current.fetched, minted);
    if (same) wipe(minted);
    else this.#retire();
    const { secret, fields } = same ? this.#current!.fetched : minted;
    const { expiresAt } = minted;
    const fetched: Fetched = {
      secret,
      ...(fields === undefined ? {} : { fields }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      retained: true,
    };
    const mintedAt = clock.monotonicSeconds();
    const span = expiresAt === undefined ? ENDLESS : spanOf((+expiresAt - +clock.wall()) / 1000);
    this.#current = { fetched, kept: { ...fetched, cached: true }, mintedAt, ...span };
    this.#stale = false;
    this.#failures = 0;
    this.#restUntil = mintedAt + Math.min(REST_SECONDS, span.lifetimeSeconds / 3);
    if (this.#end === 'dropped') this.#retire();
    return fetched;
  }

  /** Leases on it may be out, until it ends and a little longer. */
  #retire(): void {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    const seconds = current.fetched.expiresAt === undefined ? AHEAD_SECONDS_MAX : this.#remainingSeconds(current);
    this.#options.retired.wipeAfter(secretsOf(current.fetched), Math.max(0, seconds) + WAIT_SECONDS_MAX);
  }
}

function spanOf(lifetimeSeconds: number): Pick<Current, 'lifetimeSeconds' | 'aheadSeconds' | 'waitSeconds'> {
  return {
    lifetimeSeconds,
    aheadSeconds: Math.min(AHEAD_SECONDS_MAX, lifetimeSeconds / 3),
    waitSeconds: Math.min(WAIT_SECONDS_MAX, lifetimeSeconds / 6),
  };
}

function draining(): SidecarError {
  return new SidecarError('draining', { detail: 'the provider is closed' });
}

function wipe(minted: Minted): void {
  for (const secret of secretsOf(minted)) secret.wipe();
}

function isSame(kept: Fetched, minted: Minted): boolean {
  const [names, others] = [Object.keys(kept.fields ?? {}), Object.keys(minted.fields ?? {})];
  if (names.length !== others.length || !equal(kept.secret, minted.secret)) return false;
  return names.every((name) => {
    const other = minted.fields?.[name];
    return other !== undefined && equal(kept.fields![name]!, other);
  });
}

function equal(one: Secret, other: Secret): boolean {
  if (one.length !== other.length || one.wiped || other.wiped) return false;
  return one.expose((bytes) => other.expose((others) => timingSafeEqual(bytes, others)));
}

/** The promise, or the reason of the signal, whichever is first. */
function waitFor<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason as Error);
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
