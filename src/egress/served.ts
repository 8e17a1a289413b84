import type { Origin } from '../connector/origin.ts';
import type { HttpRoutes } from '../http/binding.ts';
import type { HttpHandler } from '../http/front.ts';
import type { Principal } from '../policy/request.ts';
import type { TunnelHandler } from './binding.ts';

/** What the requests of a tunnel are for, and who sends them. */
export interface Ending {
  readonly authority: Origin;
  readonly principal: Principal | undefined;
  /** True where its TLS named another host. */
  readonly misdirected: boolean;
}

/** What the proof of a principal was made with; undefined for one that needs none. */
export function proofOf(handler: TunnelHandler, principal: Principal | undefined): string | undefined {
  return principal?.attested === 'token' ? handler.tunnelling.proofOf(principal.agent) : undefined;
}

/** What serves the requests of a tunnel that ends here: the listener's present routes, for one authority. */
export function servedBy(current: () => TunnelHandler, ending: Ending): () => HttpHandler {
  const proof = proofOf(current(), ending.principal);
  let of: TunnelHandler | undefined;
  let served: HttpHandler | undefined;
  return () => {
    const handler = current();
    if (served !== undefined && handler === of) return served;
    of = handler;
    const revoked = proofOf(handler, ending.principal) !== proof;
    const { context, routes } = handler;
    // No tunnel in a tunnel.
    served = {
      context,
      routes: routesOf(routes, ending, revoked),
      enter: () => handler.enter(),
      leave: () => handler.leave(),
    };
    return served;
  };
}

function routesOf(given: HttpRoutes, { authority, principal, misdirected }: Ending, revoked: boolean): HttpRoutes {
  const { callers: _, ...routes } = revoked ? nothing(given) : given;
  return { ...routes, byHost: false, authority, misdirected, ...(principal === undefined ? {} : { principal }) };
}

/** Who asks was proven with a token that is good no more. */
function nothing({ exposure }: HttpRoutes): HttpRoutes {
  return {
    reverse: undefined,
    forward: [],
    routing: undefined,
    unmatched: undefined,
    exposure,
    targets: new Map(),
  };
}
