import { formatOrigin, type Origin } from '../connector/origin.ts';
import type { UpstreamPools } from './binding.ts';
import type { UpstreamPool } from './engine.ts';

/** A wide pattern lets one service reach many origins; the least recently used pool beyond this is closed. */
const POOLS_MAX = 64;

/**
 * The pools of one service, keyed by origin, proven agent and credential version: a connection that served one version
 * of a credential never serves another, and TLS sessions are never shared between origins or identities.
 */
export class PoolSet implements UpstreamPools {
  readonly #open: (origin: Origin) => UpstreamPool;
  readonly #pools = new Map<string, { readonly version: string; readonly pool: UpstreamPool }>();
  readonly #closing = new Set<Promise<void>>();

  constructor(open: (origin: Origin) => UpstreamPool) {
    this.#open = open;
  }

  to(origin: Origin, version: string, agent?: string): UpstreamPool {
    const key = agent === undefined ? formatOrigin(origin) : `${formatOrigin(origin)} ${agent}`;
    const held = this.#pools.get(key);
    if (held !== undefined && held.version === version) {
      if (this.#pools.size > 1) this.#touch(key, held);
      return held.pool;
    }
    if (held !== undefined) this.#retire(key, held.pool);
    const entry = { version, pool: this.#open(origin) };
    this.#pools.set(key, entry);
    if (this.#pools.size > POOLS_MAX) {
      const [oldest, { pool }] = this.#pools.entries().next().value!;
      this.#retire(oldest, pool);
    }
    return entry.pool;
  }

  async close(): Promise<void> {
    for (const [key, { pool }] of this.#pools) this.#retire(key, pool);
    await Promise.all(this.#closing);
  }

  #touch(key: string, entry: { readonly version: string; readonly pool: UpstreamPool }): void {
    this.#pools.delete(key);
    this.#pools.set(key, entry);
  }

  #retire(key: string, pool: UpstreamPool): void {
    this.#pools.delete(key);
    const closing = pool.close().catch(() => undefined);
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }
}
