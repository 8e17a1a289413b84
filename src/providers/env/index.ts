import { Type } from '../../schema.ts';
import { Secret } from '../../credential/secret.ts';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { defineProvider } from '../provider.ts';

/** Variables of the sidecar's own environment. */
export const env = defineProvider({
  name: 'env',
  config: Type.Object({}, { additionalProperties: false }),
  checkId: problemOf,
  open: () => new EnvStore(process.env),
});

function problemOf(id: string): string | undefined {
  if (id === '') return 'the name of an environment variable is needed';
  if (/[=\0]/.test(id)) return 'an environment variable has no "=" or NUL in its name';
  return undefined;
}

/**
 * The variable stays in `process.env` after it was read: a reload opens a new store that must find it again, `${VAR}`
 * in the configuration and `environment` of `exec` may name the same one, and removing it would not clear the page
 * that /proc/PID/environ shows.
 */
class EnvStore implements SecretStore {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #captured = new Map<string, Fetched>();

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  async fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    const known = this.#captured.get(id);
    if (known !== undefined) return known;
    // Own variables alone: `process.env` inherits `constructor` and the like.
    const value = Object.hasOwn(this.#environment, id) ? this.#environment[id] : undefined;
    if (value === undefined) throw new SidecarError('credential-missing', { detail: 'the variable is not set' });
    const fetched = { secret: new Secret(value), retained: true };
    this.#captured.set(id, fetched);
    return fetched;
  }

  async close(): Promise<void> {
    for (const { secret } of this.#captured.values()) secret.wipe();
    this.#captured.clear();
  }
}
