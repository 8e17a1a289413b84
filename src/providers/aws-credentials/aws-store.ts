import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { readSeconds } from '../quantity.ts';
import { parseChainId } from './chain-id.ts';
import type { AwsOptions } from './index.ts';
import { KeptSet, SYSTEM, type Surroundings } from './kept-set.ts';
import { TIMEOUT_SECONDS } from './options.ts';
import { fetchFromChain, type ChainOptions } from './sdk.ts';

/** AWS credentials by where they come from, each kept until it must be asked for anew. */
export class AwsStore implements SecretStore {
  readonly #kept: KeptSet;
  readonly #chain: ChainOptions;

  constructor(options: AwsOptions, surroundings: Surroundings = SYSTEM) {
    const { timeout = TIMEOUT_SECONDS, ...chain } = options;
    const timeoutSeconds = readSeconds(timeout);
    this.#chain = { ...chain, timeoutSeconds };
    this.#kept = new KeptSet(timeoutSeconds, surroundings);
  }

  fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    const parsed = parseChainId(id);
    if (parsed === undefined) {
      return Promise.reject(new SidecarError('credential-missing', { detail: 'there is no such source' }));
    }
    return this.#kept.fetch(id, (asking) => fetchFromChain(parsed, this.#chain, asking), signal);
  }

  forget(id: string): void {
    this.#kept.forget(id);
  }

  async close(): Promise<void> {
    this.#kept.close();
  }
}
