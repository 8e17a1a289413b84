import { type Authorized, SidecarError } from 'secretless-sidecar/connector';
import { type KeyRing, readKeyRing, type RingOptions } from './key-ring.ts';

/** Time for which the keys stay after they were used last, so that a passphrase is not derived for each signature. */
export const KEPT_SECONDS = 60;

interface Kept {
  readonly version: string;
  readonly ring: Promise<KeyRing>;
}

/**
 * The keys of the version that was used last, read once for all connections. They are let go a minute after their last
 * use, however long connections live: a client may hold one open for days without a word.
 */
export class RingCache {
  readonly #options: RingOptions;
  #kept: Kept | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RingOptions) {
    this.#options = options;
  }

  /** The loan must not be released before. Errors: those of `readKeyRing`. */
  async of({ credentials, version }: Authorized): Promise<KeyRing> {
    if (this.#kept?.version === version) {
      try {
        const ring = await this.#kept.ring;
        this.#keepOn();
        return ring;
      } catch (error) {
        // What is wrong with the keys themselves is not worked out again for each request: a passphrase takes seconds.
        if (error instanceof SidecarError && error.code === 'credential-unfit') throw error;
        // The loan that they were read from may have ended; this one has not.
      }
    }
    const ring = readKeyRing(credentials, version, this.#options);
    this.#kept = { version, ring };
    this.#keepOn();
    return ring;
  }

  #keepOn(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.close(), KEPT_SECONDS * 1000);
    this.#timer.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#kept = undefined;
  }
}
