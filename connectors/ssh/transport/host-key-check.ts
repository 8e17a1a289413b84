import { timingSafeEqual } from 'node:crypto';

/**
 * Stands between ssh2 and the caller's check of the upstream's host key. ssh2 connects on everything but `false`, and
 * waits where it gets `undefined`: this answers it with booleans only, and `true` for nothing but a `true` of the
 * caller's. A promise, a throw, a truthy value and a second key in the same connection are all a no.
 */
export class HostKeyCheck {
  readonly #check: (key: Buffer) => unknown;
  #accepted: Buffer | undefined;

  constructor(check: (key: Buffer) => unknown) {
    this.#check = check;
  }

  /** The key that was accepted; undefined before, and for good once any was refused. */
  get accepted(): Buffer | undefined {
    return this.#accepted;
  }

  /** For ssh2's `hostVerifier`: called once in every key exchange. */
  readonly verify = (key: Buffer): boolean => {
    const before = this.#accepted;
    this.#accepted = undefined;
    const own = Buffer.from(key);
    if (before !== undefined) {
      // Only the first exchange makes a key known; later ones prove the same key again.
      if (before.length !== own.length || !timingSafeEqual(before, own)) return false;
    } else if (!this.#says(own)) {
      return false;
    }
    this.#accepted = own;
    return true;
  };

  #says(key: Buffer): boolean {
    try {
      return this.#check(key) === true;
    } catch {
      return false;
    }
  }
}
