import { Message } from '../transport/message-numbers.ts';
import { SshError } from '../transport/ssh-error.ts';
import { Channels } from './channels.ts';
import { Globals } from './globals.ts';
import { Inbox } from './inbox.ts';
import { KEEPALIVE, Keepalive, type KeepaliveOptions } from './keepalive.ts';
import { Leg, type RelaySide } from './leg.ts';
import type { Side, Watcher } from './watcher.ts';

export interface RelayOptions {
  readonly watcher: Watcher;
  readonly keepalive?: KeepaliveOptions;
  /** Ends both sides: a grant that was taken back. */
  readonly signal?: AbortSignal;
  /** Asked once, before any channel is ended: what the downstream may show, one line of plain text. */
  readonly farewell?: (end: RelayEnd) => string;
}

/** How a relay came to its end: which side ended first, and why. */
export interface RelayEnd {
  readonly side: Side | 'relay';
  readonly error: SshError;
}

/**
 * Joins two connections that have logged in: messages of the connection layer (RFC 4254) pass as they are, except for
 * channel numbers, which become ours, and packet sizes, which have a limit. Resolves when either side is gone; both are
 * closed then.
 */
export function relay(downstream: RelaySide, upstream: RelaySide, options: RelayOptions): Promise<RelayEnd> {
  return new Relay(downstream, upstream, options).ended;
}

class Relay {
  readonly #raw: Readonly<Record<Side, RelaySide>>;
  readonly #channels: Channels;
  readonly #globals: Globals;
  readonly #keepalives: Keepalive[] = [];
  readonly #end = Promise.withResolvers<RelayEnd>();
  readonly #signal: AbortSignal | undefined;
  readonly #farewell: NonNullable<RelayOptions['farewell']>;
  #over = false;

  constructor(downstream: RelaySide, upstream: RelaySide, options: RelayOptions) {
    const { watcher } = options;
    const down = new Leg('downstream', downstream);
    const up = new Leg('upstream', upstream);
    down.other = up;
    up.other = down;
    this.#raw = { downstream, upstream };
    this.#channels = new Channels(watcher);
    this.#globals = new Globals(watcher, down, up);
    this.#signal = options.signal;
    this.#farewell = options.farewell ?? (({ side }) => (side === 'upstream' ? 'the upstream is gone' : 'closed'));
    this.#signal?.addEventListener('abort', this.#aborted);
    if (this.#signal?.aborted === true) this.#aborted();
    if (this.#over) return;
    for (const leg of [down, up]) this.#join(leg, options.keepalive ?? KEEPALIVE);
  }

  get ended(): Promise<RelayEnd> {
    return this.#end.promise;
  }

  #join(leg: Leg, options: KeepaliveOptions): void {
    const raw = this.#raw[leg.side];
    const inbox = new Inbox(
      leg,
      (message) => this.#take(leg, message),
      (error) => this.#fail(leg.side, error),
    );
    const late = new SshError('timeout', `the ${leg.side} does not answer any more`);
    const keepalive = new Keepalive(leg, this.#globals, options, () => this.#fail(leg.side, late));
    this.#keepalives.push(keepalive);
    void raw.closed.then((error) => this.#finish({ side: leg.side, error }));
    raw.attach({
      message: (message) => {
        keepalive.heard();
        inbox.take(message);
      },
      drained: () => leg.drained(),
    });
  }

  #take(from: Leg, message: Buffer): void | Promise<void> {
    if (this.#over) return undefined;
    const taker = (message[0] ?? 0) < Message.channelOpen ? this.#globals : this.#channels;
    return taker.take(from, message);
  }

  readonly #aborted = (): void =>
    this.#finish({ side: 'relay', error: new SshError('aborted', 'the relay was ended') });

  #fail(side: Side, cause: unknown): void {
    const error = cause instanceof SshError ? cause : new SshError('aborted', 'a watcher failed', { cause });
    this.#finish({ side: cause instanceof SshError ? side : 'relay', error });
  }

  #finish(end: RelayEnd): void {
    if (this.#over) return;
    this.#over = true;
    const text = this.#farewell(end);
    this.#signal?.removeEventListener('abort', this.#aborted);
    for (const keepalive of this.#keepalives) keepalive.stop();
    this.#channels.end();
    this.#raw.downstream.end(end.error, text);
    this.#raw.upstream.end(end.error, 'closed');
    this.#end.resolve(end);
  }
}
