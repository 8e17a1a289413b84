import { Message, OpenFailure } from '../transport/message-numbers.ts';
import { SshError } from '../transport/ssh-error.ts';
import { wire } from '../transport/wire.ts';
import { Channel, type ChannelEnd } from './channel.ts';
import { maxPacketAt, readChannelOpen, type ChannelOpen } from './channel-open.ts';
import { readChannelRequest, type ChannelRequest } from './channel-request.ts';
import type { Leg } from './leg.ts';
import type { Verdict, Watcher } from './watcher.ts';

const CHANNELS_MAX = 256;
/** What either side may put into one message of ours to pass on. */
const PACKET_BYTES_MAX = 32 * 1024;
const REFUSAL = 'not allowed here';

/** All channels of one connection: knows each by our number, and passes its messages on under the peers' own. */
export class Channels {
  readonly #watcher: Watcher;
  readonly #channels = new Map<number, Channel>();
  #next = 0;

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  /** Takes a message of type 90 to 100. Errors: `SshError` `protocol`. */
  take(from: Leg, message: Buffer): void | Promise<void> {
    if (message[0] === Message.channelOpen) return this.#open(from, message);
    const channel = this.#find(message);
    const own = channel[from.side];
    const other = channel[from.other.side];
    if (message[0] === Message.channelOpenConfirmation || message[0] === Message.channelOpenFailure) {
      return this.#opened(channel, own, other, message);
    }
    if (!channel.confirmed || own.gotClose) throw wrong('a message for a channel that is not open');
    switch (message[0] ?? 0) {
      case Message.channelWindowAdjust:
        if (message.length !== 9) throw wrong('a window of the wrong length');
        return other.send(message);
      case Message.channelData:
      case Message.channelExtendedData:
        return this.#bytes(channel, own, other, message);
      case Message.channelEof:
        own.gotEof = true;
        return other.send(whole(message));
      case Message.channelClose:
        return this.#close(channel, own, other, whole(message));
      case Message.channelRequest:
        return this.#request(channel, own, other, message);
      case Message.channelSuccess:
      case Message.channelFailure:
        return other.replies.reply(whole(message));
      default:
        throw wrong('a message that no channel has');
    }
  }

  /** Tells the watcher of those that were cut off. */
  end(): void {
    for (const channel of this.#channels.values()) this.#watcher.channelClosed?.(channel, channel.totals);
    this.#channels.clear();
  }

  #find(message: Buffer): Channel {
    const channel = message.length >= 5 ? this.#channels.get(message.readUInt32BE(1)) : undefined;
    if (channel === undefined) throw wrong('a message for a channel that there is not');
    return channel;
  }

  #open(from: Leg, message: Buffer): void | Promise<void> {
    const open = readChannelOpen(message);
    if (this.#channels.size >= CHANNELS_MAX) {
      return refuseOpen(from, open, OpenFailure.resourceShortage, 'too many channels');
    }
    const channel = new Channel(this.#next++, from, open.purpose);
    return after(this.#watcher.channelOpen(from.side, open, channel), (verdict) => {
      if (verdict.do === 'forward') return this.#begin(from, open, channel, message);
      refuseOpen(from, open, OpenFailure.prohibited, oneLine((verdict.do === 'refuse' && verdict.say) || REFUSAL));
    });
  }

  #begin(from: Leg, open: ChannelOpen, channel: Channel, message: Buffer): void {
    channel[from.side].id = open.sender;
    channel[from.side].window = open.window;
    this.#channels.set(channel.number, channel);
    const at = maxPacketAt(message);
    message.writeUInt32BE(channel.number, at - 8);
    message.writeUInt32BE(Math.min(open.maxPacket, PACKET_BYTES_MAX), at);
    from.other.send(message);
  }

  #opened(channel: Channel, own: ChannelEnd, other: ChannelEnd, message: Buffer): void {
    if (channel.confirmed || channel.openedBy === own.leg.side)
      throw wrong('an answer to a channel that was not asked for');
    if (message[0] === Message.channelOpenFailure) {
      other.send(message);
      return this.#over(channel);
    }
    if (message.length < 17) throw wrong('a confirmation that is too short');
    channel.confirmed = true;
    own.id = message.readUInt32BE(5);
    own.window = message.readUInt32BE(9);
    message.writeUInt32BE(channel.number, 5);
    message.writeUInt32BE(Math.min(message.readUInt32BE(13), PACKET_BYTES_MAX), 13);
    other.send(message);
  }

  #bytes(channel: Channel, own: ChannelEnd, other: ChannelEnd, message: Buffer): void {
    const at = message[0] === Message.channelData ? 5 : 9;
    if (message.length < at + 4 || message.readUInt32BE(at) !== message.length - at - 4)
      throw wrong('bytes of the wrong length');
    if (own.gotEof) throw wrong('bytes after the end of file');
    channel.count(own.leg.side, message.length - at - 4);
    other.forward(message);
  }

  #close(channel: Channel, own: ChannelEnd, other: ChannelEnd, message: Buffer): void {
    own.gotClose = true;
    // Whoever closes answers nothing any more.
    other.replies.settle(() => other.say(Message.channelFailure));
    other.send(message);
    if (channel.over) this.#over(channel);
  }

  #over(channel: Channel): void {
    this.#channels.delete(channel.number);
    this.#watcher.channelClosed?.(channel, channel.totals);
  }

  #request(channel: Channel, own: ChannelEnd, other: ChannelEnd, message: Buffer): void | Promise<void> {
    // The other side was told that it is over. One that said so itself still hears the exit status.
    if (other.sentClose) return;
    const request = readChannelRequest(message);
    const starts = ['exec', 'shell', 'subsystem'].includes(request.ask.kind);
    const no = (): void => {
      if (request.wantsReply) own.replies.answer(() => own.say(Message.channelFailure));
    };
    const mayStart = channel.purpose.kind === 'session' && channel.openedBy === own.leg.side && !channel.started;
    if (starts && !mayStart) return no();
    if (starts) channel.started = true;
    return after(this.#watcher.channelRequest(own.leg.side, channel, request), (verdict) => {
      if (other.sentClose) return;
      if (verdict.do !== 'forward') {
        if (!starts || verdict.do === 'drop') return no();
        return channel.refuseStart(own, request.wantsReply, oneLine(verdict.say ?? REFUSAL));
      }
      noteExit(channel, request);
      if (request.wantsReply) own.replies.expect('relayed');
      other.send(message);
    });
  }
}

function noteExit(channel: Channel, { ask }: ChannelRequest): void {
  if (ask.kind === 'exit-status') channel.exited({ status: ask.status });
  if (ask.kind === 'exit-signal') channel.exited({ signal: ask.name });
}

function refuseOpen(from: Leg, open: ChannelOpen, reason: number, text: string): void {
  from.send(wire({ byte: Message.channelOpenFailure }, { uint32: open.sender }, { uint32: reason }, text, ''));
}

/** Goes on at once where the verdict is there, so that most messages never wait for a turn of the event loop. */
export function after(verdict: Verdict | Promise<Verdict>, go: (verdict: Verdict) => void): void | Promise<void> {
  return verdict instanceof Promise ? verdict.then(go) : go(verdict);
}

function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- a terminal would obey them
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 1000);
}

function whole(message: Buffer): Buffer {
  if (message.length !== 5) throw wrong('a message of the wrong length');
  return message;
}

function wrong(what: string): SshError {
  return new SshError('protocol', what);
}
