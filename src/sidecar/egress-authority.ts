import type { Interception } from '../certificate/interception.ts';
import type { EgressConfig } from '../config/config.ts';
import { SidecarError } from '../error.ts';
import type { Log } from '../telemetry/log.ts';

type AuthorityConfig = EgressConfig['ca'];

/** For listeners that are proxies where the file says nothing of egress. */
const DEFAULT: AuthorityConfig = { store: 'memory', names: [] };

/** The one authority of the process, whatever is reloaded: clients trust it by its certificate. */
export class EgressAuthority {
  readonly #folder: string;
  readonly #log: Log;
  #opened: { readonly key: string; readonly interception: Promise<Interception> } | undefined;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /**
   * Opens it at the first use of what is returned. Errors then: those of `openInterception`. Errors at once:
   * `config-invalid`, where it was opened under another configuration before.
   */
  under(config: AuthorityConfig | undefined): () => Promise<Interception> {
    const { store, names } = config ?? DEFAULT;
    const key = JSON.stringify([store, names]);
    if (config !== undefined && this.#opened !== undefined && this.#opened.key !== key) {
      throw new SidecarError('config-invalid', { detail: '`egress.ca` changes only at a restart' });
    }
    return () => this.#open(key, { store, names });
  }

  #open(key: string, config: AuthorityConfig): Promise<Interception> {
    if (this.#opened === undefined) {
      const interception = this.#make(config);
      this.#opened = { key, interception };
      // The next use tries again.
      interception.catch(() => (this.#opened = undefined));
    }
    return this.#opened.interception;
  }

  async #make({ store, names }: AuthorityConfig): Promise<Interception> {
    const { openInterception } = await import('../certificate/interception.ts');
    const opened = await openInterception({ store, folder: this.#folder, names });
    const { path, came, validUntil } = opened;
    const told = { path, came, validUntil: validUntil.toISOString() };
    if (came === 'renewed') this.#log.warn(told, 'the egress authority is new: clients must trust it anew');
    else this.#log.info(told, 'egress authority');
    return opened;
  }
}
