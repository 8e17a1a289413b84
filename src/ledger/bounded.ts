import { hash } from 'node:crypto';

/** How much of a text a line holds. */
export interface Bound {
  /** Bytes in UTF-8 JSON that a text may have to be written whole. */
  readonly bytesMax: number;
  /** Characters of a longer one that are written, each of them one byte; fewer where they take more. */
  readonly kept: number;
}

/** Text that JSON writes as it is: the usual case, and several times as fast as asking `JSON.stringify`. */
const PLAIN = /^[ !#-[\]-~]*$/;
const DIGEST_CHARACTERS = 12;

/**
 * The text as JSON. Of one that is too long only the beginning, `…` and `sha256:` with 12 hex digits of the whole: whoever
 * has the text can still show that it is the one.
 */
export function boundedJson(text: string, { bytesMax, kept }: Bound): string {
  if (text.length <= bytesMax) {
    if (PLAIN.test(text)) return `"${text}"`;
    const json = JSON.stringify(text);
    if (Buffer.byteLength(json) - 2 <= bytesMax) return json;
  }
  const digest = hash('sha256', text, 'hex').slice(0, DIGEST_CHARACTERS);
  return JSON.stringify(`${beginning(text, kept)}…sha256:${digest}`);
}

/** Whole characters only, so that no half of a surrogate pair is left. */
function beginning(text: string, bytesMax: number): string {
  const plain = text.slice(0, bytesMax);
  if (PLAIN.test(plain)) return plain;
  let length = 0;
  let bytes = 0;
  for (const character of text) {
    bytes += PLAIN.test(character) ? 1 : Buffer.byteLength(JSON.stringify(character)) - 2;
    if (bytes > bytesMax) break;
    length += character.length;
  }
  return text.slice(0, length);
}
