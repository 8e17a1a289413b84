import type { EgressConfig, UpstreamProxyConfig } from '../config/config.ts';
import type { SecretStore } from '../credential/store.ts';
import { isLoopback } from '../http/authority.ts';
import type { Dialer } from '../http/dialer.ts';
import { openGuard, type Guard, type GuardMode } from '../upstream/guard.ts';
import { openGuardedDialer } from '../upstream/guarded-dialer.ts';
import { openProxyDialer, type ProxyCredentials } from '../upstream/proxy-dialer.ts';
import { fetchOwn, wipeOwn } from './fetched.ts';

/** How connections get from here to the world, under one configuration. */
export interface WayOut {
  /** True where a proxy stands on it. */
  readonly proxied: boolean;
  dialer(mode: GuardMode, connectSeconds: number): Dialer;
  /** Wipes the credentials of the proxy. */
  close(): Promise<void>;
}

type Own = Awaited<ReturnType<typeof fetchOwn>>;

/** How long credentials of the proxy serve. */
const KEPT_MS = 60_000;

/** Errors: `config-invalid`. */
export function openWayOut(egress: EgressConfig | undefined, store: (from: string) => SecretStore): WayOut {
  const { deny = [], reach = [] } = egress?.addresses ?? {};
  const guard = openGuard({ deny, reach, resolve: egress?.resolve ?? {} });
  const proxy = egress?.upstreamProxy;
  if (proxy === undefined) {
    const dialer = (mode: GuardMode, connectSeconds: number): Dialer =>
      openGuardedDialer({ guard, mode, connectSeconds });
    return { proxied: false, dialer, close: () => Promise.resolve() };
  }
  const credentials = credentialsOf(proxy, store);
  const dialer = (mode: GuardMode, seconds: number): Dialer => byProxy(proxy, credentials.ask, guard, mode, seconds);
  return { proxied: true, dialer, close: () => Promise.resolve(credentials.close()) };
}

type AskCredentials = (() => Promise<ProxyCredentials>) | undefined;

function byProxy(
  { origin, resolves }: UpstreamProxyConfig,
  credentials: AskCredentials,
  guard: Guard,
  mode: GuardMode,
  connectSeconds: number,
): Dialer {
  const far = openProxyDialer({
    proxy: origin,
    resolves,
    guard,
    mode,
    connectSeconds,
    ...(credentials === undefined ? {} : { credentials }),
  });
  const near = openGuardedDialer({ guard, mode, connectSeconds });
  // What is on this machine no proxy leads to.
  return { dial: (host, port, signal) => (isLoopback(host) ? near : far).dial(host, port, signal) };
}

/** What was fetched at a time, wiped once it is over and nobody uses it. */
class Kept {
  readonly #fetched: Promise<readonly [Own, Own]>;
  readonly #untilMs = performance.now() + KEPT_MS;
  #users = 0;
  #over = false;

  constructor(fetched: Promise<readonly [Own, Own]>) {
    this.#fetched = fetched;
    fetched.catch(() => (this.#over = true));
  }

  get isFresh(): boolean {
    return !this.#over && performance.now() < this.#untilMs;
  }

  async use(): Promise<ProxyCredentials> {
    this.#users += 1;
    const release = (): void => {
      this.#users -= 1;
      this.#wipe();
    };
    try {
      const [name, word] = await this.#fetched;
      const username = name.secret.expose((bytes) => bytes.toString('utf8'));
      return { username, password: word.secret, release };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  end(): void {
    this.#over = true;
    this.#wipe();
  }

  #wipe(): void {
    if (!this.#over || this.#users > 0) return;
    this.#fetched.then(
      (both) => {
        for (const { fetched } of both) wipeOwn(fetched);
      },
      () => undefined,
    );
  }
}

/** The store is asked once a minute at most, by one for all who dial at a time. */
function credentialsOf(
  { username, password }: UpstreamProxyConfig,
  store: (from: string) => SecretStore,
): { readonly ask: AskCredentials; close(): void } {
  if (username === undefined || password === undefined) return { ask: undefined, close: () => undefined };
  let kept: Kept | undefined;
  const ask = (): Promise<ProxyCredentials> => {
    if (kept?.isFresh !== true) {
      kept?.end();
      kept = new Kept(Promise.all([fetchOwn(username, store), fetchOwn(password, store)]));
    }
    return kept.use();
  };
  return { ask, close: () => kept?.end() };
}
