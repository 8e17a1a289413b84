const SURROGATE = 0xdc00;
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// eslint-disable-next-line no-control-regex -- every ASCII character, the controls too
const ASCII = /^[\x00-\x7f]*$/;

/**
 * Bytes (latin1) as text: UTF-8, and each byte that belongs to none as a lone surrogate U+DC80 to U+DCFF, so that
 * different keys stay different and no pattern over real text matches them by chance.
 */
export function keyText(bytes: string): string {
  if (ASCII.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  try {
    return STRICT.decode(buffer);
  } catch {
    return escapeInvalid(buffer);
  }
}

function escapeInvalid(buffer: Buffer): string {
  let text = '';
  for (let at = 0; at < buffer.length;) {
    const length = sequenceLength(buffer, at);
    text += length === 0 ? String.fromCharCode(SURROGATE + buffer[at]!) : buffer.toString('utf8', at, at + length);
    at += Math.max(length, 1);
  }
  return text;
}

/** Bytes of the well-formed sequence at a place, 0 where there is none (Unicode 15, table 3-7). */
function sequenceLength(buffer: Buffer, at: number): number {
  const first = buffer[at]!;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > buffer.length) return 0;
  try {
    STRICT.decode(buffer.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
