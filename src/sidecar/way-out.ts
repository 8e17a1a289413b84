import type { EgressConfig, UpstreamProxyConfig } from '../config/config.ts';
import type { SecretStore } from '../credential/store.ts';
import { isLoopback } from '../http/authority.ts';
import type { Dialer } from '../http/dialer.ts';
import { openGuard, type Guard, type GuardMode } from '../upstream/guard.ts';
import { openGuardedDialer } from '../upstream/guarded-dialer.ts';
import { openProxyDialer, type ProxyCredentials } from '../upstream/proxy-dialer.ts';
import { fetchOwn } from './fetched.ts';

/** How connections get from here to the world, under one configuration. */
export interface WayOut {
  /** True where a proxy stands on it. */
  readonly proxied: boolean;
  dialer(mode: GuardMode, connectSeconds: number): Dialer;
}

/** How long credentials of the proxy serve. */
const KEPT_MS = 60_000;

/** Errors: `config-invalid`. */
export function openWayOut(egress: EgressConfig | undefined, store: (from: string) => SecretStore): WayOut {
  const { deny = [], reach = [] } = egress?.addresses ?? {};
  const guard = openGuard({ deny, reach, resolve: egress?.resolve ?? {} });
  const proxy = egress?.upstreamProxy;
  if (proxy === undefined) {
    return { proxied: false, dialer: (mode, connectSeconds) => openGuardedDialer({ guard, mode, connectSeconds }) };
  }
  const credentials = credentialsOf(proxy, store);
  return { proxied: true, dialer: (mode, seconds) => byProxy(proxy, credentials, guard, mode, seconds) };
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

/** The store is asked once a minute at most, by one for all who dial at a time. */
function credentialsOf(
  { username, password }: UpstreamProxyConfig,
  store: (from: string) => SecretStore,
): AskCredentials {
  if (username === undefined || password === undefined) return undefined;
  let kept: Promise<ProxyCredentials> | undefined;
  let untilMs = 0;
  return () => {
    if (kept !== undefined && performance.now() < untilMs) return kept;
    untilMs = performance.now() + KEPT_MS;
    const asked = Promise.all([fetchOwn(username, store), fetchOwn(password, store)]).then(([name, word]) => ({
      username: name.secret.expose((bytes) => bytes.toString('utf8')),
      password: word.secret,
    }));
    kept = asked;
    asked.catch(() => {
      if (kept === asked) kept = undefined;
    });
    return asked;
  };
}
