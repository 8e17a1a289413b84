import { Message } from '../transport/message-numbers.ts';
import { wire } from '../transport/wire.ts';
import { after } from './channels.ts';
import { readGlobalRequest } from './global-request.ts';
import type { Leg } from './leg.ts';
import { ReplyQueue } from './reply-queue.ts';
import type { Side, Watcher } from './watcher.ts';

/** Requests to the connection as a whole, and their replies in order. */
export class Globals {
  readonly #watcher: Watcher;
  /** Replies that each side waits for. */
  readonly #replies: Readonly<Record<Side, ReplyQueue>>;

  constructor(watcher: Watcher, downstream: Leg, upstream: Leg) {
    this.#watcher = watcher;
    this.#replies = {
      downstream: new ReplyQueue((message) => downstream.send(message)),
      upstream: new ReplyQueue((message) => upstream.send(message)),
    };
  }

  /** Takes a message of type 80 to 82. Errors: `SshError` `protocol`. */
  take(from: Leg, message: Buffer): void | Promise<void> {
    if (message[0] !== Message.globalRequest) return this.#replies[from.other.side].reply(message);
    const request = readGlobalRequest(message);
    return after(this.#watcher.globalRequest(from.side, request), (verdict) => {
      const replies = this.#replies[from.side];
      if (verdict.do === 'forward') {
        const answered = this.#watcher.globalAnswered?.bind(this.#watcher, from.side, request);
        if (request.wantsReply) replies.expect('relayed', answered);
        from.other.send(message);
      } else if (request.wantsReply) {
        replies.answer(() => from.send(wire({ byte: Message.requestFailure })));
      }
    });
  }

  /**
   * Asks `leg` whether it is there; its answer, whatever it is, ends here. False: it owes so many answers that nothing
   * more is asked.
   */
  ping(leg: Leg): boolean {
    const replies = this.#replies[leg.other.side];
    if (replies.full) return false;
    replies.expect('swallowed');
    leg.send(wire({ byte: Message.globalRequest }, 'keepalive@openssh.com', { boolean: true }));
    return true;
  }
}
