import { Duplex } from 'node:stream';
import { SidecarError } from 'secretless-sidecar/connector';
import type { RelaySide } from '../relay/index.ts';
import { SshError } from '../transport/index.ts';
import { Message, OpenFailure } from '../transport/message-numbers.ts';
import { wire, type WireField, WireReader } from '../transport/wire.ts';

const WINDOW_BYTES = 2 * 1024 * 1024;
const PACKET_BYTES_MAX = 32 * 1024;
/** Bytes that may wait for the upstream before nothing more is taken. */
const PENDING_BYTES_MAX = 1024 * 1024;
/** And before it is an error that it asks for more answers. */
const ANSWERS_BYTES_MAX = 3 * PENDING_BYTES_MAX;
const NUMBER = 0;

/**
 * The one `direct-tcpip` channel (RFC 4254 §7.2) of a login that serves nothing else: its bytes as a stream. Everything
 * else that the upstream asks for is refused. Its end ends the login.
 */
export class TcpChannel extends Duplex {
  readonly #raw: RelaySide;
  readonly #signal: AbortSignal;
  readonly #opened = Promise.withResolvers<void>();
  #isOpen = false;
  /** The upstream's number for it. */
  #peer = 0;
  /** Bytes that it takes yet, and in one message. */
  #window = 0;
  #packet = 0;
  /** Bytes that the upstream may send yet; what was read is given back from time to time. */
  #granted = WINDOW_BYTES;
  #read = 0;
  #unread = 0;
  #gotEnd = false;
  #sentClose = false;
  #waiting: { chunk: Buffer; done: (error?: Error) => void } | undefined;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(raw: RelaySide, to: { readonly host: string; readonly port: number }, signal: AbortSignal) {
    super({ allowHalfOpen: true, readableHighWaterMark: WINDOW_BYTES, writableHighWaterMark: PACKET_BYTES_MAX });
    this.#raw = raw;
    this.#signal = signal;
    this.#opened.promise.catch(() => undefined);
    // Whoever opens it hears of an error by `opened`, and may not listen yet.
    this.on('error', () => undefined);
    signal.addEventListener('abort', this.#aborted);
    if (signal.aborted) this.#aborted();
    // What came before its end is still to be read.
    void raw.closed.then((error) => (this.#gotEnd ? this.#closed() : this.destroy(lost(error))));
    raw.attach({ message: (message) => this.#take(message), drained: () => this.#flush() });
    const own = [{ uint32: NUMBER }, { uint32: WINDOW_BYTES }, { uint32: PACKET_BYTES_MAX }];
    const from = ['127.0.0.1', { uint32: 0 }];
    raw.send(wire({ byte: Message.channelOpen }, 'direct-tcpip', ...own, to.host, { uint32: to.port }, ...from));
  }

  /** Resolves when the upstream has connected. Errors: `upstream-unreachable`, `upstream-closed`. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Bytes that went up and down. */
  get carried(): { readonly bytesUp: number; readonly bytesDown: number } {
    return { bytesUp: this.#bytesUp, bytesDown: this.#bytesDown };
  }

  override _read(): void {
    this.#read += this.#unread;
    this.#unread = 0;
    if (this.#read < WINDOW_BYTES / 2 || this.#gotEnd) return;
    this.#say(Message.channelWindowAdjust, { uint32: this.#read });
    this.#granted += this.#read;
    this.#read = 0;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#waiting = { chunk, done };
    this.#flush();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#say(Message.channelEof);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#signal.removeEventListener('abort', this.#aborted);
    this.#close();
    this.#opened.reject(error ?? new SidecarError('upstream-closed'));
    this.#waiting?.done(error ?? undefined);
    this.#waiting = undefined;
    this.#raw.end(new SshError('aborted', 'the connection behind it is over'));
    done(error);
  }

  readonly #aborted = (): void => void this.destroy(this.#signal.reason as SidecarError);

  #say(type: number, ...fields: readonly WireField[]): void {
    if (this.#isOpen && !this.#sentClose) this.#raw.send(wire({ byte: type }, { uint32: this.#peer }, ...fields));
  }

  #close(): void {
    this.#say(Message.channelClose);
    this.#sentClose = true;
  }

  /** Sends of what waits as much as the upstream takes. */
  #flush(): void {
    while (this.#waiting !== undefined && this.#window > 0 && this.#raw.pending <= PENDING_BYTES_MAX) {
      const { chunk, done } = this.#waiting;
      const part = chunk.subarray(0, Math.min(this.#window, this.#packet));
      this.#say(Message.channelData, part);
      this.#window -= part.length;
      this.#bytesUp += part.length;
      const rest = chunk.subarray(part.length);
      this.#waiting = rest.length === 0 ? undefined : { chunk: rest, done };
      if (rest.length === 0) done();
    }
  }

  /** What it throws ends the connection. Errors: `SshError` `protocol`. */
  #take(message: Buffer): void {
    const reader = new WireReader(message, 1);
    const type = message[0] ?? 0;
    if (type === Message.globalRequest) return this.#refuseGlobal(reader);
    if (type === Message.channelOpen) return this.#refuseOpen(reader);
    if (reader.uint32() !== NUMBER) throw wrong('a message for a channel that there is not');
    if (type === Message.channelOpenConfirmation || type === Message.channelOpenFailure) {
      return this.#answered(type === Message.channelOpenConfirmation, reader);
    }
    if (!this.#isOpen) throw wrong('a message for a channel that is not open');
    switch (type) {
      case Message.channelWindowAdjust:
        this.#window += reader.uint32();
        if (this.#window > 0xffff_ffff) throw wrong('a window beyond all bounds');
        return this.#flush();
      case Message.channelData:
        return this.#bytes(reader.string(PACKET_BYTES_MAX));
      case Message.channelEof:
        return this.#ended();
      case Message.channelClose:
        this.#ended();
        return this.#closed();
      case Message.channelRequest:
        reader.name(256);
        if (reader.boolean()) this.#answer(() => this.#say(Message.channelFailure));
        return;
      default:
        throw wrong('a message that this channel does not have');
    }
  }

  #answered(yes: boolean, reader: WireReader): void {
    if (this.#isOpen) throw wrong('an answer to a channel that was not asked for');
    if (!yes) {
      const detail = `the way there answers ${reasonText(reader.uint32())}`;
      return void this.destroy(new SidecarError('upstream-unreachable', { detail }));
    }
    this.#isOpen = true;
    this.#peer = reader.uint32();
    this.#window = reader.uint32();
    this.#packet = Math.min(reader.uint32(), PACKET_BYTES_MAX);
    if (this.#packet === 0) throw wrong('a channel that takes no bytes');
    this.#opened.resolve();
    this.#flush();
  }

  #bytes(bytes: Buffer): void {
    this.#granted -= bytes.length;
    if (this.#granted < 0 || this.#gotEnd) throw wrong('bytes that were not asked for');
    this.#bytesDown += bytes.length;
    this.#unread += bytes.length;
    if (this.push(bytes)) this._read();
  }

  #ended(): void {
    if (this.#gotEnd) return;
    this.#gotEnd = true;
    this.push(null);
  }

  /** The upstream takes nothing more, and so does nobody. */
  #closed(): void {
    this.#close();
    this.#waiting?.done(lost());
    this.#waiting = undefined;
    this.end();
  }

  #refuseGlobal(reader: WireReader): void {
    reader.name(256);
    if (reader.boolean()) this.#answer(() => this.#raw.send(wire({ byte: Message.requestFailure })));
  }

  /** Whoever asks without end reads what it is answered. */
  #answer(send: () => void): void {
    if (this.#raw.pending > ANSWERS_BYTES_MAX) throw wrong('answers wait that are not read');
    send();
  }

  #refuseOpen(reader: WireReader): void {
    reader.name(256);
    const sender = { uint32: reader.uint32() };
    const reason = { uint32: OpenFailure.prohibited };
    const refusal = wire({ byte: Message.channelOpenFailure }, sender, reason, 'not allowed here', '');
    this.#answer(() => this.#raw.send(refusal));
  }
}

function reasonText(reason: number): string {
  return reason === OpenFailure.prohibited ? 'that it is prohibited' : `with reason ${reason}`;
}

function lost(cause?: Error): SidecarError {
  return new SidecarError('upstream-closed', { detail: 'the way there is gone', cause });
}

function wrong(what: string): SshError {
  return new SshError('protocol', what);
}
