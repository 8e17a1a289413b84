import { headerValues } from 'secretless-sidecar/connector';
import type { SignableHead } from '../sign/head.ts';
import { percentDecode } from '../sign/percent.ts';
import { SigningProblem } from '../sign/problem.ts';

const FORM_TYPE = /^application\/x-www-form-urlencoded[ \t]*(?:;[ \t]*charset=("?)utf-8\1[ \t]*)?$/i;
/** A name longer than this, escapes and blanks included, is not that of the action. */
const NAME_LENGTH_MAX = 256;

/** Whether the head says that its body is a form, in the one way that every server reads alike. */
export function isPlainForm({ headers }: SignableHead): boolean {
  const types = headerValues(headers, 'content-type');
  const encodings = headerValues(headers, 'content-encoding');
  return (
    types.length === 1 &&
    FORM_TYPE.test(types[0]!.trim()) &&
    encodings.every((one) => /^\s*(?:identity)?\s*$/i.test(one))
  );
}

/** Whether a body may follow. A head without framing fields is read as one that has a body, but for GET and HEAD. */
export function announcesBody({ method, headers }: SignableHead): boolean {
  const lengths = headerValues(headers, 'content-length');
  if (headerValues(headers, 'transfer-encoding').length > 0) return true;
  if (lengths.length > 0) return lengths.some((length) => length.trim() !== '0');
  return method !== 'GET' && method !== 'HEAD';
}

/**
 * Values of every parameter that some server could take for the action: letters of any case, escaped or not, blanks
 * around the name, `;` as a separator. `text` is a query or a form, latin1.
 */
export function actionsIn(text: string): string[] {
  const values: string[] = [];
  let ampersand = -1;
  let semicolon = -1;
  for (let start = 0; start <= text.length;) {
    if (ampersand < start) ampersand = indexOrEnd(text, '&', start);
    if (semicolon < start) semicolon = indexOrEnd(text, ';', start);
    const end = Math.min(ampersand, semicolon);
    const pair = text.slice(start, end);
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (name.length <= NAME_LENGTH_MAX && isAction(name)) values.push(equals < 0 ? '' : decode(pair.slice(equals + 1)));
    start = end + 1;
  }
  return values;
}

function indexOrEnd(text: string, wanted: string, from: number): number {
  const at = text.indexOf(wanted, from);
  return at < 0 ? text.length : at;
}

function isAction(name: string): boolean {
  if (name.length < 6) return false;
  // eslint-disable-next-line no-control-regex -- blanks and controls that a server may trim, and a byte order mark
  return /^(?:\u00ef\u00bb\u00bf)?[\x00-\x20]*action[\x00-\x20]*$/i.test(decode(name));
}

function decode(text: string): string {
  try {
    return percentDecode(text.includes('+') ? text.replaceAll('+', ' ') : text);
  } catch (thrown) {
    // An escape that is none: whatever a server makes of it, it is no action that is known.
    if (thrown instanceof SigningProblem) return text;
    throw thrown;
  }
}
