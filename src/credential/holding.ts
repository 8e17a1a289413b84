import { SidecarError } from '../error.ts';
import type { Credentials, Lease } from './lease.ts';
import type { Secret } from './secret.ts';
import type { Fetched } from './store.ts';
import { combineVersions, versionOf } from './version.ts';

/** A name that a service knows a credential by, and which of the fetched fields it is; absent: the value itself. */
export interface Use {
  readonly name: string;
  readonly field?: string;
}

/** What one fetch brought, and the names that it serves. */
export interface Arrival {
  readonly uses: readonly Use[];
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
  readonly #arrivals: readonly Arrival[];
  readonly #named: ReadonlyMap<string, Secret>;
  readonly #unretained: ReadonlySet<Secret>;
  #holders = 0;

  constructor(arrivals: readonly Arrival[]) {
    this.#arrivals = arrivals;
    this.#named = byName(arrivals);
    this.credentials = new NamedSecrets(this.#named);
    this.versions = Object.fromEntries([...this.#named].map(([name, secret]) => [name, versionOf(secret)]));
    this.version = combineVersions(this.versions);
    this.expiresAt = earliestEnd(arrivals);
    this.#unretained = new Set(
      arrivals.flatMap(({ fetched }) => (fetched.retained === true ? [] : secretsOf(fetched))),
    );
  }

  /** True where `arrivals` are the very secrets of this holding and none is wiped in time: it may be lent again. */
  isStill(arrivals: readonly Arrival[]): boolean {
    if (this.#unretained.size > 0) return false;
    for (let at = 0; at < arrivals.length; at += 1) {
      if (!isSame(arrivals[at]!.fetched, this.#arrivals[at]!.fetched)) return false;
    }
    return true;
  }

  /** True where a store has wiped what it retained. */
  get wiped(): boolean {
    for (const secret of this.#named.values()) if (secret.wiped) return true;
    return false;
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

  constructor(secrets: ReadonlyMap<string, Secret>) {
    this.#secrets = secrets;
    this.names = [...secrets.keys()];
  }

  get(name: string): Secret {
    const secret = this.#secrets.get(name);
    if (secret === undefined) {
      const detail = `credential "${name}" is not configured, or its provider brought none`;
      throw new SidecarError('credential-missing', { detail });
    }
    return secret;
  }

  has(name: string): boolean {
    return this.#secrets.has(name);
  }
}

/** Every secret of one fetch, those that nobody asked for by name included. */
export function secretsOf({ secret, fields }: Fetched): Secret[] {
  return fields === undefined ? [secret] : [secret, ...Object.values(fields)];
}

/** A field that was not brought has no name: long-lived keys come without a session token. */
function byName(arrivals: readonly Arrival[]): ReadonlyMap<string, Secret> {
  const named = new Map<string, Secret>();
  for (const { uses, fetched } of arrivals) {
    for (const { name, field } of uses) {
      const secret = field === undefined ? fetched.secret : ownField(fetched, field);
      if (secret !== undefined) named.set(name, secret);
    }
  }
  return named;
}

function ownField({ fields }: Fetched, field: string): Secret | undefined {
  return fields !== undefined && Object.hasOwn(fields, field) ? fields[field] : undefined;
}

/** Fields come, stay and go with `secret`, so that one comparison is enough for a whole set. */
function isSame(one: Fetched, other: Fetched): boolean {
  return (
    one.secret === other.secret && one.fields === other.fields && +(one.expiresAt ?? 0) === +(other.expiresAt ?? 0)
  );
}

function earliestEnd(arrivals: readonly Arrival[]): Date | undefined {
  let earliest: Date | undefined;
  for (const { fetched } of arrivals) {
    const end = fetched.expiresAt;
    if (end !== undefined && (earliest === undefined || end < earliest)) earliest = end;
  }
  return earliest;
}
