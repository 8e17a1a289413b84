/** Hosts remembered; the oldest is forgotten. */
const HOSTS_MAX = 256;
/** Below this a refusal is not about the clock: servers allow five minutes and more. */
const OFFSET_MS_MIN = 30_000;
/** RFC 9110 section 5.6.7, the form that senders must use. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
/** The years that a signature can be of, with room for the time to go on. */
const TIME_MS = { min: Date.UTC(1970, 0), max: Date.UTC(9000, 0) } as const;

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
    if (date === undefined || !HTTP_DATE.test(date)) return false;
    const ageSeconds = age !== undefined && /^\d{1,9}$/.test(age) ? Number(age) : 0;
    const said = Date.parse(date) + ageSeconds * 1000;
    // Beyond them nothing could be signed, and so no answer would ever correct it.
    if (!(said >= TIME_MS.min && said < TIME_MS.max)) return false;
    const offsetMs = said - now.getTime();
    const before = this.#offsetsMs.get(host) ?? 0;
    if (Math.abs(offsetMs - before) < OFFSET_MS_MIN) return false;
    this.#offsetsMs.delete(host);
    if (Math.abs(offsetMs) >= OFFSET_MS_MIN) this.#offsetsMs.set(host, offsetMs);
    if (this.#offsetsMs.size > HOSTS_MAX) this.#offsetsMs.delete(this.#offsetsMs.keys().next().value!);
    return true;
  }
}
