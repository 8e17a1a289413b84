import { defaultPort, formatOrigin, type Origin } from '../connector/origin.ts';
import type { HttpRoutes } from '../http/binding.ts';
import { claimantOf } from '../http/place.ts';

/** What is done with a tunnel, by what comes through it. Decided before any name is resolved. */
export interface Plan {
  /** Of TLS: `intercept` where a service gets the requests, `splice` where it passes untouched; undefined: refused. */
  readonly tls: 'intercept' | 'splice' | undefined;
  /** True where the configuration does not name the host, so that clients may come up with any number of them. */
  readonly open: boolean;
  /** Whether requests in clear are taken. */
  readonly clear: boolean;
}

/** Undefined where neither is. `host`: as `parseHost` returns it. */
export function planOf(routes: HttpRoutes, host: string, port: number): Plan | undefined {
  const secure: Origin = { scheme: 'https', host, port };
  const plain: Origin = { scheme: 'http', host, port };
  const tls = serves(routes, secure) ? 'intercept' : lets(routes, secure) ? 'splice' : undefined;
  const clear = serves(routes, plain) || lets(routes, plain);
  return tls === undefined && !clear ? undefined : { tls, open: !isNamed(routes, secure), clear };
}

/** Whether some request to the origin may be a service's. */
function serves(routes: HttpRoutes, origin: Origin): boolean {
  const { targets, forward } = routes;
  if (targets?.has(formatOrigin(origin)) === true || claimantOf(routes, origin) !== undefined) return true;
  return forward.some(({ patterns }) => patterns.some((pattern) => pattern.mayMatch(origin)));
}

function isNamed({ targets, forward }: HttpRoutes, origin: Origin): boolean {
  if (targets?.has(formatOrigin(origin)) === true) return true;
  return forward.some(({ patterns }) => patterns.some((pattern) => !pattern.wide && pattern.mayMatch(origin)));
}

/** Whether what has no service passes: on the usual ports, unless the routes say exactly what does. */
function lets({ unmatched, passes }: HttpRoutes, origin: Origin): boolean {
  if (unmatched === undefined) return false;
  return passes === undefined ? origin.port === defaultPort(origin.scheme) : passes(origin);
}
