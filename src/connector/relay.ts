import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Credentials } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';
import type { Address, Authorized } from './handshake.ts';

/** A protocol whose whole conversation the connector leads, because much is asked for after the login. */
export interface RelayService<Name extends string = string> {
  /**
   * Leads one connection, from its first byte until both sides are over, and says how it ended. What it throws ends the
   * connection without a word. Before it resolves it has ended all that it was given by `dial`.
   */
  relay(connection: RelayConnection<Name>): Promise<RelayEnd>;
  /**
   * Leads through this service's upstream to another address, for a service that names this one as its way: logs in
   * like `relay`, and resolves with the bytes of the connection behind it. Closed with `signal` of the connection.
   * Absent: it is no way to anywhere.
   */
  reach?(passage: RelayPassage<Name>, address: Address): Promise<Duplex>;
  /**
   * Whether an agent that has proven itself (`RelayConnection.prove`) would be known still: asked of the service in
   * effect after a reload, and its running connections end where it is not. Absent: it is.
   */
  knows?(agent: string): boolean;
  close?(): void;
}

/** How a connection ended. */
export interface RelayEnd {
  /** Why it failed or was refused, for the log and the ledger; absent where all went as it should. */
  readonly error?: SidecarError;
  /** Bytes of what was carried, without the protocol around it. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** What leads upstream and what is known of whoever asks: enough for a way through (`RelayService.reach`). */
export interface RelayPassage<Name extends string = string> {
  /** Correlation id: in every error that the downstream hears, in the log and in the ledger. */
  readonly id: string;
  readonly service: string;
  readonly agent: string;
  /** The connection must be over at once; its reason is a `SidecarError`. */
  readonly signal: AbortSignal;
  /** Seconds for the upstream's side of a login, once it is connected. */
  readonly loginSeconds: number;
  /**
   * Policy, lease and ledger, in this order. May be asked more than once; each answer is a permission of its own.
   * `upstream` names for the ledger where the credentials lead: `ssh://db.internal:22`. Errors: those of policy and of
   * providers, `ledger-unavailable`, `draining` and the like.
   */
  authorize(facts: Facts, upstream: (credentials: Credentials<NoInfer<Name>>) => string): Promise<Loan<Name>>;
  /**
   * The upstream refused the credential of a loan: asks the providers again where it came from a cache. Undefined where
   * there is no other to be had; the loan before it is released otherwise.
   */
  reauthorize(loan: Loan<Name>): Promise<Loan<Name> | undefined>;
  /**
   * Connects, directly or by way of another service's upstream (`via`); policy is asked about that service too. Refused
   * before `authorize`. Errors: `upstream-unreachable`, `connections-exhausted`; on the way those of that service.
   */
  dial(address: Address, via?: string): Promise<Duplex>;
  /**
   * The connector itself refused something that policy was not asked about: on record like a refusal of policy's.
   * Resolves always; the downstream hears of it after that.
   */
  refused(facts: Facts, error: SidecarError): Promise<void>;
  /** So many bytes were read from either side and are left to be collected: they are, in time. */
  passed(bytes: number): void;
}

/** One accepted connection. */
export interface RelayConnection<Name extends string = string> extends RelayPassage<Name> {
  /** Half open: its `end` is for the connector to act on; where it is closed `signal` aborts. */
  readonly downstream: Duplex;
  /** Seconds for the downstream's side of a login. */
  readonly headerSeconds: number;
  /** Seconds in which neither side says anything; 0: no limit. */
  readonly idleSeconds: number;
  /** The connection should end as soon as nothing is in progress; its reason is a `SidecarError`. */
  readonly ending: AbortSignal;
  /** Why it is not to be served: said in the protocol in place of everything else. `authorize` throws it too. */
  readonly refusal: SidecarError | undefined;
  /** Names of all services of the listener, this one's included, in alphabetical order. */
  readonly services: readonly string[];
  /** The sidecar's own ed25519 key, made once and kept in its state folder. */
  hostKey(): Promise<KeyObject>;
  /** Says which agent the downstream proved to be, in place of whoever the listener belongs to. Before `authorize`. */
  prove(agent: string, by: 'key' | 'token'): void;
  /**
   * From here on the connection is of another service of its listener: its policy, credentials, limits, name. Before
   * `authorize`. Its instance, which is of the same connector; undefined where the listener has no such service.
   */
  choose(service: string): RelayService | undefined;
  /** Policy and ledger for something that needs no further credential. Errors: as `authorize`. */
  admit(facts: Facts): Promise<Permission>;
  /**
   * Whether a person says yes: runs `program` with the question as its last argument, as OpenSSH runs an askpass
   * (`SSH_ASKPASS_PROMPT=confirm`); exit status 0 within `seconds` is the only yes.
   */
  confirm(program: readonly string[], question: string, seconds: number): Promise<boolean>;
  /** The login is over, from here on the connection works: measured as the time that the sidecar takes. */
  working(): void;
  /** For the operator's eyes; no secret, no text of either side. */
  warn(message: string): void;
}

/** What policy said yes to; looked at again while it lasts, and the connection is ended where it would be a no. */
export interface Permission {
  /** It is over, at the latest with the connection; in the ledger with what became of it. Idempotent. */
  end(outcome?: Outcome): void;
}

export interface Outcome {
  /** Exit status of a program. */
  readonly status?: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** A permission that comes with credentials. */
export interface Loan<Name extends string = string> extends Authorized<Name>, Permission {
  /** Gives the credentials back; the permission goes on. Idempotent. */
  release(): void;
}
