/** The usual case. */
const PLAIN = /^[ -[\]-~]*$/;
/** What a terminal would act on or not show, and a backslash that would read as one of ours. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|\\(?=x[0-9a-f]{2})/gu;

/**
 * The text with `\xNN` for each byte of what is not printable. Lone surrogates U+DC80 to U+DCFF stand for bytes that are
 * not UTF-8 (PEP 383).
 */
export function printableText(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  const bytes = code >= 0xdc80 && code <= 0xdcff ? [code & 0xff] : bytesOf(code, character);
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

/** UTF-8, also of a surrogate alone, which Node would replace. */
function bytesOf(code: number, character: string): Iterable<number> {
  if (code < 0xd800 || code > 0xdfff) return Buffer.from(character);
  return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
}
