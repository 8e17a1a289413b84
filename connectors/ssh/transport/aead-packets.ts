import { freeSpent } from 'secretless-sidecar/connector';
import { LENGTH_BYTES, TAG_BYTES, type Opener, type Sealer } from './aead.ts';
import { fillPadding } from './padding.ts';
import type { Scratch, Written } from './scratch.ts';
import { SshError } from './ssh-error.ts';
import { PACKET_BYTES_MAX } from './ssh2-source.ts';

/** Length of the packet and length of the padding: what comes before the message (RFC 4253 §6). */
const HEAD_BYTES = LENGTH_BYTES + 1;
const PADDING_BYTES_MIN = 4;

/** What a cipher with a tag leaves out of the length that the padding rounds up: the length field itself. */
function paddingOf(messageBytes: number, blockBytes: number): number {
  const padding = blockBytes - ((1 + messageBytes) % blockBytes);
  return padding < PADDING_BYTES_MIN ? padding + blockBytes : padding;
}

/**
 * The message that is being handed over, with the bytes around it in its memory that were its packet's and are nobody's
 * any more. Whoever sends that very message on may write there: that saves a packet of memory and a copy of it.
 */
interface Delivered {
  readonly message: Buffer;
  readonly before: number;
  readonly behind: number;
  /** Memory of its own that it lies in; absent: it lies where its packet was read. */
  readonly own: Buffer | undefined;
  /** What its packet was read into, where that can be freed, and the bytes of it that nobody else accounts for. */
  readonly scratch: Scratch | undefined;
  readonly scratchBytes: number;
  /** Whether it was sent on by somebody who says when it has been written. */
  lent: boolean;
}
let delivered: Delivered | undefined;

/** Sends bytes. Where `lend` is called, what it returns is called when they have left our memory. */
export type Send = (bytes: Buffer, lend?: () => Written) => void;

/** What frees the memory of a message that was sent on, once that has been written. */
function lending(delivery: Delivered, sealed?: Buffer): () => Written {
  return () => {
    const { own, scratch, scratchBytes } = delivery;
    delivery.lent = true;
    const written = scratch?.lend(scratchBytes);
    return (error) => {
      written?.(error);
      if (error) return;
      if (own !== undefined) freeSpent(own);
      if (sealed !== undefined) freeSpent(sealed);
    };
  };
}

/** Outgoing packets, as ssh2 wants a cipher to look like. */
export class AeadCipher {
  outSeqno: number;
  readonly #sealer: Sealer;
  readonly #blockBytes: number;
  readonly #write: (bytes: Buffer) => void;
  #dead = false;

  constructor(sealer: Sealer, blockBytes: number, number: number, write: (bytes: Buffer) => void) {
    this.#sealer = sealer;
    this.#blockBytes = blockBytes;
    this.outSeqno = number;
    this.#write = write;
  }

  free(): void {
    this.#dead = true;
    this.#sealer.free();
  }

  /** A packet in clear, whose message goes to offset 5, with room for the tag. */
  allocPacket(messageBytes: number): Buffer {
    const padding = paddingOf(messageBytes, this.#blockBytes);
    const packet = Buffer.allocUnsafe(HEAD_BYTES + messageBytes + padding + TAG_BYTES);
    packet.writeUInt32BE(1 + messageBytes + padding, 0);
    packet[LENGTH_BYTES] = padding;
    fillPadding(packet, HEAD_BYTES + messageBytes, HEAD_BYTES + messageBytes + padding);
    return packet;
  }

  /** Sends what `allocPacket` made. */
  encrypt(packet: Buffer): void {
    if (this.#dead) return;
    if (this.#sealer.inPlace) {
      this.#sealer.seal(packet, this.outSeqno);
      this.#write(packet);
    } else {
      const body = packet.subarray(LENGTH_BYTES, -TAG_BYTES);
      for (const part of this.#sealer.seal(packet.subarray(0, LENGTH_BYTES), body, this.outSeqno)) this.#write(part);
    }
    this.outSeqno = (this.outSeqno + 1) >>> 0;
  }

  /**
   * Sends `message` from where it lies, where it is the one that is being delivered and there is room around it. Its
   * bytes are lost then. False: nothing was done.
   */
  forward(message: Buffer, send: Send = this.#write): boolean {
    const around = delivered;
    if (this.#dead || around?.message !== message) return false;
    const padding = paddingOf(message.length, this.#blockBytes);
    const inPlace = this.#sealer.inPlace;
    if (around.before < (inPlace ? HEAD_BYTES : 1) || around.behind < padding + (inPlace ? TAG_BYTES : 0)) return false;
    delivered = undefined;
    const bodyBytes = 1 + message.length + padding;
    const body = Buffer.from(message.buffer, message.byteOffset - 1, bodyBytes);
    body[0] = padding;
    fillPadding(body, 1 + message.length, bodyBytes);
    if (this.#sealer.inPlace) {
      const packetBytes = LENGTH_BYTES + bodyBytes + TAG_BYTES;
      const packet = Buffer.from(message.buffer, message.byteOffset - HEAD_BYTES, packetBytes);
      packet.writeUInt32BE(bodyBytes, 0);
      this.#sealer.seal(packet, this.outSeqno);
      send(packet, lending(around));
    } else {
      const length = Buffer.allocUnsafe(LENGTH_BYTES);
      length.writeUInt32BE(bodyBytes, 0);
      const [sealedLength, sealed, tag] = this.#sealer.seal(length, body, this.outSeqno);
      send(sealedLength);
      send(sealed, lending(around, sealed));
      send(tag);
    }
    this.outSeqno = (this.outSeqno + 1) >>> 0;
    return true;
  }
}

type Answer = number | false | undefined;

/** Incoming packets, as ssh2 wants a decipher to look like. */
export class AeadDecipher {
  inSeqno: number;
  /** ssh2 replaces it while keys are exchanged. */
  _onPayload: (message: Buffer) => Answer;
  /** What `decrypt` is given, where that can be freed. */
  scratch: Scratch | undefined;
  readonly #opener: Opener;
  readonly #blockBytes: number;
  readonly #length = Buffer.allocUnsafeSlow(LENGTH_BYTES);
  #lengthBytes = 0;
  /** Of the packet whose length is known. */
  #bodyBytes = 0;
  /** A packet that came in pieces: length, body and tag. */
  #packet: Buffer | undefined;
  #packetBytes = 0;
  #dead = false;

  constructor(opener: Opener, blockBytes: number, number: number, onPayload: (message: Buffer) => Answer) {
    this.#opener = opener;
    this.#blockBytes = blockBytes;
    this.inSeqno = number;
    this._onPayload = onPayload;
  }

  /** ssh2 may call it while a message is being delivered. */
  free(): void {
    this.#dead = true;
    this.#opener.free();
  }

  /** Takes the bytes of `chunk` from `start` to `end`. What it returns is ssh2's: where to go on with other keys. */
  decrypt(chunk: Buffer, start: number, end: number): number | undefined {
    let at = start;
    while (at < end && !this.#dead) {
      if (this.#lengthBytes < LENGTH_BYTES) {
        const from = at;
        while (this.#lengthBytes < LENGTH_BYTES && at < end) this.#length[this.#lengthBytes++] = chunk[at++]!;
        this.scratch?.spend(at - from);
        if (this.#lengthBytes < LENGTH_BYTES) return undefined;
        this.#bodyBytes = this.#checkedLength();
      }
      const restBytes = this.#bodyBytes + TAG_BYTES;
      // Its length field must be in this chunk too: those bytes are needed to send the message on from where it lies.
      const lies = this.#packetBytes === 0 && end - at >= restBytes && at - start >= LENGTH_BYTES;
      let packet: Buffer;
      if (lies) {
        packet = chunk.subarray(at - LENGTH_BYTES, at + restBytes);
        at += restBytes;
      } else {
        at += this.#collect(chunk, at, end);
        if (this.#packetBytes < LENGTH_BYTES + restBytes) return undefined;
        packet = this.#packet!.subarray(0, LENGTH_BYTES + restBytes);
      }
      const answer = this.#deliver(packet, lies);
      if (answer !== undefined) return answer === false ? at : answer;
    }
    return undefined;
  }

  #checkedLength(): number {
    const bytes = this.#opener.bodyBytes(this.#length, this.inSeqno);
    if (bytes > PACKET_BYTES_MAX || bytes < this.#blockBytes || bytes % this.#blockBytes !== 0) {
      throw new SshError('protocol', 'a packet is of a length that none may have');
    }
    return bytes;
  }

  /** Puts the pieces of a packet together. Memory is given for what its length says, which has been checked. */
  #collect(chunk: Buffer, at: number, end: number): number {
    const wanted = LENGTH_BYTES + this.#bodyBytes + TAG_BYTES;
    if (this.#packetBytes === 0) {
      // What is not decrypted in place leaves the memory free for the next packet.
      if (this.#packet === undefined || this.#packet.length < wanted) this.#packet = Buffer.allocUnsafeSlow(wanted);
      this.#length.copy(this.#packet);
      this.#packetBytes = LENGTH_BYTES;
    }
    const taken = chunk.copy(this.#packet!, this.#packetBytes, at, Math.min(end, at + wanted - this.#packetBytes));
    this.#packetBytes += taken;
    this.scratch?.spend(taken);
    return taken;
  }

  /** `lies`: the packet lies where it was read. */
  #deliver(packet: Buffer, lies: boolean): Answer {
    const tagAt = LENGTH_BYTES + this.#bodyBytes;
    const body = this.#opener.open(
      this.#length,
      packet.subarray(LENGTH_BYTES, tagAt),
      packet.subarray(tagAt),
      this.inSeqno,
    );
    const padding = body[0]!;
    const messageBytes = body.length - 1 - padding;
    if (padding < PADDING_BYTES_MIN || messageBytes < 0) throw new SshError('protocol', 'a packet is badly padded');
    const message = body.subarray(1, 1 + messageBytes);
    const { inPlace } = this.#opener;
    this.inSeqno = (this.inSeqno + 1) >>> 0;
    this.#lengthBytes = 0;
    this.#packetBytes = 0;
    if (inPlace) this.#packet = undefined;
    const own = inPlace ? (lies ? undefined : packet) : body;
    const delivery: Delivered = {
      message,
      before: inPlace ? HEAD_BYTES : 1,
      behind: padding + (inPlace ? TAG_BYTES : 0),
      own,
      scratch: lies ? this.scratch : undefined,
      scratchBytes: packet.length - LENGTH_BYTES,
      lent: false,
    };
    delivered = delivery;
    try {
      return this._onPayload(message);
    } finally {
      delivered = undefined;
      if (own !== undefined && !delivery.lent) this.scratch?.leave(own.length);
    }
  }
}
