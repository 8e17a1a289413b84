import type { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A secret as the text of one line: for a header, a query parameter or a password.
 *
 * One trailing newline is dropped (files end with one); then CR, LF, NUL, other control characters, outer blanks and
 * bytes that are not UTF-8 are refused with `credential-unfit`, since any of them would change what the upstream reads.
 */
export function lineOf(secret: Secret, name: string): string {
  return secret.expose((bytes) => {
    let end = bytes.length;
    if (end > 0 && bytes[end - 1] === NEWLINE) end -= 1;
    if (end > 0 && end < bytes.length && bytes[end - 1] === RETURN) end -= 1;
    let text: string;
    try {
      text = STRICT_UTF8.decode(bytes.subarray(0, end));
    } catch {
      throw new SidecarError('credential-unfit', { detail: `credential "${name}" is not UTF-8 text` });
    }
    const problem = lineProblem(text);
    if (problem !== undefined)
      throw new SidecarError('credential-unfit', { detail: `credential "${name}" ${problem}` });
    return text;
  });
}

/** What keeps a text from being sent as one line; undefined where nothing does. Never quotes the text. */
export function lineProblem(text: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(text)) return 'holds a line break or another control character';
  if (/^[ \t]|[ \t]$/.test(text)) return 'begins or ends with a blank';
  return undefined;
}
