import { matchPieces } from './glob.ts';

/** Matches a path cut into segments by `segmentsOf`; `numbers` are theirs by `numbersOf`. */
export type PathMatcher = (segments: readonly string[], numbers?: readonly number[]) => boolean;

/** What stands between two `**`. */
interface Chunk {
  readonly length: number;
  /** The number of each literal segment, in order; `GLOB` for one with stars. */
  readonly numbers: readonly number[];
  readonly globs: readonly { readonly at: number; readonly pieces: readonly string[] }[];
}

/** A literal segment, or the literal pieces between its stars. */
type SegmentPattern = string | readonly string[];

const GLOB = -1;
const NO_LITERAL = -2;

/**
 * Each literal segment of any pattern has a number, so that a path is compared with many patterns by numbers and not by
 * texts. Grows with the patterns of the configuration, never with requests.
 */
const literals = new Map<string, number>();

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

/** The numbers of segments that some pattern names; computed once for all patterns. */
export function numbersOf(segments: readonly string[]): readonly number[] {
  return segments.map((segment) => literals.get(segment) ?? NO_LITERAL);
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
  return (segments, numbers = numbersOf(segments)) => {
    for (const matches of matchers) if (matches(segments, numbers)) return true;
    return false;
  };
}

function compilePath(pattern: string, slashMatters: boolean): PathMatcher {
  if (pattern === '**') return compilePath('/**', slashMatters);
  if (!pattern.startsWith('/')) throw new Error(`"${pattern}" does not begin with \`/\``);
  for (const [found, reason] of NEVER_IN_A_PATH) if (found.test(pattern)) throw new Error(`"${pattern}" ${reason}`);
  const words = pattern.split('/');
  if (!slashMatters && words.length > 1 && words.at(-1) === '') words.pop();

  const parts: SegmentPattern[][] = [[]];
  for (const word of words) {
    if (word === '**') parts.push([]);
    else parts.at(-1)!.push(compileSegment(word, pattern));
  }
  const chunks = parts.map(chunkOf);
  return (segments, numbers = numbersOf(segments)) => {
    const slashed = !slashMatters && segments.length > 1 && segments.at(-1) === '';
    return matchChunks(chunks, segments, numbers, slashed ? segments.length - 1 : segments.length);
  };
}

function chunkOf(patterns: readonly SegmentPattern[]): Chunk {
  return {
    length: patterns.length,
    numbers: patterns.map((pattern) => (typeof pattern === 'string' ? numberOf(pattern) : GLOB)),
    globs: patterns.flatMap((pattern, at) => (typeof pattern === 'string' ? [] : [{ at, pieces: pattern }])),
  };
}

function numberOf(literal: string): number {
  const known = literals.get(literal);
  if (known !== undefined) return known;
  literals.set(literal, literals.size);
  return literals.size - 1;
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
function matchChunks(
  chunks: readonly Chunk[],
  segments: readonly string[],
  numbers: readonly number[],
  length: number,
): boolean {
  const first = chunks[0]!;
  const inner = chunks.length - 1;
  if (inner === 0) return first.length === length && chunkAt(first, segments, numbers, 0);
  const last = chunks[inner]!;
  const end = length - last.length;
  if (first.length > end) return false;
  if (!chunkAt(first, segments, numbers, 0) || !chunkAt(last, segments, numbers, end)) return false;
  let at = first.length;
  for (let index = 1; index < inner; index += 1) {
    const chunk = chunks[index]!;
    while (at + chunk.length <= end && !chunkAt(chunk, segments, numbers, at)) at += 1;
    at += chunk.length;
    if (at > end) return false;
  }
  return true;
}

function chunkAt(chunk: Chunk, segments: readonly string[], numbers: readonly number[], at: number): boolean {
  for (let index = 0; index < chunk.length; index += 1) {
    const wanted = chunk.numbers[index]!;
    if (wanted !== GLOB && numbers[at + index] !== wanted) return false;
  }
  for (const glob of chunk.globs) {
    const segment = segments[at + glob.at]!;
    // `/a/*` asks for a name there: it does not match the listing at `/a/`.
    if (segment === '' || !matchPieces(glob.pieces, segment)) return false;
  }
  return true;
}
