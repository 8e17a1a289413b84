import type { DecisionEvent, LedgerEvent } from './event.ts';
import { principalText } from './line.ts';

/** Identical refusals in one second that get a line each; those after them share one. */
const LINES_MAX = 20;
export const FOLD_MS = 1000;
/** Kinds watched at once; refusals of further kinds get a line each. */
const KINDS_MAX = 10_000;

interface Kind {
  readonly sinceMs: number;
  /** Settles with the first line of the kind. */
  readonly first: Promise<void>;
  seen: number;
  folded: number;
  last: DecisionEvent | undefined;
}

/**
 * Folds refusals, so that an agent cannot push its own uses out of the rotated files by having a great many requests
 * refused on a connection. Only refusals are ever folded: each use that was allowed has its own line.
 */
export class Folding {
  readonly #kinds = new Map<string, Kind>();

  /** True while there is something that `due` may return later. */
  get isWatching(): boolean {
    return this.#kinds.size > 0;
  }

  /**
   * Writes the event by `write`, or folds it; the promise is that of its own line or of the first line of its kind. Call
   * `due` with the same time before.
   */
  take(event: LedgerEvent, nowMs: number, write: (event: LedgerEvent) => Promise<void>): Promise<void> {
    if (event.type !== 'decision' || event.result === 'allow') return write(event);
    const key = kindOf(event);
    const kind = this.#kinds.get(key);
    if (kind === undefined) {
      const first = write(event);
      // What is not on record stands for nothing: the next of its kind is the first again.
      first.catch(() => this.#kinds.delete(key));
      if (this.#kinds.size < KINDS_MAX)
        this.#kinds.set(key, { sinceMs: nowMs, first, seen: 1, folded: 0, last: undefined });
      return first;
    }
    kind.seen += 1;
    if (kind.seen <= LINES_MAX) return write(event);
    kind.folded += 1;
    kind.last = event;
    return kind.first;
  }

  /** The lines for what was folded in seconds that are over. */
  due(nowMs: number): DecisionEvent[] {
    const events: DecisionEvent[] = [];
    for (const [key, kind] of this.#kinds) {
      // Also where the clock was put back. Kinds stand in the order in which their second began.
      const isOver = nowMs - kind.sinceMs >= FOLD_MS || nowMs < kind.sinceMs;
      if (!isOver) break;
      this.#kinds.delete(key);
      if (kind.last !== undefined) events.push({ ...kind.last, count: kind.folded });
    }
    return events;
  }

  /** The lines for all that was folded until now; the seconds go on. */
  pending(): DecisionEvent[] {
    const events: DecisionEvent[] = [];
    for (const kind of this.#kinds.values()) {
      if (kind.last !== undefined) events.push({ ...kind.last, count: kind.folded });
      kind.folded = 0;
      kind.last = undefined;
    }
    return events;
  }
}

/** What identical refusals share. The id of an exchange is `<connection>-<number>`. */
function kindOf({ id, service, connector, principal, rule, result, reason }: DecisionEvent): string {
  const dash = id.indexOf('-');
  const connection = dash < 0 ? id : id.slice(0, dash);
  return [connection, service, connector, rule ?? '', result, reason ?? '', principalText(principal)].join('\0');
}
