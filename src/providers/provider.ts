import type { Static, TSchema } from '../schema.ts';
import type { SecretStore } from '../credential/store.ts';

/** A kind of secret source. The word in `from:` = its folder = its README. */
export interface Provider<Schema extends TSchema = TSchema> {
  readonly name: string;
  /** Strict schema of its options under top-level `providers`; all optional, so that the plain name works alone. */
  readonly config: Schema;
  /** Names of the credentials that one fetch brings (`credentials: {from, get}` without names); absent: one, unnamed. */
  readonly fields?: readonly string[];
  /**
   * What is wrong with a `get` id, seen without asking anybody; undefined where it may be right. `config` as for
   * `open`: the options of a named store, absent for the plain name.
   */
  checkId?(id: string, config?: Static<Schema>): string | undefined;
  open(config: Static<Schema>): SecretStore;
}

export function defineProvider<Schema extends TSchema>(provider: Provider<Schema>): Provider<Schema> {
  return provider;
}
