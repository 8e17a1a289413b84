import type { Matcher } from './glob.ts';

/** Which UTF-16 code units a single `*` stands for. */
export type StarClass = (unit: number) => boolean;

/**
 * Patterns with `*` for any run of the characters of `inStar`, and `**` for any run of characters at all. The time for a
 * text grows with its length times the pieces of the pattern, whatever either holds.
 */
export function compileWild(pattern: string, inStar: StarClass): Matcher {
  if (pattern === '') throw new Error('is empty');
  if (!pattern.includes('*')) return (text) => text === pattern;
  const pieces = pattern.split(/(\*+)/).filter((piece) => piece !== '');
  if (pieces.length === 1 && isAnything(pattern)) return () => true;
  const first = pieces[0]!.startsWith('*') ? '' : pieces[0]!;
  const last = pieces.at(-1)!.startsWith('*') ? '' : pieces.at(-1)!;
  return (text) => text.startsWith(first) && text.endsWith(last) && matchWild(pieces, text, inStar);
}

function matchWild(pieces: readonly string[], text: string, inStar: StarClass): boolean {
  // Where in the text the pieces so far may end.
  const ends = new Uint8Array(text.length + 1);
  ends[0] = 1;
  for (const piece of pieces) {
    if (!piece.startsWith('*')) stepLiteral(ends, text, piece);
    else if (isAnything(piece)) stepAnything(ends);
    else stepStar(ends, text, inStar);
  }
  return ends[text.length] === 1;
}

/** Matches any of the patterns. */
export function compileAny(patterns: readonly string[], compile: (pattern: string) => Matcher): Matcher {
  const matchers = patterns.map(compile);
  return (text) => matchers.some((matches) => matches(text));
}

/** Any of the characters, and ASCII letters and digits. */
export function lettersAnd(characters: string): StarClass {
  return anyOf(`ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${characters}`);
}

/** Any of the characters, which are of ASCII. */
export function anyOf(characters: string): StarClass {
  const within = new Uint8Array(128);
  for (const character of characters) within[character.charCodeAt(0)] = 1;
  return (unit) => within[unit] === 1;
}

function isAnything(piece: string): boolean {
  return /^\*{2,}$/.test(piece);
}

/** From the end, so that what is read has not been written over. */
function stepLiteral(ends: Uint8Array, text: string, piece: string): void {
  for (let end = text.length; end >= 0; end -= 1) {
    const start = end - piece.length;
    ends[end] = start >= 0 && ends[start] === 1 && text.startsWith(piece, start) ? 1 : 0;
  }
}

function stepAnything(ends: Uint8Array): void {
  const first = ends.indexOf(1);
  if (first >= 0) ends.fill(1, first);
}

function stepStar(ends: Uint8Array, text: string, inStar: StarClass): void {
  for (let at = 0; at < text.length; at += 1) {
    if (ends[at] === 1 && inStar(text.charCodeAt(at))) ends[at + 1] = 1;
  }
}
