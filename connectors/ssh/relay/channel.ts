import { Message } from '../transport/message-numbers.ts';
import { wire, type WireField } from '../transport/wire.ts';
import type { ChannelPurpose } from './channel-open.ts';
import type { Leg } from './leg.ts';
import { ReplyQueue } from './reply-queue.ts';
import type { ChannelTotals, ChannelView, Side } from './watcher.ts';

/** Exit status that shells give to a command that was found and may not be run. */
const EXIT_DENIED = 126;
/** SSH_EXTENDED_DATA_STDERR, RFC 4254 §5.2. */
const STDERR = 1;

/** One end of a channel. */
export class ChannelEnd {
  readonly leg: Leg;
  /** The peer's own number; undefined until it has confirmed. */
  id: number | undefined;
  /** Bytes that the peer surely takes yet: what it grants later is not counted. */
  window = 0;
  sentClose = false;
  gotClose = false;
  gotEof = false;
  /** Replies that this end waits for. */
  readonly replies: ReplyQueue;

  constructor(leg: Leg) {
    this.leg = leg;
    this.replies = new ReplyQueue((message) => this.send(message));
  }

  /** Passes on a message of type 91 to 100, addressed to the peer's number. After CLOSE nothing more may be said. */
  send(message: Buffer): void {
    if (this.sentClose || this.id === undefined) return;
    message.writeUInt32BE(this.id, 1);
    if (message[0] === Message.channelClose) this.sentClose = true;
    this.leg.send(message);
  }

  /** Passes on bytes of the other side's, which are lost by that. */
  forward(message: Buffer): void {
    if (this.sentClose || this.id === undefined) return;
    message.writeUInt32BE(this.id, 1);
    this.leg.forward(message);
  }

  say(type: number, ...fields: readonly WireField[]): void {
    this.send(wire({ byte: type }, { uint32: 0 }, ...fields));
  }
}

/** A channel that runs through: our number for it is the same towards both sides. */
export class Channel implements ChannelView {
  readonly number: number;
  readonly openedBy: Side;
  readonly purpose: ChannelPurpose;
  readonly downstream: ChannelEnd;
  readonly upstream: ChannelEnd;
  confirmed = false;
  /** Whether its one program was asked for (RFC 4254 §6.5 allows no second). */
  started = false;
  readonly #totals: { -readonly [Key in keyof ChannelTotals]: ChannelTotals[Key] } = { bytesUp: 0, bytesDown: 0 };

  constructor(number: number, opener: Leg, purpose: ChannelPurpose) {
    this.number = number;
    this.openedBy = opener.side;
    this.purpose = purpose;
    const own = new ChannelEnd(opener);
    const other = new ChannelEnd(opener.other);
    this.downstream = opener.side === 'downstream' ? own : other;
    this.upstream = opener.side === 'upstream' ? own : other;
  }

  get totals(): ChannelTotals {
    return this.#totals;
  }

  count(from: Side, bytes: number): void {
    this.#totals[from === 'downstream' ? 'bytesUp' : 'bytesDown'] += bytes;
    const to = from === 'downstream' ? this.upstream : this.downstream;
    to.window -= bytes;
  }

  exited(how: { status: number } | { signal: string }): void {
    if ('status' in how) this.#totals.exitStatus = how.status;
    else this.#totals.exitSignal = how.signal;
  }

  /** Whether both sides have said and heard that it is over: only then may nothing come any more. */
  get over(): boolean {
    return [this.downstream, this.upstream].every((end) => end.sentClose && end.gotClose);
  }

  /**
   * Refuses to start a program, so that the user sees why: the request succeeds, a line comes on stderr, and the exit
   * status says no. It comes behind the replies to what was asked before. The other side only hears that it is over.
   */
  refuseStart(asked: ChannelEnd, wantsReply: boolean, line: string): void {
    const other = asked === this.downstream ? this.upstream : this.downstream;
    asked.replies.answer(() => {
      if (wantsReply) asked.say(Message.channelSuccess);
      const text = Buffer.from(`${line}\r\n`);
      if (text.length <= asked.window) asked.say(Message.channelExtendedData, { uint32: STDERR }, text);
      asked.say(Message.channelRequest, 'exit-status', { boolean: false }, { uint32: EXIT_DENIED });
      asked.say(Message.channelEof);
      asked.say(Message.channelClose);
    });
    other.say(Message.channelClose);
  }
}
