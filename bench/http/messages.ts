/** What the load generator is asked, and what it answers. */

export type Question =
  | ({ readonly do: 'closed'; readonly ms: number } & Traffic)
  | ({ readonly do: 'open'; readonly ms: number; readonly perSecond: number } & Traffic)
  | { readonly do: 'hold'; readonly port: number; readonly connections: number; readonly request: string | undefined }
  | { readonly do: 'release' }
  | { readonly do: 'body'; readonly port: number; readonly head: string; readonly uploadBytes: number };

export interface Traffic {
  readonly port: number;
  readonly connections: number;
  /** A whole request without body, as text. */
  readonly request: string;
}

/** Milliseconds. */
export interface Load {
  /** Answers within the time asked for. */
  readonly perSecond: number;
  readonly exchanges: number;
  /** Connections that failed and answers other than 200. */
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly p50: number;
  readonly p99: number;
  /** How late requests were sent, of an open loop: p50. */
  readonly late: number;
}

export interface Held {
  readonly connections: number;
  readonly failures: number;
}

export interface BodyTransfer {
  readonly seconds: number;
  readonly status: number;
  readonly bodyBytes: number;
}
