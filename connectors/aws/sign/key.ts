import { HmacKey } from './hmac.ts';
import { formatScope, joinScope, type Scope } from './scope.ts';
import type { Algorithm } from './string-to-sign.ts';

/** What puts a signature under a string: an HMAC key of one scope, or an ECDSA key bound to one. */
export interface Signer {
  readonly algorithm: Algorithm;
  readonly scope: Scope;
  /** `scope` as it stands in a credential. */
  readonly scopeText: string;
  /** Lower-case hex. */
  signHex(text: string): string;
}

/** Lends the bytes of a secret access key to `use`, which does not keep them. */
export type LendSecret = <Result>(use: (secretAccessKey: Uint8Array) => Result) => Result;

const PREFIX = Buffer.from('AWS4');

/** The signing key of one scope (IAM User Guide, "Create a signed AWS API request", step 3). */
export class SigningKey implements Signer {
  readonly algorithm = 'AWS4-HMAC-SHA256';
  readonly scope: Scope;
  readonly scopeText: string;
  readonly #hmac: HmacKey;

  private constructor(scope: Scope, scopeText: string, hmac: HmacKey) {
    this.scope = scope;
    this.scopeText = scopeText;
    this.#hmac = hmac;
  }

  /** Reads the secret and keeps nothing of it but the derived key. Errors: `malformed-scope`. */
  static derive(secretAccessKey: Uint8Array, scope: Scope): SigningKey {
    const scopeText = formatScope(scope);
    const start = Buffer.allocUnsafeSlow(PREFIX.length + secretAccessKey.length);
    start.set(PREFIX);
    start.set(secretAccessKey, PREFIX.length);
    let hmac = new HmacKey(start);
    start.fill(0);
    for (const part of scopeText.split('/')) {
      const bytes = hmac.sign(part);
      hmac.wipe();
      hmac = new HmacKey(bytes);
      bytes.fill(0);
    }
    return new SigningKey(scope, scopeText, hmac);
  }

  /** Throws once wiped. */
  signHex(text: string): string {
    return this.#hmac.signHex(text);
  }

  /** The same key for one who uses it over time, such as a chunk chain, and wipes it himself. */
  copy(): SigningKey {
    return new SigningKey(this.scope, this.scopeText, this.#hmac.copy());
  }

  get wiped(): boolean {
    return this.#hmac.wiped;
  }

  wipe(): void {
    this.#hmac.wipe();
  }
}

/**
 * Signing keys by version of the credentials and scope; the least recently used is overwritten past `limit`, since the
 * scopes of a busy day come from agents.
 */
export class SigningKeys {
  readonly #keys = new Map<string, SigningKey>();
  readonly #limit: number;

  constructor(limit = 128) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** The key is the cache's own and may be overwritten by the next call: use it at once, or `copy` it. */
  key(version: string, scope: Scope, lend: LendSecret): SigningKey {
    // Unchecked: it finds only what was checked when it was derived, and equal text is an equal scope.
    const entry = `${joinScope(scope)}\n${version}`;
    const known = this.#keys.get(entry);
    const key = known ?? lend((secret) => SigningKey.derive(secret, scope));
    if (known !== undefined) this.#keys.delete(entry);
    this.#keys.set(entry, key);
    if (this.#keys.size > this.#limit) this.#drop(this.#keys.keys().next().value!);
    return key;
  }

  /** Overwrites all keys of a version: its credentials are no longer in use. */
  forget(version: string): void {
    for (const entry of [...this.#keys.keys()]) {
      if (entry.slice(entry.indexOf('\n') + 1) === version) this.#drop(entry);
    }
  }

  close(): void {
    for (const entry of [...this.#keys.keys()]) this.#drop(entry);
  }

  #drop(entry: string): void {
    this.#keys.get(entry)?.wipe();
    this.#keys.delete(entry);
  }
}
