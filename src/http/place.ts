import type { Arrival, HttpHandling, HttpService } from '../connector/connector.ts';
import { foldName, headerValues, type RequestHead } from '../connector/head.ts';
import { defaultPort, formatOrigin, sameOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import type { Principal } from '../policy/request.ts';
import { hostAgrees, isLoopback, parseAuthority } from './authority.ts';
import type { HttpBinding, HttpRoutes } from './binding.ts';
import { refuseBrowsers } from './browser.ts';
import type { UrlPattern } from './match.ts';
import { withoutNamed } from './hop-by-hop.ts';
import { canonicalPath } from './path.ts';
import { parseRequestTarget } from './target.ts';

/** Where one request goes and on whose account. `head.target` is what the upstream will see. */
export interface Placement {
  readonly binding: HttpBinding;
  /** Who answers for the exchange: the service, or what its `begin` made of the request. */
  readonly handling: HttpHandling & { prove?(sha256: string): void };
  readonly principal: Principal;
  /** Who is known to ask, whatever the request itself claims. */
  readonly asker: Principal;
  readonly origin: Origin;
  readonly head: RequestHead;
  /** False for a request that passes without a credential (`unmatched: pass`, or the connector says so). */
  readonly credentialed: boolean;
}

/** A request whose connector wants to read it before anything is decided. */
export interface Arrived {
  readonly binding: HttpBinding;
  readonly asker: Principal;
  readonly arrival: Omit<Arrival, 'now'>;
}

const PROXY_CREDENTIAL = 'proxy-authorization';

/** What clients of CyberArk's broker write for an endpoint that the connector is to find. */
const NOWHERE = 'secretless.empty';

/** Methods that echo or tunnel (RFC 9110 sections 9.3.6 and 9.3.8; TRACK is an old TRACE). */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT']);

/** Finds the service of a request and lets its connector read it. Errors: those of `find` and `begin`. */
export function place(routes: HttpRoutes, head: RequestHead, now = new Date()): Placement {
  const found = find(routes, head);
  return 'arrival' in found ? begin(found, now) : found;
}

/**
 * The routes with who is asking, where each request has to say so itself. Before anything else: whoever may not ask
 * learns nothing of what is there. Errors: `proxy-auth-required`.
 */
export function identified(routes: HttpRoutes, head: RequestHead): HttpRoutes {
  const { callers, principal } = routes;
  if (callers === undefined || principal !== undefined) return routes;
  return { ...routes, principal: callers.identify(head.headers) };
}

/**
 * Finds the one authority of a request and the service bound to it. Everything that names a host must agree with it.
 * What comes back is placed already, unless the service's connector has a `begin`.
 * Errors: `method-refused`, `connect-refused`, `request-malformed`, `host-mismatch`, `absolute-form-required`,
 * `no-service`, `path-ambiguous`, `plaintext-refused`, `origin-refused`, `proxy-auth-required`.
 */
export function find(given: HttpRoutes, received: RequestHead): Placement | Arrived {
  if (received.method === 'CONNECT') throw new SidecarError('connect-refused');
  if (REFUSED_METHODS.has(received.method.toUpperCase())) throw new SidecarError('method-refused');
  const routes = identified(given, received);
  const head = withoutProxyCredential(received);
  const hosts = headerValues(head.headers, 'host');
  if (hosts.length > 1) throw new SidecarError('request-malformed', { detail: 'more than one Host field' });
  const target = parseRequestTarget(head.target);
  switch (target.form) {
    case 'origin': {
      const named = routes.authority ?? (routes.byHost === true ? byHost(hosts[0]) : undefined);
      return named === undefined ? reverse(routes, head) : forward(routes, head, named, hosts[0]);
    }
    case 'absolute': {
      const only = routes.authority ?? (routes.byHost === true ? byHost(hosts[0]) : target.origin);
      if (!sameOrigin(only, target.origin)) throw new SidecarError('host-mismatch');
      return forward(routes, { ...head, target: target.target }, target.origin, hosts[0]);
    }
    case 'authority':
    case 'asterisk':
      throw new SidecarError('request-malformed', { detail: `${target.form}-form target` });
    default:
      throw new SidecarError('internal', { detail: target satisfies never });
  }
}

/** Where a request goes that was redirected from port 80: only its Host says. */
function byHost(host: string | undefined): Origin {
  if (host === undefined) throw new SidecarError('request-malformed', { detail: 'no Host field' });
  const named: Origin = { scheme: 'http', ...parseAuthority(host, 'http') };
  if (named.port !== defaultPort('http')) throw new SidecarError('host-mismatch');
  return named;
}

/** It is for us, in every spelling, and no connector's business. */
function withoutProxyCredential(head: RequestHead): RequestHead {
  const { headers } = head;
  for (let at = 0; at < headers.length; at += 2) {
    if (!isProxyCredential(headers[at]!)) continue;
    return { ...head, headers: headers.filter((_, each) => !isProxyCredential(headers[each - (each % 2)]!)) };
  }
  return head;
}

function isProxyCredential(name: string): boolean {
  return name.length === PROXY_CREDENTIAL.length && foldName(name) === PROXY_CREDENTIAL;
}

/**
 * Asks the connector what a request is and where it goes. Errors: whatever the connector refuses, `internal` where it
 * leads elsewhere than the request, `plaintext-refused`, `caller-unproven`.
 */
export function begin({ binding, asker, arrival }: Arrived, now: Date): Placement {
  const given = { ...arrival.head, headers: withoutNamed(arrival.head.headers) };
  const begun = (binding.instance as BeginningService).begin({ ...arrival, head: given, now });
  const { origin, head, agent, credentialed } = begun;
  if (arrival.origin !== undefined && !leadsTo(arrival.origin, origin, binding.target === undefined)) {
    const detail = `the connector leads a request for ${formatOrigin(arrival.origin)} to ${formatOrigin(origin)}`;
    throw new SidecarError('internal', { detail });
  }
  if (origin.scheme === 'http' && (binding.forceSSL === true || !mayBePlain(binding, origin))) {
    throw new SidecarError('plaintext-refused', { detail: formatOrigin(origin) });
  }
  const principal: Principal = agent === undefined ? asker : { agent, attested: 'key' };
  if (asker.attested === 'token' && asker.agent !== principal.agent) {
    throw new SidecarError('caller-unproven', { detail: `token of ${asker.agent}, key of ${principal.agent}` });
  }
  return { binding, handling: begun, principal, asker, origin, head, credentialed };
}

type BeginningService = HttpService & Required<Pick<HttpService, 'begin'>>;

/** Whether the connector itself finds out where a request goes. */
export function isRouting({ target, patterns }: Pick<HttpBinding, 'target' | 'patterns'>): boolean {
  return target === undefined && patterns.length === 0;
}

/** Whether a part of every path belongs to the operator, so that no request may leave it. */
export function isBelowPath({ target, patterns }: Pick<HttpBinding, 'target' | 'patterns'>): boolean {
  return target === undefined ? patterns.length > 0 : target.basePath !== '';
}

/** A connector may turn the http that clients of a proxy write into https, to the same host. */
function leadsTo(named: Origin, origin: Origin, upgrades: boolean): boolean {
  return sameOrigin(origin, named) || (upgrades && sameOrigin(origin, secured(named)));
}

function reverse(routes: HttpRoutes, head: RequestHead): Placement | Arrived {
  const binding = routes.reverse ?? routes.routing;
  if (binding === undefined) throw new SidecarError('absolute-form-required');
  const { target } = binding;
  refuseBrowsers(routes.exposure, head, target?.origin);
  const asker = askerOf(routes, binding);
  if (target === undefined) return { binding, asker, arrival: { head, bound: false, basePath: '' } };
  const { origin, basePath } = target;
  if (binding.instance.begin !== undefined) return { binding, asker, arrival: { head, origin, bound: true, basePath } };
  return placed(routes, binding, origin, { ...head, target: basePath + head.target });
}

function forward(routes: HttpRoutes, head: RequestHead, named: Origin, host: string | undefined): Placement | Arrived {
  // RFC 9112 section 3.2.2 lets a proxy ignore Host here; one that disagrees is an attempt to be read twice.
  if (host !== undefined && !hostAgrees(host, named)) throw new SidecarError('host-mismatch');
  if (routes.misdirected === true) throw new SidecarError('host-mismatch', { detail: 'SNI names another host' });
  const targets = routes.targets?.get(formatOrigin(named));
  if (targets !== undefined) return toTarget(routes, targets, named, head);
  const claimant = claimantOf(routes, named);
  if (claimant !== undefined) {
    refuseBrowsers('loopback', head, named);
    return arrived(routes, claimant, named, head, false);
  }
  const byTarget = routes.reverse?.target;
  if (routes.reverse !== undefined && byTarget !== undefined && sameOrigin(byTarget.origin, named)) {
    const { basePath } = byTarget;
    if (!head.target.startsWith(`${basePath}/`)) throw new SidecarError('no-service');
    return below(routes, routes.reverse, named, head, basePath);
  }
  for (const binding of routes.forward) {
    const pattern = binding.patterns.find((candidate) => candidate.matches(named, head.target));
    if (pattern !== undefined) return matched(routes, binding, pattern, named, head);
  }
  const { routing, unmatched } = routes;
  if (routing !== undefined) return arrived(routes, routing, named, head, false);
  if (unmatched === undefined || routes.passes?.(named) === false) {
    if (routes.forward.length > 0 || routes.targets !== undefined) {
      throw new SidecarError('no-service', { detail: formatOrigin(named) });
    }
    throw new SidecarError('request-malformed', { detail: 'absolute-form target' });
  }
  return { ...placed(routes, unmatched, named, head), credentialed: false };
}

/** The service whose connector says that the host is one of its own. */
export function claimantOf({ claimant }: HttpRoutes, { scheme, host, port }: Origin): HttpBinding | undefined {
  if (scheme !== 'https' || port !== defaultPort(scheme)) return undefined;
  return claimant?.reaches?.(host) === true ? claimant : undefined;
}

/** A request for the origin of one or several services, of which the path tells which. */
function toTarget(
  routes: HttpRoutes,
  bindings: readonly HttpBinding[],
  named: Origin,
  head: RequestHead,
): Placement | Arrived {
  // Whatever the listener: a browser behind a proxy shows pages of foreign origins.
  refuseBrowsers('loopback', head, named);
  const binding = ofPath(bindings, head.target);
  if (binding === undefined) throw new SidecarError('no-service', { detail: formatOrigin(named) });
  return below(routes, binding, named, head, binding.target!.basePath);
}

/** The longest base path comes first. Errors: `path-ambiguous`, where the path decides and may be read otherwise. */
function ofPath(bindings: readonly HttpBinding[], target: string): HttpBinding | undefined {
  const [first] = bindings;
  if (bindings.length === 1 && first!.target!.basePath === '') return first;
  const { path, ambiguity } = canonicalPath(target);
  if (ambiguity !== undefined) throw new SidecarError('path-ambiguous', { detail: ambiguity });
  return bindings.find((binding) => holdsPath(binding, path));
}

/** The base path itself is in it too; a connector that reads what stands behind it needs something to read. */
function holdsPath({ target, instance }: HttpBinding, path: string): boolean {
  const { basePath } = target!;
  return path.startsWith(`${basePath}/`) || (path === basePath && instance.begin === undefined);
}

/** A request whose path is the upstream's own, `basePath` included. */
function below(
  routes: HttpRoutes,
  binding: HttpBinding,
  origin: Origin,
  head: RequestHead,
  basePath: string,
): Placement | Arrived {
  if (binding.instance.begin === undefined) return placed(routes, binding, origin, head);
  const own = { ...head, target: head.target.slice(basePath.length) };
  return { binding, asker: askerOf(routes, binding), arrival: { head: own, origin, bound: true, basePath } };
}

/** A request that a pattern of the service takes. One that leaves the host open binds it to none. */
function matched(
  routes: HttpRoutes,
  binding: HttpBinding,
  { wide }: UrlPattern,
  named: Origin,
  head: RequestHead,
): Placement | Arrived {
  if (binding.instance.begin === undefined) return placed(routes, binding, upstreamOrigin(binding, named), head);
  if (named.host !== NOWHERE) return arrived(routes, binding, named, head, !wide);
  return { binding, asker: askerOf(routes, binding), arrival: { head, bound: false, basePath: '' } };
}

function arrived(
  routes: HttpRoutes,
  binding: HttpBinding,
  named: Origin,
  head: RequestHead,
  bound: boolean,
): Placement | Arrived {
  const origin = binding.forceSSL === true ? secured(named) : named;
  if (binding.instance.begin === undefined) return placed(routes, binding, origin, head);
  return { binding, asker: askerOf(routes, binding), arrival: { head, origin, bound, basePath: '' } };
}

function placed(routes: HttpRoutes, binding: HttpBinding, origin: Origin, head: RequestHead): Placement {
  const asker = askerOf(routes, binding);
  return { binding, handling: binding.instance, principal: asker, asker, origin, head, credentialed: true };
}

/** Whoever the connection, or the request itself, proved to come from; else whoever may use the listener. */
function askerOf({ principal }: HttpRoutes, binding: HttpBinding): Principal {
  return principal ?? binding.principal;
}

/** The client of a forward proxy writes `http://`; `forceSSL` says whether the credential may travel like that. */
function upstreamOrigin(binding: HttpBinding, named: Origin): Origin {
  if (binding.forceSSL === true) return secured(named);
  if (named.scheme === 'https' || mayBePlain(binding, named)) return named;
  throw new SidecarError('plaintext-refused', { detail: formatOrigin(named) });
}

/** Whether a credential may go in clear where only a pattern names the upstream; a target is the operator's own word. */
function mayBePlain({ patterns, forceSSL }: HttpBinding, { host }: Origin): boolean {
  if (patterns.length === 0 || forceSSL === false) return true;
  // A name under .localhost may be any address: some resolvers ask DNS for it.
  return isLoopback(host) && !host.endsWith('.localhost');
}

function secured(named: Origin): Origin {
  if (named.scheme === 'https') return named;
  return { scheme: 'https', host: named.host, port: named.port === defaultPort('http') ? 443 : named.port };
}
