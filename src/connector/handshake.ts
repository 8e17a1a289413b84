import type { Credentials } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';

/**
 * A login as straight-line code that pauses at every step. It never touches a socket: the driver performs each step and
 * resumes the generator with the answer, or throws a `SidecarError` into it. So the same login runs on sockets, and
 * in tests on a transcript (`Playbook`).
 */
export type Handshake = Asking<Handover>;

/** A piece of a login that ends with a `Result`; run it with `yield*`. */
export type Asking<Result> = Generator<Step, Result, unknown>;

export type Side = 'downstream' | 'upstream';

/** One thing a login asks of the world. */
export type Step =
  /** Exactly `count` bytes. Errors: `downstream-closed`, `upstream-closed`, `login-timeout`, `upstream-timeout`. */
  | { readonly do: 'read'; readonly side: Side; readonly count: number }
  /** As `read`, and the bytes stay unread. */
  | { readonly do: 'peek'; readonly side: Side; readonly count: number }
  /** How many bytes have arrived and are unread; waits for nothing. */
  | { readonly do: 'unread'; readonly side: Side }
  /** Waits until the side ends; what it still sends is thrown away. Same errors as `read`, the end apart. */
  | { readonly do: 'readEnd'; readonly side: Side }
  /** `secret`: the bytes are overwritten once they are sent. A side that is gone takes everything in silence. */
  | { readonly do: 'write'; readonly side: Side; readonly data: Uint8Array; readonly secret?: true }
  /** Policy, lease and ledger, in this order. Errors: those of policy and of providers, `draining` and the like. */
  | { readonly do: 'authorize'; readonly facts: Facts; readonly upstream: (credentials: Credentials) => string }
  /**
   * The upstream refused the credential: asks the providers again where it came from a cache. Undefined where there
   * is no other to be had.
   */
  | { readonly do: 'reauthorize' }
  /** Connects; a connection dialled before is closed. Refused before `authorize`. Errors: `upstream-unreachable`. */
  | { readonly do: 'dial'; readonly address: Address }
  /**
   * Errors: `upstream-tls`, `downstream-protocol`. While plaintext is unread: `upstream-protocol`, `downstream-protocol`.
   * On a side that nothing was read from and nothing written to, what is unread is the beginning of TLS itself.
   */
  | { readonly do: 'startTls'; readonly side: 'upstream'; readonly options: TlsClientOptions }
  | { readonly do: 'startTls'; readonly side: 'downstream'; readonly options: TlsServerOptions }
  /** Work that takes long, off the event loop. */
  | { readonly do: 'compute'; readonly work: () => Promise<unknown> }
  /** While this connection lives, others of the same service find `value` and its upstream under `key`. */
  | { readonly do: 'remember'; readonly key: Uint8Array; readonly value: unknown }
  /**
   * What a living connection of the same service remembered under `key`; undefined: nothing, or too many ask at once.
   * From then on `dial` may reach the very address of that connection, and no other.
   */
  | { readonly do: 'recall'; readonly key: Uint8Array };

/** `host` is a name or an IP literal without brackets. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** An address as connected to: names are resolved. */
export type Peer = Address;

export interface TlsClientOptions {
  /** Sent as SNI where it is a name; verified where `verify` is `full`. */
  readonly servername?: string;
  /** `chain`: signed by an authority, whatever the name; `full`: the name too. */
  readonly verify: 'none' | 'chain' | 'full';
  /** PEM of the authorities to trust; `system`: those of the operating system; absent: those that Node brings. */
  readonly ca?: string;
  /** PEM of the client certificate with its chain. */
  readonly certificate?: string;
  /** PEM of the client key; overwritten once the session has it. */
  readonly key?: Buffer;
  readonly alpn?: readonly string[];
}

export interface TlsServerOptions {
  /** PEM with its chain; absent: the sidecar's own, self-signed for `localhost`. */
  readonly identity?: { readonly certificate: string; readonly key: string };
  readonly alpn?: readonly string[];
}

/** What a TLS session turned out to be. */
export interface TlsFacts {
  /** Protocol agreed on by ALPN (RFC 7301). */
  readonly alpn: string | undefined;
  /** DER of the other side's certificate. */
  readonly peerCertificate: Buffer | undefined;
}

/** Credentials on loan for one login. */
export interface Authorized<Name extends string = string> {
  readonly credentials: Credentials<Name>;
  /** Changes when any credential changes. */
  readonly version: string;
}

/** What follows a login. */
export type Handover = Close | Splice;

/** The connection ends. `error`: why, for the log and the ledger; absent where all went as it should (a cancel). */
export interface Close {
  readonly then: 'close';
  readonly error?: SidecarError;
}

/** Bytes are copied both ways, unread, until both sides have ended. */
export interface Splice {
  readonly then: 'splice';
  /** Seconds after which the connection is ended as soon as it rests; absent: never. */
  readonly ageSecondsMax?: number;
  /**
   * Whether an upstream that has just sent a chunk with this end waits for a new command. Absent: a connection whose
   * permission ends is cut at once.
   */
  readonly restsAfter?: (chunk: Uint8Array) => boolean;
  /** What the downstream hears when its connection is ended at rest: `grant-ended`, `connection-aged`, `draining`. */
  readonly farewell?: (error: SidecarError) => Uint8Array;
}

/** What a login may know of its connection. */
export interface StreamContext<Name extends string = string> {
  /** Correlation id: in every error that the downstream hears, in the log and in the ledger. */
  readonly id: string;
  readonly service: string;
  /** `upstream` names for the ledger where the credentials lead: `postgres://db.internal:5432`. */
  authorize(facts: Facts, upstream: (credentials: Credentials<NoInfer<Name>>) => string): Asking<Authorized<Name>>;
  reauthorize(): Asking<Authorized<Name> | undefined>;
}

export function* read(side: Side, count: number): Asking<Buffer> {
  return (yield { do: 'read', side, count }) as Buffer;
}

export function* peek(side: Side, count: number): Asking<Buffer> {
  return (yield { do: 'peek', side, count }) as Buffer;
}

export function* unread(side: Side): Asking<number> {
  return (yield { do: 'unread', side }) as number;
}

export function* readEnd(side: Side): Asking<void> {
  yield { do: 'readEnd', side };
}

export function* write(side: Side, data: Uint8Array): Asking<void> {
  yield { do: 'write', side, data };
}

/** The bytes are overwritten once they are sent. */
export function* writeSecret(side: Side, data: Uint8Array): Asking<void> {
  yield { do: 'write', side, data, secret: true };
}

export function* dial(address: Address): Asking<Peer> {
  return (yield { do: 'dial', address }) as Peer;
}

export function* startUpstreamTls(options: TlsClientOptions): Asking<TlsFacts> {
  return (yield { do: 'startTls', side: 'upstream', options }) as TlsFacts;
}

export function* startDownstreamTls(options: TlsServerOptions): Asking<TlsFacts> {
  return (yield { do: 'startTls', side: 'downstream', options }) as TlsFacts;
}

export function* compute<Result>(work: () => Promise<Result>): Asking<Result> {
  return (yield { do: 'compute', work }) as Result;
}

export function* remember(key: Uint8Array, value: unknown): Asking<void> {
  yield { do: 'remember', key, value };
}

export function* recall(key: Uint8Array): Asking<unknown> {
  return yield { do: 'recall', key };
}

/** A context whose steps the driver performs. */
export function streamContext<Name extends string>(id: string, service: string): StreamContext<Name> {
  return {
    id,
    service,
    *authorize(facts, upstream) {
      return (yield {
        do: 'authorize',
        facts,
        upstream: upstream,
      }) as Authorized<Name>;
    },
    *reauthorize() {
      return (yield { do: 'reauthorize' }) as Authorized<Name> | undefined;
    },
  };
}
