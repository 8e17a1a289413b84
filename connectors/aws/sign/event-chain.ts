import { hash } from 'node:crypto';
import type { SigningKey } from './key.ts';
import { amzDateOf } from './string-to-sign.ts';

/** `:date` as an event-stream header: name length, name, type 8, then eight bytes of milliseconds since 1970. */
export const DATE_HEADER_BYTES = 15;
const DATE_HEAD = Buffer.from([5, ...Buffer.from(':date'), 8]);

/** The encoded `:date` header, the only one that an event signature covers. */
export function dateHeader(time: Date): Buffer {
  const encoded = Buffer.allocUnsafe(DATE_HEADER_BYTES);
  encoded.set(DATE_HEAD);
  encoded.writeBigInt64BE(BigInt(time.getTime()), DATE_HEAD.length);
  return encoded;
}

/** The days, `YYYYMMDD`, that the events of a request may be of: its own and the next. */
export function daysOfEvents(time: Date): readonly string[] {
  const next = new Date(time.getTime() + 86_400_000);
  const days = next.getUTCFullYear() > 9999 ? [time] : [time, next];
  return days.map((day) => amzDateOf(day).slice(0, 8));
}

/**
 * Signatures of the events of a `STREAMING-AWS4-HMAC-SHA256-EVENTS` body, from the signature of the request on. Each is
 * made with the key of its own day, as all SDKs do it: a stream may go on past midnight (UTC). It lasts as long as a
 * body, so it has keys of its own, which `close` overwrites.
 */
export class EventChain {
  readonly #keys: ReadonlyMap<string, SigningKey>;
  #previous: string;

  /** `keys`: one for each day that an event may be of. `seed`: hex signature of the request. */
  constructor(keys: readonly SigningKey[], seed: string) {
    this.#keys = new Map(keys.map((key) => [key.scope.date, key.copy()]));
    this.#previous = seed;
  }

  /**
   * Lower-case hex signature of the next event; `time` is that of its `:date`, `payloadSha256` lower-case hex. Undefined,
   * and nothing signed, where there is no key for the day.
   */
  sign(time: Date, payloadSha256: string): string | undefined {
    const amzDate = amzDateOf(time);
    const key = this.#keys.get(amzDate.slice(0, 8));
    if (key === undefined) return undefined;
    const hashes = `${hash('sha256', dateHeader(time), 'hex')}\n${payloadSha256}`;
    this.#previous = key.signHex(
      `AWS4-HMAC-SHA256-PAYLOAD\n${amzDate}\n${key.scopeText}\n${this.#previous}\n${hashes}`,
    );
    return this.#previous;
  }

  close(): void {
    for (const key of this.#keys.values()) key.wipe();
  }
}
