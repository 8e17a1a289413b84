import { formatListenAddress, type Config, type ListenAddress, type ServiceConfig } from '../config/config.ts';
import type { Connector, HttpConnector, StreamConnector } from '../connector/connector.ts';
import type { CredentialSource } from '../credential/lease.ts';
import { openSource } from '../credential/source.ts';
import type { SecretStore } from '../credential/store.ts';
import { isLoopback } from '../http/authority.ts';
import type { HttpBinding, HttpContext, HttpRoutes } from '../http/binding.ts';
import type { HttpHandler } from '../http/front.ts';
import { compileUrlPattern } from '../http/match.ts';
import { isRouting } from '../http/place.ts';
import { PoolSet } from '../http/pools.ts';
import { openUndiciPool, type UpstreamTls } from '../http/undici-upstream.ts';
import type { StreamBinding, StreamHandler, StreamParts } from '../stream/binding.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The parts that outlive a configuration. */
export interface GenerationParts {
  readonly connectors: readonly Connector[];
  readonly context: HttpContext & StreamParts;
  readonly metrics: Metrics;
  readonly store: (from: string) => SecretStore;
  /** False for a generation that will serve nobody: client keys are not fetched. */
  readonly fetchKeys: boolean;
}

/** What one listener address needs to know of a configuration. */
export type Endpoint = HttpEndpoint | StreamEndpoint;

interface EndpointBase {
  readonly address: ListenAddress;
  readonly services: readonly string[];
  readonly socketMode: number;
}

export interface HttpEndpoint extends EndpointBase {
  readonly kind: 'http';
  readonly idleSeconds: number;
  readonly handler: HttpHandler;
}

export interface StreamEndpoint extends EndpointBase {
  readonly kind: 'stream';
  readonly handler: StreamHandler;
}

/**
 * Everything one configuration opened. A reload builds the next one whole; this one is retired and closes itself
 * after the last exchange that began with it.
 */
export class Generation {
  readonly config: Config;
  /** By address as written. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly #opened: readonly OpenedService[];
  readonly #closeStores: () => Promise<void>;
  #running = 0;
  #retired: (() => void) | undefined;

  private constructor(
    config: Config,
    opened: readonly OpenedService[],
    context: HttpContext & StreamParts,
    closeStores: () => Promise<void>,
  ) {
    this.config = config;
    this.#opened = opened;
    this.#closeStores = closeStores;
    this.endpoints = endpointsOf(opened, context, this.#counting());
  }

  /** Opens every service, or none. Errors: those of the providers that hold client keys. */
  static async open(config: Config, parts: GenerationParts, closeStores: () => Promise<void>): Promise<Generation> {
    const opened: OpenedService[] = [];
    try {
      for (const service of config.services) opened.push(await openService(service, config, parts));
      return new Generation(config, opened, parts.context, closeStores);
    } catch (thrown) {
      await Promise.all(opened.map((service) => service.close()));
      await closeStores();
      throw thrown;
    }
  }

  /** Resolves when the last exchange has ended and everything is closed. */
  async retire(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#retired = resolve));
    await Promise.all(this.#opened.map((service) => service.close()));
    await this.#closeStores();
  }

  #counting(): Counting {
    return {
      enter: () => {
        this.#running += 1;
      },
      leave: () => {
        this.#running -= 1;
        if (this.#running === 0) this.#retired?.();
      },
    };
  }
}

type Counting = Pick<HttpHandler, 'enter' | 'leave'>;

type OpenedService = OpenedHttpService | OpenedStreamService;

interface OpenedHttpService {
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

async function openService(service: ServiceConfig, config: Config, parts: GenerationParts): Promise<OpenedService> {
  const connector = parts.connectors.find(({ name }) => name === service.connector)!;
  switch (connector.kind) {
    case 'http':
      return openHttpService(service, connector, config, parts);
    case 'stream':
      return openStreamService(service, connector, parts);
    default:
      return connector satisfies never;
  }
}

async function openHttpService(
  service: ServiceConfig,
  connector: HttpConnector,
  { limits }: Config,
  parts: GenerationParts,
): Promise<OpenedHttpService> {
  const { timeouts } = service;
  const { store, metrics, fetchKeys } = parts;
  const tls = await upstreamTls(service, fetchKeys ? store : undefined);
  const instance = connector.open(service.config);
  const source = sourceOf(service, parts);
  const pools = new PoolSet((origin) =>
    openUndiciPool({
      origin,
      connections: service.limits.upstreamConnections,
      connectSeconds: timeouts.connectSeconds,
      headersSeconds: timeouts.headersSeconds,
      idleSeconds: timeouts.idleSeconds,
      headerBytes: limits.headerBytes,
      tls,
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
    forceSSL: service.forceSSL,
    headersSeconds: timeouts.headersSeconds,
    idleSeconds: timeouts.idleSeconds,
    connectSeconds: timeouts.connectSeconds,
    bodyBytes: service.limits.bodyBytes,
    tls,
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

async function openStreamService(
  service: ServiceConfig,
  connector: StreamConnector,
  parts: GenerationParts,
): Promise<OpenedStreamService> {
  const { timeouts } = service;
  const instance = await connector.open(service.config);
  const source = sourceOf(service, parts);
  const binding: StreamBinding = {
    service: service.name,
    connector: connector.name,
    principal: { agent: service.agent, attested: 'listener' },
    instance,
    source,
    connectSeconds: timeouts.connectSeconds,
    loginSeconds: timeouts.headersSeconds,
    idleSeconds: timeouts.idleSeconds,
    upstreamConnections: service.limits.upstreamConnections,
    metrics: parts.metrics.service(service.name),
  };
  return {
    kind: 'stream',
    config: service,
    binding,
    close: async () => {
      instance.close?.();
      await source.close();
    },
  };
}

function sourceOf(service: ServiceConfig, { store, metrics }: GenerationParts): CredentialSource {
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

function endpointsOf(
  opened: readonly OpenedService[],
  context: HttpContext & StreamParts,
  counting: Counting,
): ReadonlyMap<string, Endpoint> {
  const addresses = new Map<string, { address: ListenAddress; services: OpenedService[] }>();
  for (const service of opened) {
    for (const address of service.config.listenOn) {
      const key = formatListenAddress(address);
      const entry = addresses.get(key) ?? { address, services: [] };
      entry.services.push(service);
      addresses.set(key, entry);
    }
  }
  const endpoints = new Map<string, Endpoint>();
  for (const [key, { address, services }] of addresses) {
    const base = {
      address,
      services: services.map(({ config }) => config.name),
      socketMode: services.reduce((mode, { config }) => mode & config.socketMode, 0o777),
    };
    const stream = services.find((service) => service.kind === 'stream');
    if (stream !== undefined) {
      const handler: StreamHandler = { parts: context, binding: stream.binding, ...counting };
      endpoints.set(key, { kind: 'stream', ...base, handler });
      continue;
    }
    const http = services.filter((service) => service.kind === 'http');
    const idleSeconds = Math.max(...http.map(({ config }) => longestSilence(config)));
    const handler: HttpHandler = { context, routes: routesOf(address, http), ...counting };
    endpoints.set(key, { kind: 'http', ...base, idleSeconds, handler });
  }
  return endpoints;
}

/** The longest that a downstream may hear and say nothing while all is well. */
function longestSilence({ timeouts }: ServiceConfig): number {
  const { credentialSeconds, connectSeconds, headersSeconds, idleSeconds } = timeouts;
  // A lease may wait for the one before it, and a refused one is fetched once more.
  return Math.max(idleSeconds, 3 * credentialSeconds + 2 * (connectSeconds + headersSeconds));
}

/** Forward services in alphabetical order: the precedence of CyberArk's broker where patterns overlap. */
function routesOf(address: ListenAddress, services: readonly OpenedHttpService[]): HttpRoutes {
  const byName = [...services].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
  return {
    reverse: services.find(({ config }) => config.target !== undefined)?.binding,
    forward: byName.filter(({ config }) => config.match.length > 0).map(({ binding }) => binding),
    routing: services.find(({ binding }) => isRouting(binding))?.binding,
    unmatched: byName.find(({ config }) => config.target === undefined && config.unmatched === 'pass')?.binding,
    exposure: address.kind !== 'tcp' ? 'socket' : isLoopback(address.host) ? 'loopback' : 'network',
  };
}
