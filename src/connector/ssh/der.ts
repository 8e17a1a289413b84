import type { Scratch } from './scratch.ts';
import { WireError } from './wire.ts';

/** Tags of DER (X.690 section 8) that keys are made of. */
export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  sequence: 0x30,
  /** `[0]` and `[1]`, constructed. */
  first: 0xa0,
  second: 0xa1,
} as const;

/** One element; what it is written into is kept by the scratch. */
export function derOf(scratch: Scratch, tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new WireError(`an element of ${length} bytes`);
  return scratch.keep(Buffer.concat([Buffer.of(tag, ...size), ...parts]));
}

/** An INTEGER of that magnitude. */
export function derInteger(scratch: Scratch, magnitude: Uint8Array): Buffer {
  const isSigned = magnitude.length === 0 || magnitude[0]! >= 0x80;
  return derOf(scratch, TAG.integer, isSigned ? Buffer.alloc(1) : Buffer.alloc(0), magnitude);
}
