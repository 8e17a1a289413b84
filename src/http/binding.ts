import type { AdmissionContext } from '../admission/admission.ts';
import type { HttpService } from '../connector/connector.ts';
import type { Origin } from '../connector/origin.ts';
import type { CredentialSource } from '../credential/lease.ts';
import type { Principal } from '../policy/request.ts';
import type { Log } from '../telemetry/log.ts';
import type { ServiceMetrics } from '../telemetry/metrics.ts';
import type { Exposure } from './browser.ts';
import type { Dialer } from './dialer.ts';
import type { UpstreamPool } from './engine.ts';
import type { UrlPattern } from './match.ts';
import type { UpstreamTls } from './undici-upstream.ts';

/** One service as a listener serves it: everything an exchange needs, opened and ready. */
export interface HttpBinding {
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly instance: HttpService;
  readonly source: CredentialSource;
  readonly pools: UpstreamPools;
  /** Reverse mode. */
  readonly target: { readonly origin: Origin; readonly basePath: string } | undefined;
  /** Forward-proxy mode. Where there are none and no `target`, the connector finds out where a request goes. */
  readonly patterns: readonly UrlPattern[];
  /** Of one with neither `target` nor `patterns`: whether requests for a host are its own. */
  readonly reaches?: (host: string) => boolean;
  readonly forceSSL: boolean | undefined;
  readonly headersSeconds: number;
  readonly idleSeconds: number;
  readonly connectSeconds: number;
  readonly bodyBytes: number | undefined;
  readonly tls: UpstreamTls;
  /** Opens the connections to the upstream; absent: they are opened without further ado. */
  readonly dialer?: Dialer;
  readonly metrics: ServiceMetrics;
}

/** The pools of one service. */
export interface UpstreamPools {
  /**
   * The pool for an origin under one credential version; the pool of an older version is closed when it is idle.
   * `agent` where the requests prove their agent: each may have credentials of its own.
   */
  to(origin: Origin, version: string, agent?: string): UpstreamPool;
}

/** What one listener address serves. Replaced whole at a reload. */
export interface HttpRoutes {
  /** Serves origin-form requests. */
  readonly reverse: HttpBinding | undefined;
  /** Serve absolute-form requests; the first in order that matches takes it. */
  readonly forward: readonly HttpBinding[];
  /** Takes what neither `reverse` nor `forward` does, in either form: its connector finds out where a request goes. */
  readonly routing: HttpBinding | undefined;
  /** Where absolute-form requests go that nothing matches; undefined: refused. */
  readonly unmatched: HttpBinding | undefined;
  readonly exposure: Exposure;
  /** Services that are reached by their own origin, as `formatOrigin` writes it; of one origin the longest base path first. */
  readonly targets?: ReadonlyMap<string, readonly HttpBinding[]>;
  /** The service that claims the host of an https origin on its own port, where none of `targets` has the origin. */
  readonly claimant?: HttpBinding;
  /**
   * What the connection was opened for (CONNECT, SOCKS, SNI): every request on it is for exactly this origin. Absent:
   * each request names its own.
   */
  readonly authority?: Origin;
  /** True where the TLS handshake of the connection named another host than `authority`: every request is refused. */
  readonly misdirected?: boolean;
  /** Whether an origin may pass through `unmatched`; absent: every one may. */
  readonly passes?: (origin: Origin) => boolean;
  /** True where requests in origin form go to whatever `Host` names, on port 80: connections that were redirected here. */
  readonly byHost?: boolean;
  /** Who is asking, where the connection proved it, or `callers` is not asked; absent: the service's own principal. */
  readonly principal?: Principal;
  /** Asked for each request that names its own origin, where `principal` is absent. */
  readonly callers?: Callers;
}

/** Finds out which agent uses a proxy. */
export interface Callers {
  /** `headers`: flat list with `Proxy-Authorization`, or without. Errors: `proxy-auth-required`. */
  identify(headers: readonly string[]): Principal;
}

/** The parts every exchange uses. */
export interface HttpContext extends AdmissionContext {
  readonly log: Log;
  readonly now: () => Date;
}
