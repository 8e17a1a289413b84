/**
 * The events of the ledger: one fact each that an auditor may ask about, one JSON line each.
 *
 * | field | in | meaning |
 * |---|---|---|
 * | `time` | all | when the event was handed to the ledger: RFC 3339, UTC, milliseconds |
 * | `seq` | all | number of the line; rises by one, never used twice, survives restarts and rotation |
 * | `type` | all | see the union `LedgerEvent` |
 * | `id` | all but `ledger.*` | correlation id of the exchange, connection or run of the sidecar |
 * | `service`, `connector` | uses | the service asked for and its connector |
 * | `listener` | `connection.closed` | the address that accepted |
 * | `principal` | uses | who asked: `agent`, `tenant`, `run`, `tool`, `attested`, `attributes` |
 * | `rule` | uses | id of the rule that decided; absent where no rules are configured |
 * | `result` | uses, `config.reloaded` | `allow`, `deny`, `error`; a reload: `ok`, `error` |
 * | `reason` | any | why, in words or as an error code |
 * | `upstream` | uses | origin the use goes to |
 * | `method`, `path` | uses | of the request; the path without query, since queries may hold secrets |
 * | `database` | uses | that a login asked for, or was given |
 * | `request` | uses | what is asked for over SSH, or of an agent that signs: see `SshRequest` |
 * | `user` | uses | who it is upstream |
 * | `command` | uses | that runs there, or the name of a subsystem, as printable text; see below |
 * | `destination` | uses | where a forward, listen or jump leads; of a signature what it is for: the fingerprint of a host key, a namespace |
 * | `forwarded` | uses | true where a host on the way asked for a signature |
 * | `delivery` | uses | `value`: the credential itself was handed over; absent: it never left the sidecar but towards the upstream |
 * | `status` | `exchange.ended` | HTTP status sent downstream, or exit status of a command |
 * | `exchanges` | `connection.closed` | exchanges on this connection, or things allowed on a relay |
 * | `bytesUp`, `bytesDown` | ends | body or stream bytes towards the upstream and back |
 * | `ms` | ends | duration in milliseconds |
 * | `credentials` | `decision` | version of each credential lent, by name; never a value |
 * | `count` | `decision` | this line stands for so many refusals, folded; see below |
 * | `version`, `services` | `sidecar.started`, `config.reloaded` | version of the sidecar, number of services |
 * | `previous` | `ledger.rotated` | `seq` and `hash` of the last line of the file before |
 * | `lost` | `ledger.recovered` | `first` and `last` seq of lines that are no longer there; `verify` reports them |
 * | `removedBytes` | `ledger.recovered` | length of an unfinished last line that was cut off; nobody was told it was recorded |
 * | `since` | `ledger.recovered` | when the ledger stopped being writable |
 * | `refused`, `dropped` | `ledger.recovered` | since then: uses refused, and ends that found the queue full |
 * | `prev` | all | SHA-256 of the line before, without its newline, in hex; 64 zeros on line 1 |
 *
 * **Printable text.** In `command`, `user` and `destination` control and format characters, line separators and bytes that
 * are not UTF-8 are written as `\xNN`, one a byte; a backslash that would read as one of those is `\x5c`.
 *
 * **Long texts** are cut: a `path`, `command`, `reason` or `upstream` over 512 bytes to its first 400 characters, a `method` over 32
 * bytes to 32, any other over 256 bytes (in `principal` 128) to 200 (100); then `…`, `sha256:` and 12 hex digits of the whole.
 *
 * **Folded refusals.** Of the refusals (`decision` with `deny` or `error`) that have connection (`id` up to `-`), service,
 * principal, rule, result and reason in common, the first 20 in one second have a line each. At the end of that second,
 * one more line with `count` stands for all others; its `id` and all that was asked for are those of the last.
 * What is allowed is never folded.
 */
import type { Principal, SshRequest } from '../policy/request.ts';

/** What every use tells of itself. */
interface Use {
  readonly id: string;
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly rule?: string | undefined;
  readonly result: 'allow' | 'deny' | 'error';
  readonly reason?: string | undefined;
  readonly upstream?: string | undefined;
  readonly method?: string | undefined;
  /** Whatever follows `?` or `#` is left out of the line. */
  readonly path?: string | undefined;
  readonly database?: string | undefined;
  readonly request?: SshRequest | undefined;
  readonly user?: string | undefined;
  readonly command?: string | undefined;
  readonly destination?: string | undefined;
  readonly forwarded?: true | undefined;
  readonly delivery?: 'value' | undefined;
}

/** In the ledger before the credential leaves. */
export interface DecisionEvent extends Use {
  readonly type: 'decision';
  /** Version by credential name. */
  readonly credentials?: Readonly<Record<string, string>> | undefined;
  /** Refusals that this line stands for; absent: one. Set by the ledger itself. */
  readonly count?: number | undefined;
}

/** One HTTP exchange, or one thing admitted on a relay, is over. */
export interface ExchangeEndedEvent extends Use {
  readonly type: 'exchange.ended';
  readonly status?: number | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly ms: number;
}

/** One downstream connection is over. It may end before any service is known. */
export interface ConnectionClosedEvent extends Partial<Omit<Use, 'id' | 'rule' | 'method' | 'path'>> {
  readonly type: 'connection.closed';
  readonly id: string;
  readonly listener?: string | undefined;
  readonly exchanges?: number | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly ms: number;
}

export interface SidecarStartedEvent {
  readonly type: 'sidecar.started';
  readonly id: string;
  readonly version: string;
  readonly services?: number | undefined;
}

export interface SidecarStoppedEvent {
  readonly type: 'sidecar.stopped';
  readonly id: string;
  readonly reason?: string | undefined;
}

export interface ConfigReloadedEvent {
  readonly type: 'config.reloaded';
  readonly id: string;
  /** `error`: the old configuration runs on. */
  readonly result: 'ok' | 'error';
  readonly reason?: string | undefined;
  readonly services?: number | undefined;
}

/** Written by the ledger itself. */
export interface LedgerRecoveredEvent {
  readonly type: 'ledger.recovered';
  readonly reason: string;
  readonly lost?: { readonly first: number; readonly last: number } | undefined;
  readonly removedBytes?: number | undefined;
  readonly since?: string | undefined;
  readonly refused?: number | undefined;
  readonly dropped?: number | undefined;
}

/** Written by the ledger itself, as the first line of a new file. */
export interface LedgerRotatedEvent {
  readonly type: 'ledger.rotated';
  readonly previous: { readonly seq: number; readonly hash: string };
}

/** What the sidecar hands to the ledger. */
export type LedgerEvent =
  | DecisionEvent
  | ExchangeEndedEvent
  | ConnectionClosedEvent
  | SidecarStartedEvent
  | SidecarStoppedEvent
  | ConfigReloadedEvent;

/** What a line may hold. */
export type RecordedEvent = LedgerEvent | LedgerRecoveredEvent | LedgerRotatedEvent;
