import type { Grant } from '../policy/request.ts';
import type { Secret } from './secret.ts';

/** The named secrets of one service, on loan. */
export interface Credentials<Name extends string = string> {
  /** The secret of that name; throws `credential-missing` where an optional credential was not configured. */
  get(name: NoInfer<Name>): Secret;
  has(name: NoInfer<Name>): boolean;
  readonly names: readonly string[];
}

/** Credentials on loan, with a version and an end. */
export interface Lease {
  readonly credentials: Credentials;
  /** Changes when any credential changes. Says nothing about the content (keyed per process). */
  readonly version: string;
  /** Version of each credential by name, for the ledger. */
  readonly versions: Readonly<Record<string, string>>;
  /** True where the lease was served without asking a provider: a refusal upstream may mean it is stale. */
  readonly cached: boolean;
  readonly expiresAt?: Date;
  release(): void;
}

/** A grant is the only ticket in. */
export interface CredentialSource {
  /** Errors: `credential-*`, `provider-*`. Many callers at once cause one fetch. */
  lease(grant: Grant, signal: AbortSignal): Promise<Lease>;
  /** Drops the cached value of that version, so that the next lease asks the providers again. */
  forget(version: string): void;
  close(): Promise<void>;
}
