import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';

/** SHA-256, and HMAC with it, as the signer of the AWS SDK wants to be given them. */
export class NodeSha256 {
  readonly #key: unknown;
  #state!: Hash | Hmac;
  constructor(key?: unknown) {
    this.#key = key;
    this.reset();
  }
  reset(): void {
    this.#state = this.#key === undefined ? createHash('sha256') : createHmac('sha256', this.#key as Uint8Array);
  }
  update(bytes: Uint8Array): void {
    this.#state.update(bytes);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#state.digest()));
  }
}
