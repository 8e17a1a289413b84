import { SigningProblem } from './problem.ts';

/**
 * Percent-encoding over bytes. Text is latin1 throughout: one character is one byte, as node hands over request lines
 * and fields, so that bytes that are not UTF-8 survive (RFC 3986 section 2.1).
 */

/** RFC 3986 section 2.3. */
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;
const ENCODED: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});
const ESCAPE = /%(?:([0-9A-Fa-f]{2}))?/g;

/** Encodes each byte outside the unreserved set; upper-case hex. Errors: `malformed-escape` above U+00FF. */
export function percentEncode(bytes: string): string {
  if (UNRESERVED.test(bytes)) return bytes;
  let encoded = '';
  for (let at = 0; at < bytes.length; at += 1) {
    const one = ENCODED[bytes.charCodeAt(at)];
    if (one === undefined) throw new SigningProblem('malformed-escape', 'a character is not a byte');
    encoded += one;
  }
  return encoded;
}

/** Errors: `malformed-escape` where `%` is not followed by two hex digits; servers disagree on what that means. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(ESCAPE, (_, hex: string | undefined) => {
    if (hex === undefined)
      throw new SigningProblem('malformed-escape', 'a percent sign is not followed by two hex digits');
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
}
