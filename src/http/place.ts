import { headerValues, type RequestHead } from '../connector/head.ts';
import { defaultPort, formatOrigin, sameOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { hostAgrees, isLoopback } from './authority.ts';
import type { HttpBinding, HttpRoutes } from './binding.ts';
import { refuseBrowsers } from './browser.ts';
import { parseRequestTarget } from './target.ts';

/** Where one request goes and on whose account. `head.target` is what the upstream will see. */
export interface Placement {
  readonly binding: HttpBinding;
  readonly origin: Origin;
  readonly head: RequestHead;
  /** False for a request that passes without a credential (`unmatched: pass`). */
  readonly credentialed: boolean;
}

/** Methods that echo or tunnel (RFC 9110 sections 9.3.6 and 9.3.8; TRACK is an old TRACE). */
const REFUSED_METHODS: ReadonlySet<string> = new Set(['TRACE', 'TRACK', 'CONNECT']);

/**
 * Finds the one authority of a request and the service bound to it. Everything that names a host must agree with it.
 * Errors: `method-refused`, `connect-refused`, `request-malformed`, `host-mismatch`, `absolute-form-required`,
 * `no-service`, `plaintext-refused`, `origin-refused`.
 */
export function place(routes: HttpRoutes, head: RequestHead): Placement {
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

function reverse(routes: HttpRoutes, head: RequestHead): Placement {
  const binding = routes.reverse;
  if (binding?.target === undefined) throw new SidecarError('absolute-form-required');
  const { origin, basePath } = binding.target;
  refuseBrowsers(routes.exposure, head, origin);
  return { binding, origin, head: { ...head, target: basePath + head.target }, credentialed: true };
}

function forward(routes: HttpRoutes, head: RequestHead, named: Origin, host: string | undefined): Placement {
  // RFC 9112 section 3.2.2 lets a proxy ignore Host here; one that disagrees is an attempt to be read twice.
  if (host !== undefined && !hostAgrees(host, named)) throw new SidecarError('host-mismatch');
  const byTarget = routes.reverse?.target;
  if (routes.reverse !== undefined && byTarget !== undefined && sameOrigin(byTarget.origin, named)) {
    if (!head.target.startsWith(`${byTarget.basePath}/`)) throw new SidecarError('no-service');
    return { binding: routes.reverse, origin: named, head, credentialed: true };
  }
  const binding = routes.forward.find((candidate) =>
    candidate.patterns.some((pattern) => pattern.matches(named, head.target)),
  );
  if (binding !== undefined) return { binding, origin: upstreamOrigin(binding, named), head, credentialed: true };
  if (routes.unmatched === undefined) {
    if (routes.forward.length === 0) throw new SidecarError('request-malformed', { detail: 'absolute-form target' });
    throw new SidecarError('no-service', { detail: formatOrigin(named) });
  }
  return { binding: routes.unmatched, origin: named, head, credentialed: false };
}

/** The client of a forward proxy writes `http://`; `forceSSL` says whether the credential may travel like that. */
function upstreamOrigin(binding: HttpBinding, named: Origin): Origin {
  if (named.scheme === 'https') return named;
  if (binding.forceSSL === true) {
    return { scheme: 'https', host: named.host, port: named.port === defaultPort('http') ? 443 : named.port };
  }
  // A name under .localhost may be any address: some resolvers ask DNS for it.
  const stays = isLoopback(named.host) && !named.host.endsWith('.localhost');
  if (binding.forceSSL === false || stays) return named;
  throw new SidecarError('plaintext-refused', { detail: formatOrigin(named) });
}
