const SECONDS = 3600;
/** A peer that begins one exchange after the other makes us compute and never lets anything through. */
const PEER_BYTES_MIN = 64 * 1024;
const PEER_SECONDS_MIN = 1;
const PACKETS_MAX = 2 ** 31;

/** Says when new keys are due: ssh2 renews none by itself. */
export class RekeyClock {
  readonly #bytesMax: number;
  readonly #secondsMax: number;
  #bytes = 0;
  #packets = 0;
  #since = performance.now();

  constructor(bytesMax: number, secondsMax: number = SECONDS) {
    this.#bytesMax = bytesMax;
    this.#secondsMax = secondsMax;
  }

  /** Counts one packet of either direction. */
  count(bytes: number): void {
    this.#bytes += bytes;
    this.#packets += 1;
  }

  get due(): boolean {
    return this.#bytes >= this.#bytesMax || this.#packets >= PACKETS_MAX || this.#seconds >= this.#secondsMax;
  }

  /** Whether a peer may begin an exchange now. */
  get peerMay(): boolean {
    return this.#bytes >= PEER_BYTES_MIN || this.#seconds >= PEER_SECONDS_MIN;
  }

  get #seconds(): number {
    return (performance.now() - this.#since) / 1000;
  }

  renewed(): void {
    this.#bytes = 0;
    this.#packets = 0;
    this.#since = performance.now();
  }
}
