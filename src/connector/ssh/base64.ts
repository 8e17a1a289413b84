import { WireError } from './wire.ts';

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const VALUES = new Int8Array(256).fill(-1);
for (const [value, letter] of ALPHABET.entries()) VALUES[letter] = value;
const PAD = 0x3d;
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Base64 (RFC 4648 section 4) between buffers, because key material must not become a JavaScript string. Blanks and
 * line ends are skipped, padding may be absent; anything else is a `WireError`. The memory is its own, to be wiped.
 */
export function base64Decode(text: Uint8Array): Buffer {
  const bytes = Buffer.alloc(Math.floor((text.length * 3) / 4));
  let [length, group, letters, pads] = [0, 0, 0, 0];
  for (const letter of text) {
    if (BLANKS.has(letter)) continue;
    if (letter === PAD) {
      pads += 1;
      continue;
    }
    const value = VALUES[letter]!;
    if (value < 0 || pads > 0) {
      bytes.fill(0);
      throw new WireError('the Base64 has a foreign character');
    }
    group = ((group << 6) | value) & 0xffffff;
    letters += 1;
    if (letters % 4 !== 1) bytes[length++] = (group >> (6 - 2 * ((letters - 1) % 4))) & 0xff;
  }
  const rest = letters % 4;
  // RFC 4648 section 3.5: bits that no byte takes up are zero, so that there is one way to write a thing.
  const isLoose = (rest === 2 && (group & 0xf) !== 0) || (rest === 3 && (group & 0x3) !== 0);
  if (rest === 1 || isLoose || (pads > 0 && (letters + pads) % 4 !== 0) || pads > 2) {
    bytes.fill(0);
    throw new WireError('the Base64 does not end as it must');
  }
  return bytes.subarray(0, length);
}

/** Padded Base64 in lines of 70 letters, each with its line end. The memory is its own, to be wiped. */
export function base64Lines(bytes: Uint8Array): Buffer {
  const letters = Math.ceil(bytes.length / 3) * 4;
  const text = Buffer.alloc(letters + Math.ceil(letters / 70));
  let at = 0;
  for (let letter = 0; letter < letters; letter += 1) {
    const first = Math.floor(letter / 4) * 3;
    const group = ((bytes[first] ?? 0) << 16) | ((bytes[first + 1] ?? 0) << 8) | (bytes[first + 2] ?? 0);
    const isPad = first + (letter % 4) - 1 >= bytes.length;
    text[at++] = isPad ? PAD : ALPHABET[(group >> (18 - 6 * (letter % 4))) & 0x3f]!;
    if (letter % 70 === 69 || letter === letters - 1) text[at++] = 0x0a;
  }
  return text;
}
