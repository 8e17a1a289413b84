import type { Secret } from './secret.ts';

export interface Fetched {
  readonly secret: Secret;
  /** True where the store keeps this `Secret` and hands it out again: whoever leases it must not wipe it. */
  readonly retained?: boolean;
  readonly expiresAt?: Date;
  renew?(signal: AbortSignal): Promise<Fetched>;
  revoke?(): Promise<void>;
}

/** An opened provider. */
export interface SecretStore {
  /** True where an id is itself the secret (`literal`), so that no error may name it. */
  readonly idIsSecret?: boolean;
  /** What of an id an error may name, where that is not the whole; undefined: nothing. */
  nameableId?(id: string): string | undefined;
  /** Errors: `credential-missing`, `credential-unavailable`, `provider-tool-missing`; stops when `signal` aborts. */
  fetch(id: string, signal: AbortSignal): Promise<Fetched>;
  close(): Promise<void>;
}
