import type { Arrival, HttpHandling, HttpService } from '../connector/connector.ts';
import { headerValues, type RequestHead } from '../connector/head.ts';
import { defaultPort, formatOrigin, sameOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import type { Principal } from '../policy/request.ts';
import { hostAgrees, isLoopback } from './authority.ts';
import type { HttpBinding, HttpRoutes } from './binding.ts';
import { refuseBrowsers } from './browser.ts';
import type { UrlPattern } from './match.ts';
import { withoutNamed } from './hop-by-hop.ts';
import { parseRequestTarget } from './target.ts';

/** Where one request goes and on whose account. `head.target` is what the upstream will see. */
export interface Placement {
  readonly binding: HttpBinding;
  /** Who answers for the exchange: the service, or what its `begin` made of the request. */
  readonly handling: HttpHandling & { prove?(sha256: string): void };
  readonly principal: Principal;
  readonly origin: Origin;
  readonly head: RequestHead;
  /** False for a request that passes without a credential (`unmatched: pass`, or the connector says so). */
  readonly credentialed: boolean;
}

/** A request whose connector wants to read it before anything is decided. */
export interface Arrived {
  readonly binding: HttpBinding;
  readonly arrival: Omit<Arrival, 'now'>;
}

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
 * Finds the one authority of a request and the service bound to it. Everything that names a host must agree with it.
 * What comes back is placed already, unless the service's connector has a `begin`.
 * Errors: `method-refused`, `connect-refused`, `request-malformed`, `host-mismatch`, `absolute-form-required`,
 * `no-service`, `plaintext-refused`, `origin-refused`.
 */
export function find(routes: HttpRoutes, head: RequestHead): Placement | Arrived {
  if (head.method === 'CONNECT') throw new SidecarError('connect-refused');
  if (REFUSED_METHODS.has(head.method.toUpperCase())) throw new SidecarError('method-refused');
  const hosts = headerValues(head.headers, 'host');
  if (hosts.length > 1) throw new SidecarError('request-malformed', { detail: 'more than one Host field' });
  const target = parseRequestTarget(head.target);
  switch (target.form) {
    case 'origin':
      return reverse(routes, head);
    case 'absolute':
      return forward(routes, { ...head, target: target.target }, target.origin, hosts[0]);
    case 'authority':
    case 'asterisk':
      throw new SidecarError('request-malformed', { detail: `${target.form}-form target` });
    default:
      throw new SidecarError('internal', { detail: target satisfies never });
  }
}

/**
 * Asks the connector what a request is and where it goes. Errors: whatever the connector refuses, `internal` where it
 * leads elsewhere than the request, `plaintext-refused`.
 */
export function begin({ binding, arrival }: Arrived, now: Date): Placement {
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
  const principal: Principal = agent === undefined ? binding.principal : { agent, attested: 'key' };
  return { binding, handling: begun, principal, origin, head, credentialed };
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
  if (target === undefined) return { binding, arrival: { head, bound: false, basePath: '' } };
  const { origin, basePath } = target;
  if (binding.instance.begin !== undefined) return { binding, arrival: { head, origin, bound: true, basePath } };
  return placed(binding, origin, { ...head, target: basePath + head.target });
}

function forward(routes: HttpRoutes, head: RequestHead, named: Origin, host: string | undefined): Placement | Arrived {
  // RFC 9112 section 3.2.2 lets a proxy ignore Host here; one that disagrees is an attempt to be read twice.
  if (host !== undefined && !hostAgrees(host, named)) throw new SidecarError('host-mismatch');
  const byTarget = routes.reverse?.target;
  if (routes.reverse !== undefined && byTarget !== undefined && sameOrigin(byTarget.origin, named)) {
    const { basePath } = byTarget;
    if (!head.target.startsWith(`${basePath}/`)) throw new SidecarError('no-service');
    if (routes.reverse.instance.begin === undefined) return placed(routes.reverse, named, head);
    const own = { ...head, target: head.target.slice(basePath.length) };
    return { binding: routes.reverse, arrival: { head: own, origin: named, bound: true, basePath } };
  }
  for (const binding of routes.forward) {
    const pattern = binding.patterns.find((candidate) => candidate.matches(named, head.target));
    if (pattern !== undefined) return matched(binding, pattern, named, head);
  }
  const { routing, unmatched } = routes;
  if (routing !== undefined) return arrived(routing, named, head, false);
  if (unmatched === undefined) {
    if (routes.forward.length === 0) throw new SidecarError('request-malformed', { detail: 'absolute-form target' });
    throw new SidecarError('no-service', { detail: formatOrigin(named) });
  }
  return { ...placed(unmatched, named, head), credentialed: false };
}

/** A request that a pattern of the service takes. One that leaves the host open binds it to none. */
function matched(binding: HttpBinding, { wide }: UrlPattern, named: Origin, head: RequestHead): Placement | Arrived {
  if (binding.instance.begin === undefined) return placed(binding, upstreamOrigin(binding, named), head);
  if (named.host === NOWHERE) return { binding, arrival: { head, bound: false, basePath: '' } };
  return arrived(binding, named, head, !wide);
}

function arrived(binding: HttpBinding, named: Origin, head: RequestHead, bound: boolean): Placement | Arrived {
  const origin = binding.forceSSL === true ? secured(named) : named;
  if (binding.instance.begin === undefined) return placed(binding, origin, head);
  return { binding, arrival: { head, origin, bound, basePath: '' } };
}

function placed(binding: HttpBinding, origin: Origin, head: RequestHead): Placement {
  return { binding, handling: binding.instance, principal: binding.principal, origin, head, credentialed: true };
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
