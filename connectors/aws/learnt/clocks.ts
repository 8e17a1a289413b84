/** Hosts remembered; the oldest is forgotten. */
const HOSTS_MAX = 256;
/** Below this a refusal is not about the clock: servers allow five minutes and more. */
const OFFSET_MS_MIN = 30_000;

/** How far the clocks of upstreams are from ours, learnt from their refusals. */
export class Clocks {
  readonly #offsetsMs = new Map<string, number>();

  /** The time as the host sees it. */
  at(host: string, now: Date): Date {
    const offsetMs = this.#offsetsMs.get(host);
    return offsetMs === undefined ? now : new Date(now.getTime() + offsetMs);
  }

  /**
   * Learns from an answer that said the time of a request was wrong. `date` and `age` are its fields (RFC 9110 section
   * 6.6.1, RFC 9111 section 5.1). False where they tell nothing new, so that trying again would be in vain.
   */
  learn(host: string, now: Date, date: string | undefined, age: string | undefined): boolean {
    const said = date === undefined ? Number.NaN : Date.parse(date);
    if (Number.isNaN(said)) return false;
    const ageSeconds = age !== undefined && /^\d{1,9}$/.test(age) ? Number(age) : 0;
    const offsetMs = said + ageSeconds * 1000 - now.getTime();
    const before = this.#offsetsMs.get(host) ?? 0;
    if (Math.abs(offsetMs - before) < OFFSET_MS_MIN) return false;
    this.#offsetsMs.delete(host);
    if (Math.abs(offsetMs) >= OFFSET_MS_MIN) this.#offsetsMs.set(host, offsetMs);
    if (this.#offsetsMs.size > HOSTS_MAX) this.#offsetsMs.delete(this.#offsetsMs.keys().next().value!);
    return true;
  }
}
