import { hash } from 'node:crypto';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Longest message that needs no buffer of its own: a string to sign has about 200 bytes. */
const MESSAGE_BYTES = 1024;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/**
 * HMAC-SHA256 (RFC 2104) under one key. Built on the one-shot hash: `createHmac` takes ten times as long with key bytes,
 * and with a `KeyObject` the key stays in memory until it is collected. Here all that is derived from the key lies in
 * two buffers of its own, which `wipe` overwrites.
 */
export class HmacKey {
  /** Key ⊕ ipad, then the message. */
  readonly #inner = Buffer.allocUnsafeSlow(BLOCK_BYTES + MESSAGE_BYTES);
  /** Key ⊕ opad, then the inner digest. */
  readonly #outer = Buffer.allocUnsafeSlow(BLOCK_BYTES + DIGEST_BYTES);
  #wiped = false;

  /** `key` is read, not kept; at most any length (longer than 64 bytes: hashed first). */
  constructor(key: Uint8Array) {
    const hashed = key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : undefined;
    const short = hashed ?? key;
    this.#inner.fill(INNER_PAD, 0, BLOCK_BYTES);
    this.#outer.fill(OUTER_PAD, 0, BLOCK_BYTES);
    for (let at = 0; at < short.length; at += 1) {
      this.#inner[at]! ^= short[at]!;
      this.#outer[at]! ^= short[at]!;
    }
    hashed?.fill(0);
  }

  get wiped(): boolean {
    return this.#wiped;
  }

  /** Lower-case hex over the latin1 bytes. Throws once wiped. */
  signHex(message: string): string {
    this.#digestInner(message);
    return hash('sha256', this.#outer, 'hex');
  }

  /** The 32 bytes over the latin1 bytes of the message. Throws once wiped. */
  sign(message: string): Buffer {
    this.#digestInner(message);
    return hash('sha256', this.#outer, 'buffer');
  }

  /** A key with the same bytes and an end of its own. */
  copy(): HmacKey {
    if (this.#wiped) throw new Error('key used after it was wiped');
    const copy = new HmacKey(Buffer.alloc(0));
    copy.#inner.set(this.#inner.subarray(0, BLOCK_BYTES));
    copy.#outer.set(this.#outer.subarray(0, BLOCK_BYTES));
    return copy;
  }

  wipe(): void {
    this.#wiped = true;
    this.#inner.fill(0);
    this.#outer.fill(0);
  }

  #digestInner(message: string): void {
    if (this.#wiped) throw new Error('key used after it was wiped');
    const length = BLOCK_BYTES + message.length;
    if (length <= this.#inner.length) {
      this.#inner.write(message, BLOCK_BYTES, 'latin1');
      this.#outer.set(hash('sha256', this.#inner.subarray(0, length), 'buffer'), BLOCK_BYTES);
      return;
    }
    const long = Buffer.allocUnsafeSlow(length);
    long.set(this.#inner.subarray(0, BLOCK_BYTES));
    long.write(message, BLOCK_BYTES, 'latin1');
    this.#outer.set(hash('sha256', long, 'buffer'), BLOCK_BYTES);
    long.fill(0, 0, BLOCK_BYTES);
  }
}
