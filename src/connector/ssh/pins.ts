import { createHash, timingSafeEqual } from 'node:crypto';
import { WireError } from './wire.ts';

const PINS_MAX = 256;

/** Fingerprints of host keys as `ssh-keygen -l` prints them, `SHA256:` in front. */
export class FingerprintPins {
  readonly #digests: readonly Buffer[];

  /** Errors: `WireError` where one is no fingerprint; MD5 and SHA-1 are none. */
  constructor(pins: readonly string[]) {
    if (pins.length > PINS_MAX) throw new WireError(`${pins.length} fingerprints`);
    this.#digests = pins.map((pin) => {
      const [, base64] = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(pin) ?? [];
      const digest = Buffer.from(base64 ?? '', 'base64');
      // The last letter has two bits that belong to no byte.
      if (digest.toString('base64') !== `${base64}=`) throw new WireError('a fingerprint that is none of SHA256');
      return digest;
    });
  }

  isPinned(blob: Uint8Array): boolean {
    const digest = createHash('sha256').update(blob).digest();
    return this.#digests.some((pinned) => timingSafeEqual(pinned, digest));
  }
}
