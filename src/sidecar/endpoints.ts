import { formatListenAddress, type ListenAddress, type ServiceConfig } from '../config/config.ts';
import type { EgressHandler, TunnelHandler, Tunnelling } from '../egress/binding.ts';
import { isLoopback } from '../http/authority.ts';
import type { HttpContext, HttpRoutes } from '../http/binding.ts';
import type { HttpHandler } from '../http/front.ts';
import { isRouting } from '../http/place.ts';
import type { RelayBinding, RelayHandler, RelayParts } from '../relay/binding.ts';
import type { StreamHandler, StreamParts } from '../stream/binding.ts';
import { claimantOf, targetsOf, type OpenedEgress } from './egress.ts';
import type { OpenedHttpService, OpenedService } from './opening.ts';

/** What connections of every kind use. */
export type ConnectionParts = HttpContext & StreamParts & RelayParts;

/** What one listener address needs to know of a configuration. */
export type Endpoint = HttpEndpoint | TunnelEndpoint | EgressEndpoint | StreamEndpoint | RelayEndpoint;

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

/** Of services that are proxies, so that their clients may ask for tunnels. */
export interface TunnelEndpoint extends EndpointBase {
  readonly kind: 'tunnel';
  readonly idleSeconds: number;
  readonly handler: TunnelHandler;
}

export interface EgressEndpoint extends EndpointBase {
  readonly kind: 'egress';
  readonly idleSeconds: number;
  readonly handler: EgressHandler;
}

export interface StreamEndpoint extends EndpointBase {
  readonly kind: 'stream';
  readonly handler: StreamHandler;
}

export interface RelayEndpoint extends EndpointBase {
  readonly kind: 'relay';
  readonly handler: RelayHandler;
}

/** Counts who uses a configuration. */
export type Counting = Pick<HttpHandler, 'enter' | 'leave'>;

/** What each listener address of a configuration serves, by the address as written. */
export function endpointsOf(
  opened: readonly OpenedService[],
  egress: OpenedEgress | undefined,
  serving: Omit<Serving, 'relays'>,
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
  const relays = new Map(opened.flatMap((each) => (each.kind === 'relay' ? [[each.config.name, each.binding]] : [])));
  const all = { ...serving, relays };
  const endpoints = new Map<string, Endpoint>();
  for (const [key, { address, services }] of addresses) endpoints.set(key, endpointOf(address, services, all));
  for (const address of egress?.config.listenOn ?? []) {
    const key = formatListenAddress(address);
    // Two that ask for any free port get one each.
    endpoints.set(endpoints.has(key) ? `egress ${key}` : key, egressEndpoint(address, opened, egress!, serving));
  }
  return endpoints;
}

interface Serving {
  readonly context: ConnectionParts;
  readonly counting: Counting;
  /** For listeners of services that are proxies. */
  readonly tunnelling: Tunnelling;
  /** All of the configuration. */
  readonly relays: ReadonlyMap<string, RelayBinding>;
}

function endpointOf(address: ListenAddress, services: readonly OpenedService[], serving: Serving): Endpoint {
  const { context, counting, relays } = serving;
  const base = {
    address,
    services: services.map(({ config }) => config.name),
    socketMode: services.reduce((mode, { config }) => mode & config.socketMode, 0o777),
  };
  const stream = services.find((service) => service.kind === 'stream');
  if (stream !== undefined) {
    return { kind: 'stream', ...base, handler: { parts: context, binding: stream.binding, ...counting } };
  }
  const relay = byName(services.filter((service) => service.kind === 'relay')).map(({ binding }) => binding);
  if (relay.length > 0) {
    return { kind: 'relay', ...base, handler: { parts: context, bindings: relay, relays, ...counting } };
  }
  const http = services.filter((service) => service.kind === 'http');
  const idleSeconds = Math.max(...http.map(({ config }) => longestSilence(config)));
  const handler = { context, routes: routesOf(address, http), ...counting };
  if (handler.routes.forward.length === 0) return { kind: 'http', ...base, idleSeconds, handler };
  return { kind: 'tunnel', ...base, idleSeconds, handler: { ...handler, tunnelling: serving.tunnelling } };
}

function egressEndpoint(
  address: ListenAddress,
  opened: readonly OpenedService[],
  { config, callers, tunnelling, passing, passes }: OpenedEgress,
  { context, counting }: Pick<Serving, 'context' | 'counting'>,
): EgressEndpoint {
  const targets = targetsOf(opened);
  const claimant = claimantOf(opened);
  const bindings = [...[...targets.values()].flat(), ...(claimant === undefined ? [] : [claimant])];
  const reached = new Set(bindings.map(({ service }) => service));
  const services = opened.filter((one) => reached.has(one.config.name)).map((one) => one.config);
  const routes: HttpRoutes = {
    reverse: undefined,
    forward: [],
    routing: undefined,
    unmatched: passing,
    exposure: exposureOf(address),
    targets,
    ...(claimant === undefined ? {} : { claimant }),
    callers,
    passes,
    byHost: config.mode === 'transparent',
  };
  return {
    kind: 'egress',
    address,
    services: services.map(({ name }) => name),
    socketMode: config.socketMode,
    idleSeconds: Math.max(passing.idleSeconds, ...services.map(longestSilence)),
    handler: { context, routes, tunnelling, callers, mode: config.mode, ...counting },
  };
}

function byName<Service extends OpenedService>(services: readonly Service[]): Service[] {
  return [...services].sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
}

/** The longest that a downstream may hear and say nothing while all is well. */
function longestSilence({ timeouts }: ServiceConfig): number {
  const { credentialSeconds, connectSeconds, headersSeconds, idleSeconds } = timeouts;
  // A lease may wait for the one before it, and a refused one is fetched once more.
  return Math.max(idleSeconds, 3 * credentialSeconds + 2 * (connectSeconds + headersSeconds));
}

/** Forward services in alphabetical order: the precedence of CyberArk's broker where patterns overlap. */
function routesOf(address: ListenAddress, services: readonly OpenedHttpService[]): HttpRoutes {
  const sorted = byName(services);
  return {
    reverse: services.find(({ config }) => config.target !== undefined)?.binding,
    forward: sorted.filter(({ config }) => config.match.length > 0).map(({ binding }) => binding),
    routing: services.find(({ binding }) => isRouting(binding))?.binding,
    unmatched: sorted.find(({ config }) => config.target === undefined && config.unmatched === 'pass')?.binding,
    exposure: exposureOf(address),
  };
}

function exposureOf(address: ListenAddress): HttpRoutes['exposure'] {
  if (address.kind !== 'tcp') return 'socket';
  return isLoopback(address.host) ? 'loopback' : 'network';
}
