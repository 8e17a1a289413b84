import type { Config, ServiceConfig } from '../config/config.ts';
import type { Connector, HttpConnector, RelayConnector, StreamConnector } from '../connector/connector.ts';
import type { CredentialSource } from '../credential/lease.ts';
import { openSource } from '../credential/source.ts';
import type { SecretStore } from '../credential/store.ts';
import { SidecarError } from '../error.ts';
import type { HttpBinding } from '../http/binding.ts';
import type { Dialer } from '../http/dialer.ts';
import { compileUrlPattern } from '../http/match.ts';
import { PoolSet } from '../http/pools.ts';
import type { UpstreamTls } from '../http/undici-upstream.ts';
import { openPool } from '../http/upstream-pool.ts';
import type { RelayBinding } from '../relay/binding.ts';
import type { StreamBinding } from '../stream/binding.ts';
import { NO_SERVICE } from '../policy/request.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { WayOut } from './way-out.ts';

/** What services are opened with. */
export interface OpeningParts {
  readonly connectors: readonly Connector[];
  readonly metrics: Metrics;
  readonly store: (from: string) => SecretStore;
  /** False for services that will serve nobody: client keys are not fetched. */
  readonly fetchKeys: boolean;
  /** Absent: upstreams are dialled as they are. */
  readonly wayOut?: WayOut;
}

export type OpenedService = OpenedHttpService | OpenedStreamService | OpenedRelayService;

export interface OpenedHttpService {
  readonly kind: 'http';
  readonly config: ServiceConfig;
  readonly binding: HttpBinding;
  close(): Promise<void>;
}

interface OpenedStreamService {
  readonly kind: 'stream';
  readonly config: ServiceConfig;
  readonly binding: StreamBinding;
  close(): Promise<void>;
}

export interface OpenedRelayService {
  readonly kind: 'relay';
  readonly config: ServiceConfig;
  readonly binding: RelayBinding;
  close(): Promise<void>;
}

/** Opens one service. Errors: those of the providers that hold client keys. */
export async function openService(service: ServiceConfig, config: Config, parts: OpeningParts): Promise<OpenedService> {
  // What has no service is let through without a rule that allows it.
  if (service.name === NO_SERVICE) throw new SidecarError('config-invalid', { detail: 'no service is called `-`' });
  const connector = parts.connectors.find(({ name }) => name === service.connector)!;
  switch (connector.kind) {
    case 'http':
      return openHttpService(service, connector, config, parts);
    case 'stream':
      return openStreamService(service, connector, parts);
    case 'relay':
      return openRelayService(service, connector, parts);
    default:
      return connector satisfies never;
  }
}

async function openHttpService(
  service: ServiceConfig,
  connector: HttpConnector,
  { limits }: Config,
  parts: OpeningParts,
): Promise<OpenedHttpService> {
  const { timeouts } = service;
  const { store, metrics, fetchKeys } = parts;
  const tls = await upstreamTls(service, fetchKeys ? store : undefined);
  const instance = connector.open(service.config);
  const source = sourceOf(service, parts);
  const dialer = dialerOf(service, parts.wayOut);
  const pools = new PoolSet((origin) =>
    openPool({
      origin,
      connections: service.limits.upstreamConnections,
      connectSeconds: timeouts.connectSeconds,
      headersSeconds: timeouts.headersSeconds,
      idleSeconds: timeouts.idleSeconds,
      headerBytes: limits.headerBytes,
      tls,
      http2: service.http2,
      dialer,
    }),
  );
  const binding: HttpBinding = {
    service: service.name,
    connector: connector.name,
    principal: { agent: service.agent, attested: 'listener' },
    instance,
    source,
    pools,
    target: service.target,
    patterns: service.match.map((pattern) => compileUrlPattern(pattern)),
    ...(connector.reaches === undefined ? {} : { reaches: (host) => connector.reaches!(service.config, host) }),
    forceSSL: service.forceSSL,
    headersSeconds: timeouts.headersSeconds,
    idleSeconds: timeouts.idleSeconds,
    connectSeconds: timeouts.connectSeconds,
    bodyBytes: service.limits.bodyBytes,
    tls,
    ...(dialer === undefined ? {} : { dialer }),
    metrics: metrics.service(service.name),
  };
  return {
    kind: 'http',
    config: service,
    binding,
    close: async () => {
      await pools.close();
      instance.close?.();
      await source.close();
    },
  };
}

/** Whoever listens for agents itself is dialled as it always was, unless a proxy stands in between. */
function dialerOf({ listenOn, timeouts }: ServiceConfig, wayOut: WayOut | undefined): Dialer | undefined {
  if (wayOut === undefined || (listenOn.length > 0 && !wayOut.proxied)) return undefined;
  return wayOut.dialer('service', timeouts.connectSeconds);
}

async function openStreamService(
  service: ServiceConfig,
  connector: StreamConnector,
  parts: OpeningParts,
): Promise<OpenedStreamService> {
  const instance = await connector.open(service.config);
  const source = sourceOf(service, parts);
  const binding: StreamBinding = { ...lentTo(service, connector, parts), instance, source };
  return { kind: 'stream', config: service, binding, close: () => closeOne(instance, source) };
}

async function openRelayService(
  service: ServiceConfig,
  connector: RelayConnector,
  parts: OpeningParts,
): Promise<OpenedRelayService> {
  const instance = await connector.open(service.config);
  const source = sourceOf(service, parts);
  const via = connector.via?.(service.config);
  const binding: RelayBinding = { ...lentTo(service, connector, parts), instance, source, via };
  return { kind: 'relay', config: service, binding, close: () => closeOne(instance, source) };
}

/** What connections of every service know of it, that has one upstream. */
function lentTo(
  { name, agent, timeouts, limits }: ServiceConfig,
  connector: StreamConnector | RelayConnector,
  { metrics }: OpeningParts,
): Omit<StreamBinding, 'instance' | 'source'> {
  return {
    service: name,
    connector: connector.name,
    principal: { agent, attested: 'listener' },
    connectSeconds: timeouts.connectSeconds,
    loginSeconds: timeouts.headersSeconds,
    idleSeconds: timeouts.idleSeconds,
    upstreamConnections: limits.upstreamConnections,
    metrics: metrics.service(name),
  };
}

async function closeOne(instance: { close?(): void }, source: CredentialSource): Promise<void> {
  instance.close?.();
  await source.close();
}

function sourceOf(service: ServiceConfig, { store, metrics }: OpeningParts): CredentialSource {
  return openSource({
    service: service.name,
    references: service.credentials,
    store,
    cacheSeconds: service.cacheSeconds,
    timeoutSeconds: service.timeouts.credentialSeconds,
    onFetch: ({ from, outcome, seconds }) => metrics.provider(from).fetched(outcome === 'ok' ? 'ok' : 'error', seconds),
  });
}

async function upstreamTls(
  { tls, timeouts }: ServiceConfig,
  store: ((from: string) => SecretStore) | undefined,
): Promise<UpstreamTls> {
  const { key, ...rest } = tls;
  if (key === undefined || store === undefined) return rest;
  const fetched = await store(key.from).fetch(key.get, AbortSignal.timeout(timeouts.credentialSeconds * 1000));
  return { ...rest, key: fetched.secret.expose((bytes) => Buffer.from(bytes)) };
}
