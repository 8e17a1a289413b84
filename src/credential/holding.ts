import { SidecarError } from '../error.ts';
import type { Credentials, Lease } from './lease.ts';
import type { Secret } from './secret.ts';
import type { Fetched } from './store.ts';
import { combineVersions, versionOf } from './version.ts';

/** A fetched value under the name the service knows it by. */
export interface Named {
  readonly name: string;
  readonly fetched: Fetched;
}

/**
 * What one round of fetches brought, and how many still hold it.
 *
 * Leases and the cache each hold it; when the last lets go, the secrets that no store retains are wiped.
 */
export class Holding {
  readonly credentials: Credentials;
  readonly versions: Readonly<Record<string, string>>;
  readonly version: string;
  /** The earliest end among its credentials. */
  readonly expiresAt: Date | undefined;
  readonly #entries: readonly Named[];
  readonly #unretained: ReadonlySet<Secret>;
  #holders = 0;

  constructor(entries: readonly Named[]) {
    this.#entries = entries;
    this.credentials = new NamedSecrets(entries);
    this.versions = Object.fromEntries(entries.map(({ name, fetched }) => [name, versionOf(fetched.secret)]));
    this.version = combineVersions(this.versions);
    this.expiresAt = earliestEnd(entries);
    this.#unretained = new Set(
      entries.filter(({ fetched }) => fetched.retained !== true).map(({ fetched }) => fetched.secret),
    );
  }

  /** True where `entries` are the very secrets of this holding and nothing ends or is wiped: it may be lent again. */
  isStill(entries: readonly Named[]): boolean {
    if (this.#unretained.size > 0 || this.expiresAt !== undefined) return false;
    return entries.every(({ fetched }, at) => {
      return fetched.secret === this.#entries[at]!.fetched.secret && fetched.expiresAt === undefined;
    });
  }

  hold(): void {
    this.#holders += 1;
  }

  letGo(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    for (const secret of this.#unretained) secret.wipe();
  }

  lend(cached: boolean): Lease {
    this.hold();
    return new Loan(this, cached);
  }
}

class Loan implements Lease {
  readonly credentials: Credentials;
  readonly version: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly cached: boolean;
  declare readonly expiresAt?: Date;
  #holding: Holding | undefined;

  constructor(holding: Holding, cached: boolean) {
    this.#holding = holding;
    this.credentials = holding.credentials;
    this.version = holding.version;
    this.versions = holding.versions;
    this.cached = cached;
    if (holding.expiresAt !== undefined) this.expiresAt = holding.expiresAt;
  }

  release(): void {
    const holding = this.#holding;
    this.#holding = undefined;
    holding?.letGo();
  }
}

class NamedSecrets implements Credentials {
  readonly names: readonly string[];
  readonly #secrets: ReadonlyMap<string, Secret>;

  constructor(entries: readonly Named[]) {
    this.#secrets = new Map(entries.map(({ name, fetched }) => [name, fetched.secret]));
    this.names = [...this.#secrets.keys()];
  }

  get(name: string): Secret {
    const secret = this.#secrets.get(name);
    if (secret === undefined) {
      throw new SidecarError('credential-missing', { detail: `credential "${name}" is not configured` });
    }
    return secret;
  }

  has(name: string): boolean {
    return this.#secrets.has(name);
  }
}

function earliestEnd(entries: readonly Named[]): Date | undefined {
  let earliest: Date | undefined;
  for (const { fetched } of entries) {
    const end = fetched.expiresAt;
    if (end !== undefined && (earliest === undefined || end < earliest)) earliest = end;
  }
  return earliest;
}
