import { PACKET_BYTES_MAX } from './ssh2-source.ts';

/** The tag of `length` and `body` under a key that is used once and wiped. */
export type Poly1305 = (key: Buffer, length: Buffer, body: Buffer) => Buffer;

/** ssh2's Poly1305: WebAssembly, its memory and its exports. */
export interface Poly1305Module {
  /** Anew with each use: growing the memory replaces it. */
  readonly HEAPU8: Uint8Array;
  readonly _malloc: (bytes: number) => number;
  readonly _poly1305_auth: (
    tag: number,
    first: number,
    firstBytes: number,
    second: number,
    secondBytes: number,
    key: number,
  ) => void;
}

const TAG_BYTES = 16;
const KEY_BYTES = 32;
const LENGTH_BYTES = 4;

/** Works in one piece of the module's memory, so that a packet costs one copy and no allocation. */
export function poly1305Of(module: Poly1305Module): Poly1305 {
  const tagAt = module._malloc(TAG_BYTES + KEY_BYTES + LENGTH_BYTES + PACKET_BYTES_MAX);
  const keyAt = tagAt + TAG_BYTES;
  const lengthAt = keyAt + KEY_BYTES;
  const bodyAt = lengthAt + LENGTH_BYTES;
  return (key, length, body) => {
    if (body.length > PACKET_BYTES_MAX) throw new RangeError('the packet is too large');
    const memory = module.HEAPU8;
    memory.set(key, keyAt);
    memory.set(length, lengthAt);
    memory.set(body, bodyAt);
    module._poly1305_auth(tagAt, lengthAt, LENGTH_BYTES, bodyAt, body.length, keyAt);
    memory.fill(0, keyAt, lengthAt);
    key.fill(0);
    return Buffer.from(memory.subarray(tagAt, keyAt));
  };
}
