import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { AwsStore } from '../aws-credentials/aws-store.ts';
import { KeptSet, SYSTEM, type Surroundings } from '../aws-credentials/kept-set.ts';
import type { Minted } from '../aws-credentials/kept.ts';
import { regionFromEnvironment, TIMEOUT_SECONDS } from '../aws-credentials/options.ts';
import { readSeconds } from '../quantity.ts';
import { parseDatabase, type Database } from './database.ts';
import type { RdsOptions } from './index.ts';
import { presignLogin } from './token.ts';

/** A token is good for 15 minutes; used for 10, it is good for a login that takes its time. */
const TOKEN_SECONDS = 600;

/** Login tokens by database and user. */
export class RdsStore implements SecretStore {
  readonly #base: AwsStore;
  readonly #baseId: string;
  readonly #kept: KeptSet;
  readonly #clock: Surroundings['clock'];
  readonly #region: string | undefined;

  constructor(options: RdsOptions, surroundings: Surroundings = SYSTEM) {
    const { base = 'default', timeout = TIMEOUT_SECONDS, ...chain } = options;
    this.#base = new AwsStore({ ...chain, timeout }, surroundings);
    this.#baseId = base;
    this.#kept = new KeptSet(readSeconds(timeout), surroundings);
    this.#clock = surroundings.clock;
    this.#region = options.region;
  }

  fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    const database = parseDatabase(id);
    if (database === undefined) {
      return Promise.reject(new SidecarError('credential-missing', { detail: 'the id is not user@host:port' }));
    }
    return this.#kept.fetch(id, (asking) => this.#mint(database, asking), signal);
  }

  forget(id: string): void {
    this.#base.forget(this.#baseId);
    this.#kept.forget(id);
  }

  async close(): Promise<void> {
    this.#kept.close();
    await this.#base.close();
  }

  async #mint(database: Database, signal: AbortSignal): Promise<Minted> {
    const region = database.region ?? this.#region ?? regionFromEnvironment();
    if (region === undefined) {
      const detail = 'the region is not known: set `region`, or add ?region= to the id';
      throw new SidecarError('credential-unavailable', { detail });
    }
    const keys = await this.#base.fetch(this.#baseId, signal);
    const now = this.#clock.wall();
    const end = new Date(+now + TOKEN_SECONDS * 1000);
    // A token ends with the credentials that signed it.
    const expiresAt = keys.expiresAt !== undefined && keys.expiresAt < end ? keys.expiresAt : end;
    return { secret: presignLogin(database, region, keys, now), expiresAt };
  }
}
