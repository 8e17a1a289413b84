import { formatListenAddress, type Config, type ListenAddress, type ServiceConfig } from '../config/config.ts';
import type { Connector, HttpConnector } from '../connector/connector.ts';
import { openSource } from '../credential/source.ts';
import type { SecretStore } from '../credential/store.ts';
import { isLoopback } from '../http/authority.ts';
import type { HttpBinding, HttpContext, HttpRoutes } from '../http/binding.ts';
import type { HttpHandler } from '../http/front.ts';
import { compileUrlPattern } from '../http/match.ts';
import { PoolSet } from '../http/pools.ts';
import { openUndiciPool, type UpstreamTls } from '../http/undici-upstream.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The parts that outlive a configuration. */
export interface GenerationParts {
  readonly connectors: readonly Connector[];
  readonly context: HttpContext;
  readonly metrics: Metrics;
  readonly store: (from: string) => SecretStore;
  /** False for a generation that will serve nobody: client keys are not fetched. */
  readonly fetchKeys: boolean;
}

/** What one listener address needs to know of a configuration. */
export interface Endpoint {
  readonly address: ListenAddress;
  readonly services: readonly string[];
  readonly socketMode: number;
  readonly idleSeconds: number;
  readonly handler: HttpHandler;
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
    context: HttpContext,
    closeStores: () => Promise<void>,
  ) {
    this.config = config;
    this.#opened = opened;
    this.#closeStores = closeStores;
    this.endpoints = endpointsOf(opened, (routes) => this.#handler(context, routes));
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

  #handler(context: HttpContext, routes: HttpRoutes): HttpHandler {
    return {
      context,
      routes,
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

interface OpenedService {
  readonly config: ServiceConfig;
  readonly binding: HttpBinding;
  close(): Promise<void>;
}

async function openService(service: ServiceConfig, config: Config, parts: GenerationParts): Promise<OpenedService> {
  const connector = parts.connectors.find(({ name }) => name === service.connector)!;
  switch (connector.kind) {
    case 'http':
      return openHttpService(service, connector, config, parts);
    default:
      return connector.kind satisfies never;
  }
}

async function openHttpService(
  service: ServiceConfig,
  connector: HttpConnector,
  { limits }: Config,
  { store, metrics, fetchKeys }: GenerationParts,
): Promise<OpenedService> {
  const { timeouts } = service;
  const tls = await upstreamTls(service, fetchKeys ? store : undefined);
  const instance = connector.open(service.config);
  const source = openSource({
    service: service.name,
    references: service.credentials,
    store,
    cacheSeconds: service.cacheSeconds,
    timeoutSeconds: timeouts.credentialSeconds,
    onFetch: ({ from, outcome, seconds }) => metrics.provider(from).fetched(outcome === 'ok' ? 'ok' : 'error', seconds),
  });
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
    config: service,
    binding,
    close: async () => {
      await pools.close();
      instance.close?.();
      await source.close();
    },
  };
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
  handlerOf: (routes: HttpRoutes) => HttpHandler,
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
    endpoints.set(key, {
      address,
      services: services.map(({ config }) => config.name),
      socketMode: services.reduce((mode, { config }) => mode & config.socketMode, 0o777),
      idleSeconds: Math.max(...services.map(({ config }) => longestSilence(config))),
      handler: handlerOf(routesOf(address, services)),
    });
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
function routesOf(address: ListenAddress, services: readonly OpenedService[]): HttpRoutes {
  const byName = [...services].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
  return {
    reverse: services.find(({ config }) => config.target !== undefined)?.binding,
    forward: byName.filter(({ config }) => config.target === undefined).map(({ binding }) => binding),
    unmatched: byName.find(({ config }) => config.target === undefined && config.unmatched === 'pass')?.binding,
    exposure: address.kind !== 'tcp' ? 'socket' : isLoopback(address.host) ? 'loopback' : 'network',
  };
}
