import { Chain } from './chain.ts';
import type { Entry } from './chain.ts';
import type { LedgerEvent, LedgerRecoveredEvent } from './event.ts';
import { FOLD_MS, Folding } from './fold.ts';
import { describe, realFileSystem, unavailable } from './files.ts';
import type { FileSystem } from './files.ts';
import type { Tip } from './line.ts';
import { Lock } from './lock.ts';

export type { Tip } from './line.ts';

/** The chain of events. One writer per file. */
export interface Ledger {
  /**
   * Resolves when the event is as durable as the setting asks; then, and not before, the credential may leave.
   * Of many identical refusals in a short time most are folded into one line (see `event.ts`): those resolve when the
   * first of them is durable. Errors: `ledger-unavailable`, at once while the ledger cannot write.
   */
  record(event: LedgerEvent): Promise<void>;
  /** For ends, which nobody waits for: kept in a bounded queue while the ledger cannot write, and counted where that is full. */
  note(event: LedgerEvent): void;
  readonly health: LedgerHealth;
  /** The newest line that counts. */
  readonly tip: Tip;
  /** Resolves when all that was handed over before is durable. Errors: `ledger-unavailable`. */
  flush(): Promise<void>;
  /** Writes what is queued and ends the ledger in order. Errors: `ledger-unavailable` where queued events are lost. */
  close(): Promise<void>;
}

export interface LedgerHealth {
  readonly ok: boolean;
  /** Why new uses are refused. */
  readonly reason?: string;
  /** Events that are not durable yet. */
  readonly lag: number;
  /** Ends lost since the start because the queue was full. */
  readonly dropped: number;
}

export interface LedgerOptions {
  readonly file: string;
  /** `write`: survives the end of the process; `fsync`: survives the end of the machine. */
  readonly durability: 'write' | 'fsync';
  readonly rotateBytes: number;
  /** Rotated files kept, at least 1. */
  readonly keep: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Called when `ok` changes. */
  readonly onHealth?: (health: LedgerHealth) => void;
  /** Events that may wait; default 100,000. */
  readonly queueEvents?: number;
  readonly fileSystem?: FileSystem;
}

const QUEUE_EVENTS = 100_000;
const RETRY_MS = 250;
const INSPECT_MS = 1000;
const MARK_MS = 10;
/** A disk that takes longer than this to sync counts as one that cannot write. */
const SYNC_MS = 1000;

type Sync = FileSystem['fdatasync'];

interface QueuedEntry extends Entry {
  resolve?: () => void;
  reject?: (error: Error) => void;
  refused?: true;
}

interface Failure {
  reason: string;
  readonly sinceMs: number;
  refused: number;
  dropped: number;
}

/** Errors: `ledger-unavailable` where the file cannot be opened or another process writes it. */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { file, rotateBytes, durability, now = Date.now, fileSystem: fs = realFileSystem } = options;
  const keep = Math.max(1, options.keep);
  let lock: Lock | undefined;
  try {
    Chain.makeFolder(fs, file);
    lock = await Lock.acquire(`${file}.lock`);
    const chain = new Chain({ fs, file, rotateBytes, keep, sync: durability === 'fsync', now });
    return new FileLedger(options, chain, lock);
  } catch (error) {
    lock?.release();
    throw unavailable(describe(error), error);
  }
}

class FileLedger implements Ledger {
  readonly #chain: Chain;
  readonly #lock: Lock;
  readonly #sync: Sync | undefined;
  readonly #now: () => number;
  readonly #onHealth: (health: LedgerHealth) => void;
  readonly #queueEvents: number;
  readonly #inspection: NodeJS.Timeout;
  #queue: QueuedEntry[] = [];
  #scheduled = false;
  /** Entries that are written and wait for the disk. */
  #syncing: QueuedEntry[] | undefined;
  #syncDone = Promise.resolve();
  #failure: Failure | undefined;
  #retry: NodeJS.Timeout | undefined;
  #marking: NodeJS.Timeout | undefined;
  #dropped = 0;
  #closing: Promise<void> | undefined;
  readonly #folding = new Folding();
  #unfolding: NodeJS.Timeout | undefined;

  constructor(options: LedgerOptions, chain: Chain, lock: Lock) {
    this.#chain = chain;
    this.#lock = lock;
    this.#sync = options.durability === 'fsync' ? (options.fileSystem ?? realFileSystem).fdatasync : undefined;
    this.#now = options.now ?? Date.now;
    this.#onHealth = options.onHealth ?? (() => undefined);
    this.#queueEvents = options.queueEvents ?? QUEUE_EVENTS;
    this.#inspection = setInterval(() => this.#inspect(), INSPECT_MS).unref();
  }

  get health(): LedgerHealth {
    const lag = this.#queue.length + (this.#syncing?.length ?? 0);
    const dropped = this.#dropped;
    return this.#failure === undefined
      ? { ok: true, lag, dropped }
      : { ok: false, reason: this.#failure.reason, lag, dropped };
  }

  get tip(): Tip {
    return this.#chain.tip;
  }

  record(event: LedgerEvent): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#unfold();
    const recorded = this.#folding.take(event, this.#now(), (each) => this.#enqueue(each));
    if (this.#folding.isWatching) this.#unfolding ??= setTimeout(() => this.#unfoldLater(), FOLD_MS).unref();
    return recorded;
  }

  note(event: LedgerEvent): void {
    this.#unfold();
    this.#note(event);
  }

  #note(event: LedgerEvent): void {
    if (this.#closing !== undefined || this.#queue.length >= this.#queueEvents) {
      this.#dropped += 1;
      if (this.#failure !== undefined) this.#failure.dropped += 1;
      return;
    }
    this.#queue.push({ event, atMs: this.#now() });
    this.#schedule();
  }

  flush(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(unavailable(this.#failure.reason));
    for (const event of this.#folding.pending()) this.#note(event);
    if (this.#queue.length === 0 && this.#syncing === undefined) return Promise.resolve();
    return this.#enqueue(undefined);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      clearTimeout(this.#unfolding);
      for (const event of this.#folding.pending()) this.#note(event);
      this.#closing = this.#close();
    }
    return this.#closing;
  }

  /** Queues the lines for what was folded in seconds that are over. */
  #unfold(): void {
    if (!this.#folding.isWatching) return;
    for (const event of this.#folding.due(this.#now())) this.#note(event);
  }

  #unfoldLater(): void {
    this.#unfolding = undefined;
    this.#unfold();
    if (this.#folding.isWatching) this.#unfolding = setTimeout(() => this.#unfoldLater(), FOLD_MS).unref();
  }

  #refusal(): Error | undefined {
    if (this.#closing !== undefined) return unavailable('the ledger is closed');
    if (this.#failure !== undefined) {
      this.#failure.refused += 1;
      return unavailable(this.#failure.reason);
    }
    if (this.#queue.length >= this.#queueEvents) return unavailable('the queue of the ledger is full');
    return undefined;
  }

  #enqueue(event: LedgerEvent | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ event, atMs: this.#now(), resolve, reject });
      this.#schedule();
    });
  }

  /** `setImmediate` runs after all callbacks of this turn of the event loop, so that one write takes what they recorded. */
  #schedule(): void {
    if (this.#scheduled || this.#syncing !== undefined || this.#failure !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#syncing === undefined && this.#failure === undefined) this.#drain();
    });
  }

  /** Writes the queue, group by group. */
  #drain(): void {
    const entries = this.#queue;
    this.#queue = [];
    let at = 0;
    while (at < entries.length) {
      try {
        const count = this.#chain.write(entries, at);
        const group = at === 0 && count === entries.length ? entries : entries.slice(at, at + count);
        at += count;
        if (this.#sync !== undefined) {
          this.#queue = [...entries.slice(at), ...this.#queue];
          this.#startSync(this.#sync, group);
          return;
        }
        this.#commit(group);
      } catch (error) {
        this.#queue = [...entries.slice(at), ...this.#queue];
        this.#fail(describe(error));
        return;
      }
    }
  }

  /** One sync per group; the next group gathers meanwhile. */
  #startSync(sync: Sync, group: QueuedEntry[]): void {
    this.#syncing = group;
    const watchdog = setTimeout(() => {
      this.#fail('the disk does not finish a sync');
      this.#reject(group, 'the disk does not finish a sync');
    }, SYNC_MS).unref();
    this.#syncDone = new Promise((resolve) => {
      sync(this.#chain.fd, (error) => {
        clearTimeout(watchdog);
        this.#syncing = undefined;
        if (error === null) this.#synced(group);
        else this.#unsynced(group, describe(error));
        resolve();
      });
    });
  }

  #synced(group: QueuedEntry[]): void {
    const stalled = this.#failure !== undefined && !group.some(isRecovery);
    this.#commit(group);
    if (stalled) this.#attempt();
    else if (this.#queue.length > 0) this.#schedule();
  }

  /**
   * After a failed sync the kernel may have dropped the bytes and call the next sync a success (fsync(2), EIO), so the
   * group is cut off and written again, never just synced again.
   */
  #unsynced(group: QueuedEntry[], reason: string): void {
    this.#chain.rollback();
    this.#queue = [...group, ...this.#queue];
    this.#fail(reason);
  }

  /** The group is durable: tells who waits, and ends a failure where the group was the way out of it. */
  #commit(group: readonly QueuedEntry[]): void {
    this.#chain.confirm();
    if (group.some(isBarrier)) this.#mark();
    else this.#markSoon();
    for (const entry of group) entry.resolve?.();
    if (this.#failure !== undefined && group.some(isRecovery)) this.#recover(group.find(isRecovery)?.event);
  }

  /** A write per group would double the cost of the ledger, so that the side file follows within `MARK_MS`. */
  #markSoon(): void {
    this.#marking ??= setTimeout(() => {
      this.#marking = undefined;
      if (this.#closing === undefined) this.#mark();
    }, MARK_MS).unref();
  }

  #mark(): void {
    try {
      this.#chain.mark();
    } catch (error) {
      this.#fail(describe(error));
    }
  }

  /** Refuses who waits and keeps the rest for the next attempt. */
  #fail(reason: string): void {
    const first = this.#failure === undefined;
    this.#failure ??= { reason, sinceMs: this.#now(), refused: 0, dropped: 0 };
    this.#failure.reason = reason;
    this.#reject(this.#queue, reason);
    this.#queue = this.#queue.filter((entry) => entry.reject === undefined && !isRecovery(entry));
    this.#armRetry();
    if (first) this.#onHealth(this.health);
  }

  #reject(entries: QueuedEntry[], reason: string): void {
    for (const entry of entries) {
      if (entry.reject === undefined || entry.refused) continue;
      entry.refused = true;
      if (entry.event !== undefined && this.#failure !== undefined) this.#failure.refused += 1;
      entry.reject(unavailable(reason));
    }
  }

  #armRetry(): void {
    if (this.#closing !== undefined) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#attempt(), RETRY_MS).unref();
  }

  /** The probe of a failed ledger is a real line: what happened, and then all that waits. */
  #attempt(): void {
    if (this.#failure === undefined || this.#syncing !== undefined) return;
    try {
      if (!this.#lock.renew()) throw unavailable('another process took over the ledger');
      const changed = this.#chain.inspect();
      if (changed !== undefined) this.#chain.detach(changed);
      this.#chain.mark();
    } catch (error) {
      this.#fail(describe(error));
      return;
    }
    const { reason, sinceMs, refused, dropped } = this.#failure;
    const since = new Date(sinceMs).toISOString();
    const event: LedgerRecoveredEvent = { type: 'ledger.recovered', reason, since, refused, dropped };
    this.#queue.unshift({ event, atMs: this.#now() });
    this.#drain();
  }

  #recover(told: Entry['event']): void {
    const failure = this.#failure;
    if (failure === undefined) return;
    this.#failure = undefined;
    clearTimeout(this.#retry);
    if (told?.type === 'ledger.recovered') {
      const refused = failure.refused - (told.refused ?? 0);
      const dropped = failure.dropped - (told.dropped ?? 0);
      const { type, since, reason } = told;
      if (refused + dropped > 0) {
        this.#queue.push({ event: { type, reason, since, refused, dropped }, atMs: this.#now() });
      }
    }
    this.#onHealth(this.health);
    if (this.#queue.length > 0) this.#schedule();
  }

  #inspect(): void {
    try {
      if (!this.#lock.renew()) throw unavailable('another process took over the ledger');
      if (this.#failure !== undefined || this.#syncing !== undefined) return;
      const changed = this.#chain.inspect();
      if (changed === undefined) return;
      this.#chain.detach(changed);
      this.#queue.unshift({ event: undefined, atMs: this.#now() });
      this.#drain();
    } catch (error) {
      this.#fail(describe(error));
    }
  }

  async #close(): Promise<void> {
    clearInterval(this.#inspection);
    clearTimeout(this.#retry);
    clearTimeout(this.#marking);
    if (this.#failure !== undefined) this.#attempt();
    for (;;) {
      if (this.#syncing !== undefined) await this.#syncDone;
      else if (this.#failure === undefined && this.#queue.length > 0) this.#drain();
      else break;
    }
    const lost = this.#queue.length;
    try {
      this.#chain.close();
    } finally {
      this.#lock.release();
    }
    if (lost > 0) throw unavailable(`${lost} events could not be written: ${this.#failure?.reason ?? 'unknown'}`);
  }
}

/** A `flush` waits for it. */
function isBarrier(entry: Entry): boolean {
  return entry.event === undefined;
}

function isRecovery(entry: Entry): boolean {
  return entry.event?.type === 'ledger.recovered';
}
