import type { Credentials } from 'secretless-sidecar/connector';
import { type Signer, type SigningKey, SigningKeys } from './sign/key.ts';
import type { Scope } from './sign/scope.ts';
import { EcdsaKey } from './sign/sigv4a.ts';
import { type CredentialName, lendSecretKey } from './signing-credentials.ts';

/** A key more costs 0.2 ms to derive; more versions than this are not in use at once. */
const ECDSA_KEYS_MAX = 32;

/** The signing keys of one service, each derived once for a version of its credentials. */
export class Signers {
  readonly #keys = new SigningKeys();
  readonly #ecdsa = new Map<string, EcdsaKey>();

  /** The cache's own: see `SigningKeys.key`. */
  hmac(version: string, scope: Scope, credentials: Credentials<CredentialName>): SigningKey {
    return this.#keys.key(version, scope, lendSecretKey(credentials));
  }

  ecdsa(version: string, scope: Scope, credentials: Credentials<CredentialName>, accessKeyId: string): Signer {
    let key = this.#ecdsa.get(version);
    if (key === undefined) {
      key = lendSecretKey(credentials)((secret) => EcdsaKey.derive(secret, accessKeyId));
      this.#ecdsa.set(version, key);
      if (this.#ecdsa.size > ECDSA_KEYS_MAX) this.#ecdsa.delete(this.#ecdsa.keys().next().value!);
    }
    return key.bind(scope);
  }

  close(): void {
    this.#keys.close();
    this.#ecdsa.clear();
  }
}
