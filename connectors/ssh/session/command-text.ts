const SURROGATE = 0xdc00;
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A command as policy reads it: UTF-8, and each byte that belongs to none as a lone surrogate U+DC80 to U+DCFF, so that
 * different commands stay different and no pattern over real text matches one by chance.
 */
export function commandText(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return escapeInvalid(Buffer.from(bytes));
  }
}

function escapeInvalid(bytes: Buffer): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    parts.push(length === 0 ? String.fromCharCode(SURROGATE + bytes[at]!) : bytes.toString('utf8', at, at + length));
    at += Math.max(length, 1);
  }
  return parts.join('');
}

/** Bytes of the well-formed sequence at a place, 0 where there is none (Unicode 15, table 3-7). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    STRICT.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
