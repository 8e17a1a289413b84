/** Hosts remembered at a time. */
const HOSTS_MAX = 1_000;
const QUIET_MS = 60_000;

/** Clients that do not trust our certificates try again and again: one line a minute for each host is enough. */
export class Distrust {
  readonly #toldMs = new Map<string, number>();

  /** True where it is time to tell of the host. */
  isNews(host: string, nowMs = performance.now()): boolean {
    const told = this.#toldMs.get(host);
    if (told !== undefined && nowMs - told < QUIET_MS) return false;
    this.#toldMs.delete(host);
    this.#toldMs.set(host, nowMs);
    if (this.#toldMs.size > HOSTS_MAX) this.#toldMs.delete(this.#toldMs.keys().next().value!);
    return true;
  }
}
