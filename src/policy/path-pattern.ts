import { matchPieces } from './glob.ts';

/** Matches a path cut into segments by `segmentsOf`. */
export type PathMatcher = (segments: readonly string[]) => boolean;

/** A literal segment, or the literal pieces between its stars. */
type SegmentPattern = string | readonly string[];

const HEX = '[0-9A-Fa-f]{2}';
const ESCAPE = new RegExp(`%${HEX}`, 'g');

/** What no request path holds that path rules are applied to; a pattern with it would quietly never match. */
const NEVER_IN_A_PATH: readonly (readonly [RegExp, string])[] = [
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  [/[\u0000-\u001f\u007f]|%[01][0-9A-Fa-f]|%7[Ff]/, 'holds a control character'],
  [/\\|%5[Cc]/, 'holds a backslash'],
  [/\?|%3[Ff]/, 'holds `?`: the query is no part of the path'],
  [/#|%23/, 'holds `#`'],
  [/;|%3[Bb]/, 'holds `;`'],
  [/%2[Ff]/, 'holds an encoded slash'],
  [new RegExp(`%(?!${HEX})`), 'holds a `%` that is no escape (write %25 for the character)'],
  [new RegExp(`%25${HEX}`), 'is escaped twice'],
  [/\/\/|\/\.{1,2}(?=\/|$)/, 'holds an empty or a dot segment'],
];

/**
 * The segments of a canonical path in matching form. The first is what stands before the leading slash, so empty:
 * `/a/b/` → ``, `a`, `b`, ``.
 *
 * Matching form: an escape of a printable ASCII character is read as that character, so that `/v1/job%3Acancel` does
 * not slip past a rule on `/v1/job:cancel`: upstreams decode before they route. Escapes of `/`, `%`, `\` and of
 * everything else stay, in upper case.
 */
export function segmentsOf(path: string): string[] {
  const form = path.includes('%') ? path.replace(ESCAPE, matchingForm) : path;
  return form.split('/');
}

function matchingForm(escape: string): string {
  const code = Number.parseInt(escape.slice(1), 16);
  const character = String.fromCharCode(code);
  const kept = code <= 0x20 || code >= 0x7f || character === '/' || character === '%' || character === '\\';
  return kept ? escape.toUpperCase() : character;
}

/**
 * Matches any of the patterns. Throws an Error with the reason.
 * @param slashMatters false: a slash at the end of path or pattern makes no difference.
 */
export function compilePaths(patterns: readonly string[], slashMatters: boolean): PathMatcher {
  const matchers = patterns.map((pattern) => compilePath(pattern, slashMatters));
  if (matchers.length === 1) return matchers[0]!;
  return (segments) => {
    for (const matches of matchers) if (matches(segments)) return true;
    return false;
  };
}

function compilePath(pattern: string, slashMatters: boolean): PathMatcher {
  if (pattern === '**') return compilePath('/**', slashMatters);
  if (!pattern.startsWith('/')) throw new Error(`"${pattern}" does not begin with \`/\``);
  for (const [found, reason] of NEVER_IN_A_PATH) if (found.test(pattern)) throw new Error(`"${pattern}" ${reason}`);
  const words = pattern.split('/');
  if (!slashMatters && words.length > 1 && words.at(-1) === '') words.pop();

  const chunks: SegmentPattern[][] = [[]];
  for (const word of words) {
    if (word === '**') chunks.push([]);
    else chunks.at(-1)!.push(compileSegment(word, pattern));
  }
  return (segments) => {
    const slashed = !slashMatters && segments.length > 1 && segments.at(-1) === '';
    return matchChunks(chunks, segments, slashed ? segments.length - 1 : segments.length);
  };
}

function compileSegment(word: string, pattern: string): SegmentPattern {
  if (word.includes('**')) throw new Error(`"${pattern}": \`**\` stands alone in its segment`);
  // Cut at the stars first: `%2A` is the character, not a wildcard.
  const pieces = word.split('*').map((piece) => encodeText(piece, pattern).replace(ESCAPE, matchingForm));
  if (pieces.length > 1) return pieces;
  const literal = pieces[0]!;
  if (literal === '.' || literal === '..') throw new Error(`"${pattern}" holds a dot segment`);
  return literal;
}

/** Writes as UTF-8 escapes what a path cannot hold as it is: blanks and everything beyond ASCII (RFC 3986 section 2.5). */
function encodeText(text: string, pattern: string): string {
  try {
    decodeURIComponent(encodeURI(text).replaceAll('%25', '%'));
  } catch {
    throw new Error(`"${pattern.toWellFormed()}" is not UTF-8 text`);
  }
  return text.replace(/[^\u0021-\u007e]+/g, encodeURIComponent);
}

/** `chunks` are what stands between the `**`: the first is bound to the start, the last to the end (see `matchPieces`). */
function matchChunks(chunks: readonly SegmentPattern[][], segments: readonly string[], length: number): boolean {
  const first = chunks[0]!;
  const inner = chunks.length - 1;
  if (inner === 0) return first.length === length && chunkAt(first, segments, 0);
  const last = chunks[inner]!;
  const end = length - last.length;
  if (first.length > end || !chunkAt(first, segments, 0) || !chunkAt(last, segments, end)) return false;
  let at = first.length;
  for (let index = 1; index < inner; index += 1) {
    const chunk = chunks[index]!;
    while (at + chunk.length <= end && !chunkAt(chunk, segments, at)) at += 1;
    at += chunk.length;
    if (at > end) return false;
  }
  return true;
}

function chunkAt(chunk: readonly SegmentPattern[], segments: readonly string[], at: number): boolean {
  for (let index = 0; index < chunk.length; index += 1) {
    const pattern = chunk[index]!;
    const segment = segments[at + index]!;
    if (typeof pattern === 'string') {
      if (segment !== pattern) return false;
      continue;
    }
    // `/a/*` asks for a name there: it does not match the listing at `/a/`.
    if (segment === '' || !matchPieces(pattern, segment)) return false;
  }
  return true;
}
