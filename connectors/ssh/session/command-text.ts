const SURROGATE = 0xdc00;
/** By first byte, where the second one has narrower bounds than those behind it. */
const SECOND: Readonly<Record<number, readonly [lowest: number, highest: number]>> = {
  0xe0: [0xa0, 0xbf],
  0xed: [0x80, 0x9f],
  0xf0: [0x90, 0xbf],
  0xf4: [0x80, 0x8f],
};
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
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      parts.push(bytes.toString('utf8', from, at), String.fromCharCode(SURROGATE + bytes[at]!));
      from = at + 1;
    }
    at += Math.max(length, 1);
  }
  parts.push(bytes.toString('utf8', from));
  return parts.join('');
}

/** Bytes of the well-formed sequence at a place, 0 where there is none (Unicode 15, table 3-7). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const [lowest, highest] = SECOND[first] ?? [0x80, 0xbf];
  const second = bytes[at + 1]!;
  if (second < lowest || second > highest) return 0;
  for (let next = at + 2; next < at + length; next++) if ((bytes[next]! & 0xc0) !== 0x80) return 0;
  return length;
}
