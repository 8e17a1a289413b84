import type { Origin } from '../connector/origin.ts';
import type { Rule } from '../policy/rules.ts';

/** A validated configuration: everything defaulted, parsed and named as the catalog names it. */
export interface Config {
  readonly services: readonly ServiceConfig[];
  /** Named stores; the plain provider names exist besides, with their standard options. */
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  /** Undefined: each listener may use its own services and nothing else. */
  readonly rules: readonly Rule[] | undefined;
  /** Where clients reach services by the upstream's own URL; undefined: nowhere. */
  readonly egress: EgressConfig | undefined;
  /** Who may be asking besides whoever a listener belongs to, and how each proves it. */
  readonly agents: Readonly<Record<string, AgentConfig>>;
  readonly ledger: LedgerConfig;
  readonly control: { readonly socket: string };
  readonly telemetry: TelemetryConfig;
  readonly limits: LimitsConfig;
}

export interface ServiceConfig {
  readonly name: string;
  /** Canonical connector name (folder), whatever alias the file used. */
  readonly connector: string;
  /** Empty for a service that is reached through `egress`, or that others lead through. */
  readonly listenOn: readonly ListenAddress[];
  /** Principal of whoever connects; default `local`. */
  readonly agent: string;
  readonly credentials: Readonly<Record<string, CredentialReference>>;
  /** The connector's own part, validated against its schema. */
  readonly config: unknown;
  /** Reverse mode: where this listener forwards to. Absent: forward-proxy mode, see `match`. */
  readonly target?: Target;
  /** Forward-proxy mode: `authenticateURLsMatching`, as written. */
  readonly match: readonly string[];
  /** Undefined where the file does not say. */
  readonly forceSSL?: boolean;
  /** Forward-proxy mode: what happens to a request that no service of the address matches. */
  readonly unmatched: 'deny' | 'pass';
  /**
   * HTTP/2 with the upstream. `auto`: for agents that speak it themselves, where the upstream offers it by ALPN;
   * `always`: for every agent, in clear too (RFC 9113 section 3.3); `never`.
   */
  readonly http2: 'auto' | 'always' | 'never';
  readonly tls: TlsConfig;
  readonly timeouts: TimeoutsConfig;
  readonly limits: ServiceLimits;
  /** Seconds a lease may be reused; 0: fresh for each use. */
  readonly cacheSeconds: number;
  /** Mode bits of its Unix sockets. */
  readonly socketMode: number;
}

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** `tcp://host:port` or `unix:///path`: the key under which services share a listener. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

export interface Target {
  readonly origin: Origin;
  /** Path put before the request's path; empty, or begins with `/` and does not end with one. */
  readonly basePath: string;
}

export interface CredentialReference {
  /** Provider name, or a name from top-level `providers`. */
  readonly from: string;
  readonly get: string;
  /** Which one of what the fetch brings, where that is several. */
  readonly field?: string;
}

export interface ProviderConfig {
  readonly type: string;
  readonly options: unknown;
}

export interface TlsConfig {
  /** PEM text of the authorities trusted instead of the system's. */
  readonly ca?: string;
  readonly certificate?: string;
  /** PEM text of the client key: comes from a file named in the configuration. */
  readonly key?: CredentialReference;
  /** Name to verify and to send as SNI, where it is not the host. */
  readonly servername?: string;
}

/** Seconds. */
export interface TimeoutsConfig {
  /** TCP and TLS handshake with the upstream. */
  readonly connectSeconds: number;
  /** Upstream: request sent → response head; of a stream, all that it says during one login. */
  readonly headersSeconds: number;
  /** Neither side sent a byte. 0, the default of streams: no limit. */
  readonly idleSeconds: number;
  /** One provider fetch. */
  readonly credentialSeconds: number;
}

export interface ServiceLimits {
  /** Connections to one upstream origin, or of a stream service at a time; `Infinity`, the default of those: no limit. */
  readonly upstreamConnections: number;
  /** Bytes of a request body; undefined: no limit. */
  readonly bodyBytes?: number;
}

export interface LedgerConfig {
  readonly file: string;
  /** `write`: survives the end of the process; `fsync`: survives the end of the machine. */
  readonly durability: 'write' | 'fsync';
  readonly rotateBytes: number;
  /** Rotated files kept. */
  readonly keep: number;
}

export interface TelemetryConfig {
  /** Undefined: off. */
  readonly listenOn: ListenAddress | undefined;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' };
}

export interface LimitsConfig {
  /** Open downstream connections of one listener. */
  readonly connections: number;
  readonly headerBytes: number;
  /** Seconds for a downstream to send a request head. */
  readonly headerSeconds: number;
  /** Seconds a downstream connection may rest between exchanges. */
  readonly keepAliveSeconds: number;
  /** Seconds for a whole request to arrive; 0: no limit, so that long uploads work. */
  readonly requestSeconds: number;
  /** Seconds that running work gets after SIGTERM. */
  readonly drainSeconds: number;
}

/** A proxy that clients are pointed at, or led to, and that finds the service by where a request goes. */
export interface EgressConfig {
  readonly listenOn: readonly ListenAddress[];
  /** `proxy`: CONNECT, absolute-form requests and SOCKS5. `transparent`: connections redirected from ports 80 and 443. */
  readonly mode: 'proxy' | 'transparent';
  /** What happens to origins that have no service and are not in `allow`. */
  readonly unmatched: 'deny' | 'pass';
  /** Pass untouched: never decrypted, without a credential. */
  readonly allow: readonly OriginPattern[];
  /** CIDR blocks on top of the built-in set that no name may lead to, and those taken out of it. */
  readonly addresses: { readonly deny: readonly string[]; readonly reach: readonly string[] };
  /** Addresses (IP literals) of names, in place of DNS; the operator's own word, so not held against the deny set. */
  readonly resolve: Readonly<Record<string, string>>;
  readonly upstreamProxy?: UpstreamProxyConfig;
  /** Principal of whoever shows no token; undefined: a token is asked for where any agent has one, else it is `local`. */
  readonly agent?: string;
  readonly ca: {
    /** `memory`: a new one with each process. `folder`: kept in the state folder, the key with mode 0600. */
    readonly store: 'memory' | 'folder';
    /** Domains that certificates may be issued below (RFC 5280 section 4.2.1.10); empty: any. */
    readonly names: readonly string[];
  };
  /** Mode bits of its Unix sockets. */
  readonly socketMode: number;
}

/** `https://api.example.com`, `https://*.example.com:8443`. */
export interface OriginPattern extends Origin {
  /** True where any name below `host` is meant, and not `host` itself. */
  readonly below: boolean;
}

/** A proxy between this sidecar and the world. */
export interface UpstreamProxyConfig {
  readonly origin: Origin;
  readonly username?: CredentialReference;
  readonly password?: CredentialReference;
  /** True where it resolves the names, not the sidecar: addresses of names cannot be checked then. */
  readonly resolves: boolean;
}

export interface AgentConfig {
  /** What it shows to prove who it is. */
  readonly token?: CredentialReference;
}
