import type { ChannelOpen } from './channel-open.ts';
import type { ChannelRequest } from './channel-request.ts';
import type { GlobalRequest } from './global-request.ts';

export type Side = 'downstream' | 'upstream';

/**
 * - `forward`: goes on as it came.
 * - `refuse`: answered by us, in order. `say`, one line of plain text, is shown on the channel where the request was to
 *   start something there (exec, shell, subsystem), and is the reason why a channel is not opened.
 * - `drop`: as if it had never come; where a reply is wanted it is a no.
 */
export type Verdict =
  { readonly do: 'forward' } | { readonly do: 'refuse'; readonly say?: string } | { readonly do: 'drop' };

export const FORWARD: Verdict = { do: 'forward' };
export const REFUSE: Verdict = { do: 'refuse' };
export const DROP: Verdict = { do: 'drop' };

/** What a watcher may know of a channel. */
export interface ChannelView {
  /** Our number for it: never used again within the connection. */
  readonly number: number;
  readonly openedBy: Side;
  readonly purpose: ChannelOpen['purpose'];
  /** As of now. */
  readonly totals: ChannelTotals;
}

export interface ChannelTotals {
  /** Bytes of stdin, stdout and stderr that went up and down. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly exitStatus?: number;
  readonly exitSignal?: string;
}

/**
 * Sees all that is asked for on the way and decides. While it thinks (a promise), that side's messages wait, and so does
 * its socket. A throw or rejection ends the connection.
 */
export interface Watcher {
  channelOpen(from: Side, open: ChannelOpen, channel: ChannelView): Verdict | Promise<Verdict>;
  channelRequest(from: Side, channel: ChannelView, request: ChannelRequest): Verdict | Promise<Verdict>;
  globalRequest(from: Side, request: GlobalRequest): Verdict | Promise<Verdict>;
  /** Of a request that was passed on: the whole message, REQUEST_SUCCESS or REQUEST_FAILURE. */
  globalAnswered?(from: Side, request: GlobalRequest, answer: Buffer): void;
  /** Once for each channel whose opening was passed on, whether or not the other side opened it. */
  channelClosed?(channel: ChannelView, totals: ChannelTotals): void;
}
