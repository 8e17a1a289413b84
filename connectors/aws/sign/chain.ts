import type { SigningKey } from './key.ts';

/**
 * Signatures that each cover the one before, from the signature of the request on (S3 API Reference, "Signature
 * Calculations for the Authorization Header: Transferring Payload in Multiple Chunks"). It lasts as long as a body, so
 * it has a key of its own, which `close` overwrites.
 */
export class SignatureChain {
  readonly #key: SigningKey;
  readonly #amzDate: string;
  #previous: string;

  /** `seed`: hex signature of the request. */
  constructor(key: SigningKey, amzDate: string, seed: string) {
    this.#key = key.copy();
    this.#amzDate = amzDate;
    this.#previous = seed;
  }

  /** Signs the next link and returns its lower-case hex. `hashes` are lower-case hex SHA-256. */
  extend(kind: 'PAYLOAD' | 'TRAILER', hashes: string): string {
    const text = `AWS4-HMAC-SHA256-${kind}\n${this.#amzDate}\n${this.#key.scopeText}\n${this.#previous}\n${hashes}`;
    this.#previous = this.#key.signHex(text);
    return this.#previous;
  }

  close(): void {
    this.#key.wipe();
  }
}
