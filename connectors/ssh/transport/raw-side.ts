import { Message } from './message-numbers.ts';
import { SshError } from './ssh-error.ts';
import type { Transport } from './transport.ts';

/** Of messages that come before anybody has taken over. */
const EARLY_BYTES_MAX = 1024 * 1024;
/** Bytes that may wait for a peer which sends what nobody knows: more than what its own requests are answered with. */
const PENDING_BYTES_MAX = 3 * 1024 * 1024;

/** Someone who takes over the messages of a connection that has logged in. */
export interface RawReader {
  /** A message of type 80 and up (RFC 4254), in memory of its own: it may be changed and kept. */
  message(message: Buffer): void;
  /** What was sent has gone out. */
  drained(): void;
}

/** One leg after its login: whole messages of the connection layer in and out, nothing else. */
export class RawSide {
  readonly #transport: Transport;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #reader: RawReader | undefined;

  /** Takes the transport over at once: an OpenSSH server sends its first request right behind its yes. */
  constructor(transport: Transport) {
    this.#transport = transport;
    transport.onMessage = (message) => this.#take(message);
    transport.onDrain = () => this.#reader?.drained();
  }

  get transport(): Transport {
    return this.#transport;
  }

  get closed(): Promise<SshError> {
    return this.#transport.closed;
  }

  /** Hands over what came so far, and then each message as it comes. */
  attach(reader: RawReader): void {
    this.#reader = reader;
    const early = this.#early;
    this.#early = [];
    // Before the reader sees anything: it may want to pause.
    this.#transport.resume();
    try {
      for (const message of early) reader.message(message);
    } catch (error) {
      // As if it had come just now: what a message breaks ends the connection.
      this.#transport.fail(error);
    }
  }

  #take(message: Buffer): void {
    const type = message[0] ?? 0;
    // RFC 4252 §5.1 has late requests to log in ignored; a late banner changes nothing either.
    if (type === Message.extInfo || type === Message.userauthRequest || type === Message.userauthBanner) return;
    if (type < Message.globalRequest) throw new SshError('protocol', 'a message of the login came after it');
    if (type > Message.channelFailure || (type > Message.requestFailure && type < Message.channelOpen)) {
      // Our answer to it, and the only one that whoever relays the rest does not know of.
      if (this.pending > PENDING_BYTES_MAX) throw new SshError('protocol', 'answers wait that the peer does not read');
      return this.#transport.unimplemented();
    }
    if (this.#reader !== undefined) return this.#reader.message(message);
    this.#earlyBytes += message.length;
    if (this.#earlyBytes > EARLY_BYTES_MAX) throw new SshError('protocol', 'too much came before anybody listened');
    this.#early.push(message);
    this.#transport.pause();
  }

  send(message: Uint8Array): void {
    this.#transport.send(message);
  }

  /** As `send`, for a message that was handed over and is not needed any more: its bytes are lost. */
  forward(message: Buffer): void {
    this.#transport.forward(message);
  }

  get pending(): number {
    return this.#transport.pending;
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  end(error: SshError, text?: string): void {
    this.#transport.disconnect(error, text);
  }
}
