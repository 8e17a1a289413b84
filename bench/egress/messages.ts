import type { BodyTransfer, Load } from '../http/messages.ts';
import type { Route } from './route.ts';

/** What the load generator is asked. `headers`: of HTTP/2; `request`: of HTTP/1.1, whole. */
export type Question =
  | ({ readonly do: 'closed'; readonly ms: number } & Requests)
  | ({ readonly do: 'open'; readonly ms: number; readonly perSecond: number } & Requests)
  /** Each opens a connection, asks once and closes; so many at a time. */
  | ({ readonly do: 'handshakes'; readonly ms: number } & Requests)
  | { readonly do: 'body'; readonly route: Route; readonly head: string; readonly uploadBytes: number }
  /** One connection, so many streams at a time. */
  | ({ readonly do: 'streams'; readonly ms: number; readonly streams: number } & Headers)
  /** One stream: each message waits for the one before to come back. */
  | ({ readonly do: 'messages'; readonly count: number } & Headers);

interface Requests {
  readonly route: Route;
  readonly connections: number;
  readonly request: string;
}

interface Headers {
  readonly route: Route;
  readonly headers: Readonly<Record<string, string>>;
}

export type { BodyTransfer, Load };
