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
  /**
   * Of an allow rule: covers requests whose answer holds a credential too, which no other rule allows. Of a deny rule:
   * narrows it to those, and is never false.
   */
  readonly returnsCredentials?: boolean;
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
