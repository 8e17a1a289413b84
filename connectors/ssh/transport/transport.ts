import type { Duplex } from 'node:stream';
import { isWhole } from 'secretless-sidecar/connector';
import { AeadCipher, AeadDecipher, type Send } from './aead-packets.ts';
import { checkNegotiated, chooseAlgorithms, offerOf, rekeyBytes, type Algorithms } from './algorithms.ts';
import { closeSoon, reasonOf } from './closing.ts';
import { HostKeyCheck } from './host-key-check.ts';
import { Message } from './message-numbers.ts';
import { RekeyClock } from './rekey-clock.ts';
import { Scratch } from './scratch.ts';
import { ssh2, type Negotiated, type Ssh2Config, type Ssh2HostKey, type Ssh2Protocol } from './ssh2-protocol.ts';
import { SshError } from './ssh-error.ts';
import { wire, WireReader } from './wire.ts';

const REKEY_ANSWER_SECONDS = 60;
/** Header lines, KEXINIT and the rest that a peer may send before keys are there. */
const HANDSHAKE_BYTES_MAX = 512 * 1024;

export interface TransportOptions {
  /** Ours, behind `SSH-2.0-`. */
  readonly ident: string;
  /** Hears of each read how many bytes of memory it left to be collected, where there are any. */
  readonly passed?: (bytes: number) => void;
  readonly algorithms?: Partial<Algorithms>;
  /** For tests and for the cautious: new keys earlier than the ciphers demand. */
  readonly rekey?: { readonly bytes?: number; readonly seconds?: number };
}

export type TransportRole =
  | { readonly role: 'server'; readonly hostKey: Ssh2HostKey }
  | { readonly role: 'client'; readonly hostKeyCheck: (key: Buffer) => boolean };

/**
 * One SSH transport (RFC 4253) on a socket of the caller's: ssh2 frames, encrypts and exchanges keys, and every message
 * that is not its business is handed to `onMessage`, so that neither its login nor its channels ever see a byte.
 *
 * Ends with `closed`, which never rejects. Reading begins with `start`; `pause` and `resume` stop and go on.
 */
export class Transport {
  readonly #socket: Duplex;
  readonly #protocol: Ssh2Protocol;
  readonly #tools = ssh2();
  /** Whether nobody holds on to what it has delivered or written: another Duplex may hand on the very memory. */
  readonly #isNetwork: boolean;
  readonly #hostKey: HostKeyCheck | undefined;
  readonly #rekey: TransportOptions['rekey'];
  readonly #passed: (bytes: number) => void;
  readonly #closed = Promise.withResolvers<SshError>();
  readonly #keys = Promise.withResolvers<Negotiated>();
  #clock: RekeyClock | undefined;
  #negotiated: Negotiated | undefined;
  #rekeyTimer: NodeJS.Timeout | undefined;
  #ended: SshError | undefined;
  /** Bytes that wait for a key exchange to end; the socket does not know of them. */
  #waiting = 0;
  #handshakeBytes = 0;
  #corked = false;
  #peerIdent = '';

  /** Called with each message of type 5 to 7 and from 50 on; what it throws ends the connection. */
  onMessage: (message: Buffer) => void = () => undefined;
  /** Called when what was `pending` has gone out. */
  onDrain: () => void = () => undefined;

  constructor(socket: Duplex, as: TransportRole, options: TransportOptions) {
    this.#socket = socket;
    this.#isNetwork = 'setNoDelay' in socket;
    this.#rekey = options.rekey;
    this.#passed = options.passed ?? (() => undefined);
    this.#hostKey = as.role === 'client' ? new HostKeyCheck(as.hostKeyCheck) : undefined;
    this.#protocol = this.#tools.create(this.#configure(as, options));
    const stock = this.#protocol._onPayload.bind(this.#protocol);
    // ssh2 gives this to every decipher that it makes, the first one included.
    this.#protocol._onPayload = (payload) => this.#receive(payload, stock);
    this.#keys.promise.catch(() => undefined);
    socket.on('data', this.#feed);
    socket.pause();
    socket.on('drain', this.#drained);
    socket.on('error', (error) => this.#end(new SshError('closed', 'the socket failed', { cause: error })));
    socket.on('end', () => this.#end(new SshError('closed', 'the peer closed the connection')));
    socket.on('close', () => this.#end(new SshError('closed', 'the connection is gone')));
    // The end may have come before anybody listened.
    if (socket.readableEnded || socket.destroyed) this.#end(new SshError('closed', 'the peer closed the connection'));
  }

  #configure(as: TransportRole, options: TransportOptions): Ssh2Config {
    const chosen = chooseAlgorithms(as.role, options.algorithms);
    return {
      server: as.role === 'server',
      ident: options.ident,
      ...(as.role === 'server' && { hostKeys: { [as.hostKey.type]: as.hostKey } }),
      ...(this.#hostKey !== undefined && { hostVerifier: this.#hostKey.verify }),
      offer: offerOf(chosen),
      onWrite: (bytes) => this.#write(bytes as Buffer),
      onError: (error) => this.#end(this.#faultOf(error)),
      onHandshakeComplete: (negotiated) => this.#keyed(negotiated),
      onHeader: (header) => {
        this.#peerIdent = header.identRaw;
      },
    };
  }

  /** Begins to talk. Resolves when keys are there, rejects as `closed` would say. */
  async start(): Promise<Negotiated> {
    await this.#tools.ready;
    if (this.#ended !== undefined) throw this.#ended;
    this.#protocol.start?.();
    this.#socket.resume();
    return this.#keys.promise;
  }

  /** Why it ended: the first reason counts. */
  get closed(): Promise<SshError> {
    return this.#closed.promise;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Of the first key exchange; binds logins and signatures to this connection. */
  get sessionId(): Buffer {
    const id = this.#protocol._kex?.sessionID;
    if (id === undefined) throw new SshError('protocol', 'there is no session before keys are exchanged');
    return id;
  }

  get strict(): boolean {
    return this.#protocol._strictMode === true;
  }

  get negotiated(): Negotiated | undefined {
    return this.#negotiated;
  }

  /** The upstream's host key blob, once it was accepted. */
  get hostKey(): Buffer | undefined {
    return this.#hostKey?.accepted;
  }

  /** As the peer sent it, its line end taken off. */
  get peerIdent(): string {
    return this.#peerIdent;
  }

  /** Bytes that were sent and have not left this process. */
  get pending(): number {
    return this.#socket.writableLength + this.#waiting;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (this.#ended === undefined) this.#socket.resume();
  }

  /** Sends one message; after the end it does nothing. `wipe` leaves no readable copy of it in our memory. */
  send(message: Uint8Array, wipe = false): void {
    if (this.#ended !== undefined) return;
    const { write } = this.#protocol._packetRW;
    const start = write.allocStart;
    const packet = write.alloc(message.length);
    packet.set(message, start);
    const queued = this.#protocol._kexinit !== undefined;
    if (queued) this.#waiting += message.length;
    this.#tools.sendPacket(this.#protocol, write.finalize(packet));
    // The addon has encrypted it in place; the fallback left the plain packet behind, whose length may still be on its way.
    if (wipe && !queued && !this.#tools.native) packet.fill(0, start);
    this.#clock?.count(message.length);
    if (this.#clock?.due === true) this.rekey();
  }

  /**
   * Sends `message` on, which is lost to the caller: where it is the one that is being delivered, it may be encrypted
   * where it lies.
   */
  forward(message: Buffer): void {
    if (this.#ended !== undefined) return;
    const { _cipher: cipher, _kexinit: exchange } = this.#protocol;
    const bytes = message.length;
    if (exchange !== undefined || !(cipher instanceof AeadCipher) || !cipher.forward(message, this.#write)) {
      return this.send(message);
    }
    this.#clock?.count(bytes);
    if (this.#clock?.due === true) this.rekey();
  }

  /** Begins a key exchange unless one runs; the peer has a minute to take part. */
  rekey(): void {
    if (this.#ended !== undefined || this.#protocol._kexinit !== undefined || this.#clock === undefined) return;
    this.#protocol.rekey();
    this.#awaitKeys();
  }

  #awaitKeys(): void {
    clearTimeout(this.#rekeyTimer);
    const late = (): void => this.disconnect(new SshError('timeout', 'the peer did not finish a key exchange'));
    this.#rekeyTimer = setTimeout(late, REKEY_ANSWER_SECONDS * 1000).unref();
  }

  /** Says goodbye and closes. `text` is what the peer may show; plain ASCII without a secret. */
  disconnect(error: SshError, text = 'closed', reason: number = reasonOf(error)): void {
    if (this.#ended !== undefined) return;
    try {
      const { write } = this.#protocol._packetRW;
      const message = wire({ byte: Message.disconnect }, { uint32: reason }, text, '');
      const start = write.allocStartKEX;
      const packet = write.alloc(message.length, true);
      packet.set(message, start);
      this.#tools.sendPacket(this.#protocol, write.finalize(packet, true), true);
    } catch {
      // It may be the protocol's state that is broken; the socket closes all the same.
    }
    this.#end(error);
  }

  readonly #feed = (chunk: Buffer): void => {
    if (this.#ended !== undefined) return;
    if (this.#negotiated === undefined) {
      this.#handshakeBytes += chunk.length;
      if (this.#handshakeBytes > HANDSHAKE_BYTES_MAX) {
        return this.disconnect(new SshError('protocol', 'the peer sent too much before keys were exchanged'));
      }
    }
    const collected = this.#parse(chunk);
    if (collected > 0) this.#passed(collected);
  };

  /** Bytes of memory that it leaves to be collected. */
  #parse(chunk: Buffer): number {
    const bytes = chunk.length;
    const { _decipher: decipher } = this.#protocol;
    const ours = decipher instanceof AeadDecipher ? decipher : undefined;
    const scratch = ours !== undefined && this.#isNetwork && isWhole(chunk) ? new Scratch(chunk) : undefined;
    if (ours !== undefined) ours.scratch = scratch;
    try {
      this.#protocol.parse(chunk, 0, bytes);
      return scratch === undefined ? bytes : scratch.over();
    } catch (error) {
      this.fail(error);
      return bytes;
    } finally {
      if (ours !== undefined) ours.scratch = undefined;
    }
  }

  /** Ends the connection for what a message of the peer's made somebody throw. */
  fail(error: unknown): void {
    this.disconnect(this.#faultOf(error));
  }

  /** A number beyond the chunk's end makes ssh2 stop parsing it. */
  #receive(payload: Buffer, stock: (payload: Buffer) => number | false | undefined): number | false | undefined {
    if (this.#ended !== undefined) return Infinity;
    this.#clock?.count(payload.length);
    const type = payload[0];
    if (type === undefined) throw new SshError('protocol', 'a message is empty');
    if (type === Message.kexInit) {
      if (this.#protocol._kexinit === undefined && this.#clock?.peerMay === false) {
        throw new SshError('protocol', 'the peer exchanges keys too often');
      }
      this.#awaitKeys();
      return stock(payload);
    }
    if (type === Message.disconnect) return this.#dismissed(payload);
    if (type === Message.ignore || type === Message.debug || type === Message.unimplemented) return undefined;
    if (type < Message.serviceRequest || (type > Message.extInfo && type < Message.userauthRequest)) {
      throw new SshError('protocol', `a message of type ${type} came at the wrong time`);
    }
    this.onMessage(payload);
    if (this.#clock?.due === true) this.rekey();
    return this.ended ? Infinity : undefined;
  }

  #dismissed(payload: Buffer): number {
    const reason = payload.length >= 5 ? new WireReader(payload, 1).uint32() : 0;
    this.#end(new SshError('closed', `the peer disconnected (reason ${reason})`));
    return Infinity;
  }

  /** Answers a message that nobody knows (RFC 4253 §11.4). For use within `onMessage` only. */
  unimplemented(): void {
    const next = this.#protocol._decipher?.inSeqno ?? 0;
    this.send(wire({ byte: Message.unimplemented }, { uint32: (next - 1) >>> 0 }));
  }

  #keyed(negotiated: Negotiated): void {
    try {
      if (this.#hostKey !== undefined && this.#hostKey.accepted === undefined) {
        throw new SshError('host-key', 'the host key was not accepted');
      }
      checkNegotiated(negotiated, this.strict);
    } catch (error) {
      return this.disconnect(this.#faultOf(error));
    }
    clearTimeout(this.#rekeyTimer);
    this.#negotiated = negotiated;
    if (this.#clock === undefined) {
      this.#clock = new RekeyClock(this.#rekey?.bytes ?? rekeyBytes(negotiated), this.#rekey?.seconds);
    }
    this.#clock.renewed();
    this.#waiting = 0;
    this.#keys.resolve(negotiated);
    queueMicrotask(this.#drained);
  }

  readonly #drained = (): void => {
    if (this.#ended === undefined && this.#waiting === 0) this.onDrain();
  };

  /**
   * Several writes make one packet; they leave together, and never while ssh2 is at work: a Duplex that is no network
   * socket may bring the answer within the write.
   */
  readonly #write: Send = (bytes, lend) => {
    if (!this.#socket.writable) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    if (lend !== undefined && this.#isNetwork) this.#socket.write(bytes, lend());
    else this.#socket.write(bytes);
  };

  #faultOf(error: unknown): SshError {
    if (error instanceof SshError) return error;
    const text = error instanceof Error ? error.message : '';
    if (text.startsWith('Host denied')) return new SshError('host-key', 'the host key is not one that is known');
    if (this.#hostKey !== undefined && text.includes('no matching host key')) {
      return new SshError('host-key', 'the upstream has no host key of a type that is known');
    }
    if (text.includes('no matching')) return new SshError('algorithms', 'there is no algorithm in common');
    return new SshError('protocol', 'the peer broke the protocol', { cause: error });
  }

  #end(error: SshError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    clearTimeout(this.#rekeyTimer);
    this.#protocol.cleanup();
    this.#socket.off('data', this.#feed);
    // Goes on reading so that the close is noticed; nothing listens to the bytes.
    this.#socket.resume();
    this.#socket.end();
    closeSoon(this.#socket);
    this.#keys.reject(error);
    this.#closed.resolve(error);
  }
}

/** A transport on `socket`, which is closed where there can be none. Errors: `unfit`. */
export function openTransport(socket: Duplex, as: TransportRole, options: TransportOptions): Transport {
  try {
    return new Transport(socket, as, options);
  } catch (error) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw error;
  }
}
