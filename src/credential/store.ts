import type { Secret } from './secret.ts';

export interface Fetched {
  readonly secret: Secret;
  /**
   * Several credentials under names of their own, from a store with `fields`; `secret` is then one of them. They are
   * retained, and end, together.
   */
  readonly fields?: Readonly<Record<string, Secret>>;
  /** True where the store answered without asking anybody: a refusal upstream may mean that it is stale. */
  readonly cached?: boolean;
  /** True where the store keeps this `Secret` and hands it out again: whoever leases it must not wipe it. */
  readonly retained?: boolean;
  readonly expiresAt?: Date;
  renew?(signal: AbortSignal): Promise<Fetched>;
  revoke?(): Promise<void>;
}

/** Whom a fetch is for. */
export interface FetchContext {
  readonly service: string;
  /** Absent where the store is not `perAgent`: all agents of the service share what is fetched. */
  readonly agent?: string;
}

/** An opened provider. */
export interface SecretStore {
  /** True where what is fetched depends on the agent it is for, so that no two agents may share it. */
  readonly perAgent?: boolean;
  /** True where an id is itself the secret (`literal`), so that no error may name it. */
  readonly idIsSecret?: boolean;
  /** What of an id an error may name, where that is not the whole; undefined: nothing. */
  nameableId?(id: string): string | undefined;
  /** Errors: `credential-missing`, `credential-unavailable`, `provider-tool-missing`; stops when `signal` aborts. */
  fetch(id: string, signal: AbortSignal, context?: FetchContext): Promise<Fetched>;
  /** What was fetched proved stale: the next fetch asks anew. Only for stores that answer from what they keep. */
  forget?(id: string, context?: FetchContext): void;
  close(): Promise<void>;
}
