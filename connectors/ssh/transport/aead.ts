import { createCipheriv, createDecipheriv, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import type { Poly1305 } from './poly1305.ts';
import type { Addon } from './ssh2-addon.ts';

/** Of AES-GCM and of Poly1305. */
export const TAG_BYTES = 16;
export const LENGTH_BYTES = 4;

export type SealedParts = readonly [length: Buffer, body: Buffer, tag: Buffer];

/** Encrypts the packets of one direction. */
export type Sealer = { readonly free: () => void } & (
  | {
      readonly inPlace: true;
      /** `packet` is length, body and room for the tag. */
      readonly seal: (packet: Buffer, number: number) => void;
    }
  | {
      readonly inPlace: false;
      /** What goes out: length, body and tag, in memory of their own but for a length that stays readable. */
      readonly seal: (length: Buffer, body: Buffer, number: number) => SealedParts;
    }
);

/** Checks and decrypts the packets of one direction. Errors: any, where a packet is not the peer's. */
export interface Opener {
  /** Whether `open` needs the packet's own memory, which then holds what it returns. */
  readonly inPlace: boolean;
  readonly free: () => void;
  /** Bytes of the body, as the length field says. */
  readonly bodyBytes: (length: Buffer, number: number) => number;
  /** The body in clear: length of the padding, message, padding. */
  readonly open: (length: Buffer, body: Buffer, tag: Buffer, number: number) => Buffer;
}

export interface Keys {
  /** OpenSSL's name of the cipher. */
  readonly cipher: string;
  readonly key: Buffer;
  /** Of AES-GCM: 12 bytes. */
  readonly iv: Buffer;
}

const nothing = (): void => undefined;
const readLength = (length: Buffer): number => length.readUInt32BE(0);

/** AES-GCM by the addon, which counts the packets itself (RFC 5647 §7.1). */
export function addonGcmSealer({ AESGCMCipher }: Addon, { cipher, key, iv }: Keys): Sealer {
  const made = new AESGCMCipher(cipher, key, iv);
  return { inPlace: true, seal: (packet) => made.encrypt(packet), free: () => made.free() };
}

export function addonGcmOpener({ AESGCMDecipher }: Addon, { cipher, key, iv }: Keys): Opener {
  const made = new AESGCMDecipher(cipher, key, iv);
  const open: Opener['open'] = (_length, body, tag) => {
    made.decrypt(body, body.length, tag);
    return body;
  };
  return { inPlace: true, bodyBytes: readLength, open, free: () => made.free() };
}

/** ChaCha20-Poly1305 (PROTOCOL.chacha20poly1305 of OpenSSH) by the addon. */
export function addonChachaSealer({ ChaChaPolyCipher }: Addon, { key }: Keys): Sealer {
  const made = new ChaChaPolyCipher(key);
  return { inPlace: true, seal: (packet, number) => made.encrypt(packet, number), free: () => made.free() };
}

export function addonChachaOpener({ ChaChaPolyDecipher }: Addon, { key }: Keys): Opener {
  const made = new ChaChaPolyDecipher(key);
  const open: Opener['open'] = (_length, body, tag, number) => {
    made.decrypt(body, tag, number);
    return body;
  };
  const bodyBytes: Opener['bodyBytes'] = (length, number) => made.decryptLen(length, number);
  return { inPlace: true, bodyBytes, open, free: () => made.free() };
}

/** The nonce of AES-GCM: four bytes that stay, eight that count packets (RFC 5647 §7.1). */
function countUp(iv: Buffer): void {
  const low = (iv.readUInt32BE(8) + 1) >>> 0;
  iv.writeUInt32BE(low, 8);
  if (low === 0) iv.writeUInt32BE((iv.readUInt32BE(4) + 1) >>> 0, 4);
}

type GcmName = 'aes-128-gcm' | 'aes-256-gcm';

export function nodeGcmSealer({ cipher, key, iv: first }: Keys): Sealer {
  const secret = createSecretKey(key);
  const iv = Buffer.from(first);
  const seal = (length: Buffer, body: Buffer): SealedParts => {
    const made = createCipheriv(cipher as GcmName, secret, iv);
    countUp(iv);
    made.setAAD(length);
    const sealed = made.update(body);
    made.final();
    return [length, sealed, made.getAuthTag()];
  };
  return { inPlace: false, seal, free: nothing };
}

export function nodeGcmOpener({ cipher, key, iv: first }: Keys): Opener {
  const secret = createSecretKey(key);
  const iv = Buffer.from(first);
  const open: Opener['open'] = (length, body, tag) => {
    const made = createDecipheriv(cipher as GcmName, secret, iv, { authTagLength: TAG_BYTES });
    countUp(iv);
    made.setAAD(length);
    made.setAuthTag(tag);
    const opened = made.update(body);
    made.final();
    return opened;
  };
  return { inPlace: false, bodyBytes: readLength, open, free: nothing };
}

/** Of ChaCha20: the first one makes the key of Poly1305, the body begins with the second. */
const FIRST_BLOCK = Buffer.alloc(64);
const POLY1305_KEY_BYTES = 32;

class ChachaKeys {
  readonly #main: KeyObject;
  readonly #length: KeyObject;
  readonly #nonce = Buffer.alloc(16);

  constructor(key: Buffer) {
    this.#main = createSecretKey(key.subarray(0, 32));
    this.#length = createSecretKey(key.subarray(32));
  }

  /** Encrypts and decrypts. */
  length(length: Buffer, number: number): Buffer {
    this.#nonce.writeUInt32BE(number, 12);
    return createCipheriv('chacha20', this.#length, this.#nonce).update(length);
  }

  /** The key of Poly1305, and what encrypts and decrypts the body. */
  packet(number: number): { readonly polyKey: Buffer; readonly body: (bytes: Buffer) => Buffer } {
    this.#nonce.writeUInt32BE(number, 12);
    const made = createCipheriv('chacha20', this.#main, this.#nonce);
    const polyKey = made.update(FIRST_BLOCK).subarray(0, POLY1305_KEY_BYTES);
    return { polyKey, body: (bytes) => made.update(bytes) };
  }
}

export function nodeChachaSealer(poly1305: Poly1305, { key }: Keys): Sealer {
  const keys = new ChachaKeys(key);
  const seal = (length: Buffer, body: Buffer, number: number): SealedParts => {
    const { polyKey, body: encrypt } = keys.packet(number);
    const sealedLength = keys.length(length, number);
    const sealed = encrypt(body);
    return [sealedLength, sealed, poly1305(polyKey, sealedLength, sealed)];
  };
  return { inPlace: false, seal, free: nothing };
}

export function nodeChachaOpener(poly1305: Poly1305, { key }: Keys): Opener {
  const keys = new ChachaKeys(key);
  const open: Opener['open'] = (length, body, tag, number) => {
    const { polyKey, body: decrypt } = keys.packet(number);
    if (!timingSafeEqual(poly1305(polyKey, length, body), tag)) throw new Error('the tag is not that of the packet');
    return decrypt(body);
  };
  const bodyBytes: Opener['bodyBytes'] = (length, number) => keys.length(length, number).readUInt32BE(0);
  return { inPlace: false, bodyBytes, open, free: nothing };
}
