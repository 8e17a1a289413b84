import type { SecretStore } from '../credential/store.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { providers } from './index.ts';
import type { Provider } from './provider.ts';

export interface Stores {
  /** The store of a configured name, or of a plain provider name; `config-invalid` for any other. */
  readonly store: (from: string) => SecretStore;
  /** Closes every open store; the sources that use them are closed before. */
  readonly close: () => Promise<void>;
}

export interface StoreConfig {
  readonly type: string;
  /** Valid against the provider's schema. */
  readonly options: unknown;
}

/**
 * Opens every configured store at once, so that one which cannot be opened fails the start or the reload and not a
 * later use. A plain provider name opens with its default options when it is first used.
 */
export function openStores(
  configs: Readonly<Record<string, StoreConfig>>,
  catalog: readonly Provider[] = providers,
): Stores {
  const opened = new Map<string, SecretStore>();
  let closed = false;

  const open = (name: string, type: string, options: unknown): SecretStore => {
    const provider = catalog.find((candidate) => candidate.name === type);
    if (provider === undefined) throw new SidecarError('config-invalid', { detail: `there is no provider "${type}"` });
    const store = provider.open(options);
    opened.set(name, store);
    return store;
  };
  const close = async () => {
    closed = true;
    const stores = [...opened.values()];
    opened.clear();
    await Promise.allSettled(stores.map(async (store) => store.close()));
  };

  for (const [name, { type, options }] of Object.entries(configs)) {
    try {
      open(name, type, options);
    } catch (thrown) {
      void close();
      throw asSidecarError(thrown, 'config-invalid');
    }
  }
  const store = (from: string): SecretStore => {
    if (closed) throw new SidecarError('draining', { detail: 'the providers are closed' });
    return opened.get(from) ?? open(from, from, {});
  };
  return { store, close };
}
