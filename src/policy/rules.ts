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
  readonly time?: TimeWindow;
  readonly rate?: { readonly perMinute: number };
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
