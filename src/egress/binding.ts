import type { Interception } from '../certificate/interception.ts';
import type { HttpContext } from '../http/binding.ts';
import type { Dialer } from '../http/dialer.ts';
import type { HttpHandler } from '../http/front.ts';
import type { AccessRequest, Principal } from '../policy/request.ts';
import type { TokenCallers } from './callers.ts';

/** What a listener serves just now that opens tunnels. */
export interface TunnelHandler extends HttpHandler {
  readonly context: TunnelContext;
  readonly tunnelling: Tunnelling;
}

export interface TunnelContext extends HttpContext {
  readonly policy: HttpContext['policy'] & { permits(request: AccessRequest): boolean };
}

/** What tunnels need besides the routes. */
export interface Tunnelling {
  /** Opened at the first use, where nothing needed it before. */
  readonly interception: () => Promise<Interception>;
  /** For what passes untouched. */
  readonly dialer: Dialer;
  /**
   * Tells proofs of one agent apart: once it is another, nobody holds what was proven before. Undefined for agents
   * without a token.
   */
  readonly proofOf: (agent: string) => string | undefined;
}

/** What an egress listener serves just now. */
export interface EgressHandler extends TunnelHandler {
  readonly mode: 'proxy' | 'transparent';
  readonly callers: TokenCallers;
}

/** Where somebody wants to be led. */
export interface Asked {
  /** As `parseHost` returns it. */
  readonly host: string;
  readonly port: number;
  /** Absent: whoever may use the listener. */
  readonly principal: Principal | undefined;
}

/** Seconds. */
export interface TunnelLimits {
  /** For the first bytes of a tunnel that passes untouched, a handshake, a login. */
  readonly headerSeconds: number;
  /** For the first byte of a tunnel that ends here. */
  readonly keepAliveSeconds: number;
}
