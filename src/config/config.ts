import type { Origin } from '../connector/origin.ts';
import type { Rule } from '../policy/rules.ts';

/** A validated configuration: everything defaulted, parsed and named as the catalog names it. */
export interface Config {
  readonly services: readonly ServiceConfig[];
  /** Named stores; the plain provider names exist besides, with their standard options. */
  readonly providers: Readonly<Record<string, ProviderConfig>>;
  /** Undefined: each listener may use its own services and nothing else. */
  readonly rules: readonly Rule[] | undefined;
  readonly ledger: LedgerConfig;
  readonly control: { readonly socket: string };
  readonly telemetry: TelemetryConfig;
  readonly limits: LimitsConfig;
}

export interface ServiceConfig {
  readonly name: string;
  /** Canonical connector name (folder), whatever alias the file used. */
  readonly connector: string;
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
