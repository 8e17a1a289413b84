import { SidecarError } from '../error.ts';

export interface CanonicalPath {
  /** The path as it is sent, percent-escapes in upper case (RFC 3986 section 6.2.2.1); no query. */
  readonly path: string;
  /** Why an upstream may read it in another way; policy refuses such a request where rules look at the path. */
  readonly ambiguity?: string;
}

const SLASH = 0x2f;
const DOT = 0x2e;
const QUESTION = 0x3f;

/** 1 where a character has one reading whatever the upstream: pchar of RFC 3986 without `%`, `;`, plus `/`. */
const PLAIN = new Uint8Array(128);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/") {
  PLAIN[char.charCodeAt(0)] = 1;
}

const ESCAPE = /%[0-9A-Fa-f]{2}/g;
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const UNSENDABLE = /[^!-~]|#/;
const ESCAPED_CONTROL = /%(?:[01][0-9A-F]|7F)/;
/** An escape hidden under any number of `%25`: `%252E`, `%25252E`. */
const NESTED_ESCAPE = /%(?:25)+(?=[0-9A-F]{2})/gi;
/** A segment that resolves to here or above; some servers cut parameters, query or fragment off before they resolve. */
const DOT_SEGMENT = /(?:^|[/\\])\.{1,2}(?:[/\\;?#]|$)/;
/** Lead bytes of a form longer than its character needs (RFC 3629 section 3): `%C0%AE` for a dot. */
const OVER_LONG = /%(?:C[01]|E0%[89][0-9A-F]|F0%8[0-9A-F]|F8%8[0-7]|FC%8[0-3])/i;
/** Blanks, invisible characters and what is no UTF-8: some readers trim or skip them. */
const SKIPPED = /[\p{C}\p{Z}\uFFFD]/gu;

/** What is refused only where path rules apply, in the order reported. Escapes are in upper case by then, hidden ones as sent. */
const AMBIGUITIES: readonly (readonly [RegExp, string])[] = [
  [/\/\//, 'doubled slash'],
  [/%2F/, 'encoded slash (%2F)'],
  [/;|%3B/, 'path parameter (;)'],
  [/%25[0-9A-F]{2}/i, 'double encoding (%25)'],
  [/%(?:2D|2E|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])/, 'encoded character that needs no encoding'],
  [/%(?:3F|23)/, 'encoded delimiter (%3F or %23)'],
  [/["<>[\]^`{|}]/, 'character that must be encoded (RFC 3986 section 3.3)'],
];

function ambiguous(reason: string): SidecarError {
  return new SidecarError('path-ambiguous', { detail: reason });
}

/**
 * The path of an origin-form target, as policy sees it.
 *
 * Throws `path-ambiguous`, rules or not, for what no honest client sends and some server would resolve: dot segments (plain,
 * encoded, doubly encoded, behind `%2F`, before `;`, with blanks or look-alikes of a dot in them), over-long UTF-8,
 * backslashes, controls, bytes outside ASCII, `#`, broken escapes.
 * What honest clients do send but servers read differently (`/projects/group%2Fname`) comes back with `ambiguity`.
 *
 * `literal` is for an upstream that resolves nothing (`HttpHandling.readsPathLiterally`): all of that is `ambiguity`
 * then, but for what no request line can carry in one reading: raw controls, blanks and bytes outside ASCII, `#`, broken
 * escapes.
 */
export function canonicalPath(target: string, literal = false): CanonicalPath {
  if (target.charCodeAt(0) !== SLASH)
    throw new SidecarError('request-malformed', { detail: 'path without leading slash' });
  const length = target.length;
  let previous = 0;
  let at = 0;
  for (; at < length; at++) {
    const code = target.charCodeAt(at);
    if (code === QUESTION) break;
    if (PLAIN[code] !== 1) return inspectPath(pathOf(target), literal);
    if (previous === SLASH && (code === SLASH || code === DOT)) return inspectPath(pathOf(target), literal);
    previous = code;
  }
  return { path: at === length ? target : target.slice(0, at) };
}

function pathOf(target: string): string {
  const mark = target.indexOf('?');
  return mark < 0 ? target : target.slice(0, mark);
}

function inspectPath(raw: string, literal: boolean): CanonicalPath {
  if (UNSENDABLE.test(raw)) throw ambiguous('control character, blank, # or byte outside ASCII');
  if (BAD_ESCAPE.test(raw)) throw ambiguous('percent sign without two hex digits');
  const path = raw.replace(ESCAPE, (escape) => escape.toUpperCase());
  const resolved = resolvedProblem(path);
  if (resolved !== undefined) {
    if (literal) return { path, ambiguity: resolved };
    throw ambiguous(resolved);
  }
  for (const [form, reason] of AMBIGUITIES) {
    if (form.test(path)) return { path, ambiguity: reason };
  }
  return isUtf8(path) ? { path } : { path, ambiguity: 'escapes that are not UTF-8' };
}

/** What some server would resolve, trim or turn, in a path whose escapes are in upper case. */
function resolvedProblem(path: string): string | undefined {
  if (ESCAPED_CONTROL.test(path)) return 'encoded control character';
  if (path.includes('\\') || path.includes('%5C')) return 'backslash';
  const once = path.replace(NESTED_ESCAPE, '%');
  if (OVER_LONG.test(once)) return 'over-long UTF-8';
  if (DOT_SEGMENT.test(lenientlyRead(once))) return 'dot segment';
  return undefined;
}

/**
 * The text that the most lenient reader makes of a path: all escapes decoded, look-alikes turned into the character they
 * resemble (Unicode NFKC: U+FF0E and U+2024 are dots, U+FF0F is a slash), blanks and broken bytes left out.
 */
function lenientlyRead(path: string): string {
  const bytes = path.replace(ESCAPE, (escape) => String.fromCharCode(parseInt(escape.slice(1), 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8').normalize('NFKC').replace(SKIPPED, '');
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
