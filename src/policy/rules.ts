import type { Delivery } from './request.ts';

/** One line of policy, as the configuration writes it. An absent selector matches everything. */
export interface Rule {
  readonly id: string;
  readonly effect: 'allow' | 'deny';
  /** Selectors: names with `*` for any run of characters. */
  readonly agents?: readonly string[];
  readonly services?: readonly string[];
  /** HTTP methods, case-sensitive (RFC 9110 section 9.1). GET of a deny rule stands for HEAD too. */
  readonly methods?: readonly string[];
  /** Path patterns: segments literal or with `*` inside one segment; `**` = any number of segments. */
  readonly paths?: readonly string[];
  /** Upstream hosts: a name, an IP literal, or `*.` and a name for its subdomains. */
  readonly hosts?: readonly string[];
  /** Names of databases, case-sensitive, `*` for any run of characters. */
  readonly databases?: readonly string[];
  /** What the program calls itself, likewise. Its own claim: fit to narrow what is allowed, not to keep anybody out. */
  readonly applications?: readonly string[];
  /** Logins that ask for a replication stream, or those that do not. */
  readonly replication?: boolean;
  /** Requests to Amazon Web Services; each list must match where it is written. */
  readonly aws?: AwsSelector;
  /** What is asked for over SSH. */
  readonly ssh?: SshSelector;
  /**
   * Of an allow rule: covers requests whose answer holds a credential too, which no other rule allows. Of a deny rule:
   * narrows it to those, and is never false.
   */
  readonly returnsCredentials?: boolean;
  /** How credentials may be delivered. Absent, of an allow rule: `inject` alone; of a deny rule: in any way. */
  readonly deliver?: readonly Delivery[];
  readonly time?: TimeWindow;
  readonly rate?: { readonly perMinute: number };
}

/**
 * At least one list of names with `*` for any run of characters, case-sensitive. A request that lacks the fact does not
 * match an allow rule; what it matches of a deny rule is told in `decide.ts`.
 */
export interface AwsSelector {
  /** Signing names: `s3`, `dynamodb`. */
  readonly services?: readonly string[];
  readonly regions?: readonly string[];
  /** Operations: `GetObject`, `Describe*`. */
  readonly actions?: readonly string[];
  readonly buckets?: readonly string[];
  /** Object keys, decoded; `*` goes over slashes. */
  readonly keys?: readonly string[];
}

/**
 * `users` narrows. The other keys name what the rule covers: a request that any of them covers. Where none of them is
 * there, or they are all `false`, a rule covers sessions (exec, shell, subsystem, pty), jumps and signatures, those set
 * to `false` left out; a deny rule then covers the rest too. Forwards, listens, agent forwarding and X11 are open only
 * to an allow rule that names them, and to nobody without rules.
 *
 * `false` of a deny rule could be read both ways and is refused, but for `pty` beside `shell: true`.
 */
export interface SshSelector {
  /** Names upstream, `*` for any run of characters. Signatures of documents are for no user, so no such rule covers them. */
  readonly users?: readonly string[];
  /**
   * Whole commands. Of an allow rule `*` is any run of ASCII letters, digits, spaces and `_@%+=:,./-`, which no shell
   * reads as anything else, and `**` is anything; of a deny rule both are anything.
   */
  readonly commands?: readonly string[];
  readonly git?: GitSelector;
  readonly shell?: boolean;
  /** A terminal; where it is not written, a rule that covers shells covers terminals too. */
  readonly pty?: boolean;
  /** Names of subsystems: `sftp`. */
  readonly subsystems?: readonly string[];
  /**
   * `host:port` or absolute paths of sockets, as the client sends them, of hosts case apart. Jumps too. `*` alone is any
   * of both; elsewhere in a deny rule any run of characters, in an allow rule of ASCII letters, digits and `._-[]:` in a
   * host, of those that an address has where the pattern is one, and of anything but a slash in a path (`**`: slashes too).
   */
  readonly forwards?: readonly string[];
  readonly listens?: readonly string[];
  /**
   * Of an allow rule with `hostKeys` or `namespaces` also signatures of theirs that a host on the way asks for; of a deny
   * rule all such signatures.
   */
  readonly agentForwarding?: boolean;
  readonly x11Forwarding?: boolean;
  /** Signatures for logins to hosts with these keys: SHA256 fingerprints, or `*`, which is also a host that is not proven. */
  readonly hostKeys?: readonly string[];
  /** Signatures of documents, by namespace: `git`. */
  readonly namespaces?: readonly string[];
}

/** Fetches, pushes and archives of git. */
export interface GitSelector {
  /** Repositories without `.git` and slashes around them, `*` for any run of characters but a slash, `**` for any. */
  readonly repos?: readonly string[];
  /** `true`: pushes alone. `false`: all but pushes. */
  readonly push?: boolean;
}

export type Weekday = 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun';

/** Local wall-clock window. `from` later than `to` runs overnight; `days` are the days it begins on. */
export interface TimeWindow {
  /** "HH:MM", inclusive. */
  readonly from?: string;
  /** "HH:MM", exclusive. */
  readonly to?: string;
  /** IANA zone; default UTC. */
  readonly zone?: string;
  readonly days?: readonly Weekday[];
}
