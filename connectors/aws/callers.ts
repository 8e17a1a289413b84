import type { Config } from './config.ts';
import { WELL_KNOWN_KEY } from './config.ts';
import type { Algorithm } from './sign/string-to-sign.ts';
import { SigningKeys, type SigningKey } from './sign/key.ts';
import type { Scope } from './sign/scope.ts';
import { EcdsaKey } from './sign/sigv4a.ts';
import { hmacVerifier, type Verifier } from './sign/verify.ts';

/** An agent by the key that it was given; the key opens nothing but this sidecar. */
export interface Caller {
  /** Absent for the well-known key: the request comes from whoever the listener belongs to. */
  readonly agent?: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: Buffer;
}

/** Scopes come from agents; a key more costs 3 µs to derive. */
const KEYS_MAX = 64;

/** Who may sign requests to one service, and the keys to verify them with. */
export class Callers {
  readonly #byKeyId = new Map<string, Caller>();
  readonly #keys = new SigningKeys(KEYS_MAX);
  readonly #ecdsa = new Map<string, EcdsaKey>();

  constructor(agents: Config['agents']) {
    const named = Object.entries(agents ?? {}).map(([agent, key]) => ({ agent, ...key }));
    for (const caller of agents === undefined ? [WELL_KNOWN_KEY] : named) {
      const secretAccessKey = Buffer.from(caller.secretAccessKey, 'latin1');
      this.#byKeyId.set(caller.accessKeyId, { ...caller, secretAccessKey });
    }
  }

  find(accessKeyId: string): Caller | undefined {
    return this.#byKeyId.get(accessKeyId);
  }

  /** The signing key of a caller: for chains that it began. The cache's own: see `SigningKeys.key`. */
  key(caller: Caller, scope: Scope): SigningKey {
    return this.#keys.key(caller.accessKeyId, scope, (use) => use(caller.secretAccessKey));
  }

  verifier(caller: Caller, algorithm: Algorithm, scope: Scope): Verifier {
    switch (algorithm) {
      case 'AWS4-HMAC-SHA256':
        return hmacVerifier(this.key(caller, scope));
      case 'AWS4-ECDSA-P256-SHA256': {
        const known = this.#ecdsa.get(caller.accessKeyId);
        const key = known ?? EcdsaKey.derive(caller.secretAccessKey, caller.accessKeyId);
        this.#ecdsa.set(caller.accessKeyId, key);
        return key;
      }
      default:
        return algorithm satisfies never;
    }
  }

  close(): void {
    this.#keys.close();
    this.#ecdsa.clear();
  }
}
