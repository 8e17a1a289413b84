import { Type } from '../../schema.ts';
import { Secret } from '../../credential/secret.ts';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { defineProvider } from '../provider.ts';

/** The id is the value. */
export const literal = defineProvider({
  name: 'literal',
  config: Type.Object({}, { additionalProperties: false }),
  open: () => new LiteralStore(),
});

class LiteralStore implements SecretStore {
  readonly idIsSecret = true;
  readonly #values = new Map<string, Fetched>();

  async fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    const known = this.#values.get(id);
    if (known !== undefined) return known;
    const fetched = { secret: new Secret(id), retained: true };
    this.#values.set(id, fetched);
    return fetched;
  }

  async close(): Promise<void> {
    for (const { secret } of this.#values.values()) secret.wipe();
    this.#values.clear();
  }
}
