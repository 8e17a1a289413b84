import type { PrivateKey } from 'secretless-sidecar/connector/ssh';
import type { HostTrust } from './host-trust.ts';

/** A sealed key is derived anew when nobody logged in with it for so long. */
const KEY_SECONDS = 300;

/**
 * What one service remembers from login to login, so that twenty connections at once cost one derivation of a sealed
 * key. At most one key and one reading of host keys, those of the latest version of the credentials; each login has a
 * lease of its own before it is asked, so nothing here outlives the permission to use it. A key lies in the crypto
 * library, its text and passphrase nowhere, and is dropped when it was not used for five minutes.
 */
export class LoginMemory {
  #key: { readonly version: string; readonly value: Promise<PrivateKey> } | undefined;
  #keyTimer: NodeJS.Timeout | undefined;
  #trust: { readonly version: string; readonly name: string; readonly value: HostTrust } | undefined;

  /** The key of that version of the credentials; `read` is called where it is not there. */
  key(version: string, read: () => Promise<PrivateKey>): Promise<PrivateKey> {
    if (this.#key?.version !== version) {
      const kept = { version, value: read() };
      this.#key = kept;
      kept.value.catch(() => {
        if (this.#key === kept) this.#key = undefined;
      });
    }
    clearTimeout(this.#keyTimer);
    this.#keyTimer = setTimeout(() => (this.#key = undefined), KEY_SECONDS * 1000).unref();
    return this.#key.value;
  }

  /** What is known of the host `name` with that version of the credentials. Errors: those of `read`. */
  trust(version: string, name: string, read: () => HostTrust): HostTrust {
    if (this.#trust?.version !== version || this.#trust.name !== name) this.#trust = { version, name, value: read() };
    return this.#trust.value;
  }

  close(): void {
    clearTimeout(this.#keyTimer);
    this.#key = undefined;
    this.#trust = undefined;
  }
}
