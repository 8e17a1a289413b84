import { createHash } from 'node:crypto';
import type { Interception } from '../certificate/interception.ts';
import type { Config, EgressConfig, OriginPattern } from '../config/config.ts';
import { defaultPort, formatOrigin, type Origin } from '../connector/origin.ts';
import type { Secret } from '../credential/secret.ts';
import type { SecretStore } from '../credential/store.ts';
import type { TokenCallers } from '../egress/callers.ts';
import type { Tunnelling } from '../egress/binding.ts';
import { SidecarError } from '../error.ts';
import type { HttpBinding } from '../http/binding.ts';
import { isRouting } from '../http/place.ts';
import { PoolSet } from '../http/pools.ts';
import { openPool } from '../http/upstream-pool.ts';
import { NO_SERVICE } from '../policy/request.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { fetchOwn, wipeOwn } from './fetched.ts';
import type { OpenedHttpService, OpenedService } from './opening.ts';
import type { WayOut } from './way-out.ts';

/** What egress listeners serve, under one configuration. */
export interface OpenedEgress {
  readonly config: EgressConfig;
  readonly callers: TokenCallers;
  readonly tunnelling: Tunnelling;
  /** Takes requests in clear that pass without a service. */
  readonly passing: HttpBinding;
  readonly passes: (origin: Origin) => boolean;
  close(): Promise<void>;
}

export interface EgressParts {
  readonly metrics: Metrics;
  readonly store: (from: string) => SecretStore;
  readonly wayOut: WayOut;
  /** False where nobody will be served: tokens are not fetched. */
  readonly fetchKeys: boolean;
  /** Absent where nobody will be served. */
  readonly interception?: () => Promise<Interception>;
}

/** Where no service says how long. */
const CONNECT_SECONDS = 10;
const HEADERS_SECONDS = 60;
const IDLE_SECONDS = 300;
const CONNECTIONS_MAX = 256;

/** Fetches the tokens of the agents. Errors: those of the providers that hold them, `config-invalid`. */
export async function openEgress(config: Config, egress: EgressConfig, parts: EgressParts): Promise<OpenedEgress> {
  const { callers, proofs } = await openTokens(config, egress, parts);
  const pools = passingPools(config, parts);
  return {
    config: egress,
    callers,
    tunnelling: { ...openTunnelling(parts), proofOf: (agent) => proofs.get(agent) },
    passing: passingBinding(pools, parts),
    passes: (origin) => isPassed(egress, origin),
    close: () => pools.close(),
  };
}

/** For listeners of services that are proxies themselves: their agents have no tokens. */
export function openTunnelling({
  wayOut,
  interception = nobody,
}: Pick<EgressParts, 'wayOut' | 'interception'>): Tunnelling {
  return { interception, dialer: wayOut.dialer('passed', CONNECT_SECONDS), proofOf: () => undefined };
}

function nobody(): Promise<never> {
  return Promise.reject(new SidecarError('internal', { detail: 'nobody is served' }));
}

async function openTokens({ agents }: Config, { agent }: EgressConfig, { store, fetchKeys }: EgressParts) {
  const proofs = new Map<string, string>();
  const held: { name: string; token: Secret; wipe: () => void }[] = [];
  try {
    for (const [name, { token }] of Object.entries(agents)) {
      if (token === undefined || !fetchKeys) continue;
      const { secret, fetched } = await fetchOwn(token, store);
      held.push({ name, token: secret, wipe: () => wipeOwn(fetched) });
      const digest = secret.expose((bytes) => createHash('sha256').update(bytes).digest('hex'));
      proofs.set(name, digest);
    }
    const { openCallers } = await import('../egress/callers.ts');
    const callers = openCallers({
      agents: held,
      required: Object.values(agents).some(({ token }) => token !== undefined),
      ...(agent === undefined ? {} : { fallback: agent }),
    });
    return { callers, proofs };
  } finally {
    for (const { wipe } of held) wipe();
  }
}

function passingPools({ limits }: Config, { wayOut }: EgressParts): PoolSet {
  const dialer = wayOut.dialer('passed', CONNECT_SECONDS);
  return new PoolSet((origin) =>
    openPool({
      origin,
      connections: CONNECTIONS_MAX,
      connectSeconds: CONNECT_SECONDS,
      headersSeconds: HEADERS_SECONDS,
      idleSeconds: IDLE_SECONDS,
      headerBytes: limits.headerBytes,
      tls: {},
      dialer,
    }),
  );
}

/** Holds no credential, and never authenticates. */
function passingBinding(pools: PoolSet, { metrics, wayOut }: EgressParts): HttpBinding {
  const nothing = (): never => {
    throw new SidecarError('internal', { detail: 'a credential for what has no service' });
  };
  return {
    service: NO_SERVICE,
    connector: NO_SERVICE,
    principal: { agent: NO_SERVICE, attested: 'listener' },
    instance: { authenticate: nothing },
    source: { lease: nothing, forget: () => undefined, close: () => Promise.resolve() },
    pools,
    target: undefined,
    patterns: [],
    forceSSL: undefined,
    headersSeconds: HEADERS_SECONDS,
    idleSeconds: IDLE_SECONDS,
    connectSeconds: CONNECT_SECONDS,
    bodyBytes: undefined,
    tls: {},
    dialer: wayOut.dialer('passed', CONNECT_SECONDS),
    metrics: metrics.service(NO_SERVICE),
  };
}

function isPassed({ allow, unmatched }: EgressConfig, origin: Origin): boolean {
  if (allow.some((pattern) => isOf(pattern, origin))) return true;
  return unmatched === 'pass' && origin.port === defaultPort(origin.scheme);
}

function isOf({ scheme, host, port, below }: OriginPattern, origin: Origin): boolean {
  if (origin.scheme !== scheme || origin.port !== port) return false;
  return below ? origin.host.endsWith(`.${host}`) : origin.host === host;
}

/** The one service that is reached by every host its connector claims. */
export function claimantOf(opened: readonly OpenedService[]): HttpBinding | undefined {
  const claims = ({ config, binding }: OpenedHttpService): boolean =>
    config.listenOn.length === 0 && binding.reaches !== undefined && isRouting(binding);
  return opened.filter((one) => one.kind === 'http').find(claims)?.binding;
}

/** The services that are reached by their own origin; of one origin the longest base path first. */
export function targetsOf(opened: readonly OpenedService[]): ReadonlyMap<string, readonly HttpBinding[]> {
  const targets = new Map<string, HttpBinding[]>();
  for (const { kind, config, binding } of opened) {
    if (kind !== 'http' || config.target === undefined || config.listenOn.length > 0) continue;
    const key = formatOrigin(config.target.origin);
    targets.set(key, [...(targets.get(key) ?? []), binding]);
  }
  const length = ({ target }: HttpBinding): number => target!.basePath.length;
  for (const bindings of targets.values()) bindings.sort((a, b) => length(b) - length(a));
  return targets;
}
