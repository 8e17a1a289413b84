/** Names with `*`. Matching never backtracks further than one literal piece, so no pattern is slow on any text. */

export type Matcher = (text: string) => boolean;

/**
 * Whether `text` is the pieces in order with any run of characters, also none, between two of them.
 * `['a', 'b', 'c']` is the pattern `a*b*c`. Taking the leftmost place for each inner piece is enough: what is left for
 * the later ones is then longest.
 */
export function matchPieces(pieces: readonly string[], text: string): boolean {
  const first = pieces[0]!;
  const inner = pieces.length - 1;
  if (inner === 0) return text === first;
  const last = pieces[inner]!;
  const end = text.length - last.length;
  if (first.length > end) return false;
  if (first !== '' && !text.startsWith(first)) return false;
  if (last !== '' && !text.endsWith(last)) return false;
  let at = first.length;
  for (let index = 1; index < inner; index += 1) {
    const piece = pieces[index]!;
    const found = text.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}

/** Matches any of the names; `*` stands for any run of characters. Throws an Error with the reason. */
export function compileNames(patterns: readonly string[]): Matcher {
  const exact = new Set<string>();
  const globs: string[][] = [];
  for (const pattern of patterns) {
    if (pattern === '') throw new Error('is empty');
    if (!pattern.includes('*')) exact.add(pattern);
    else globs.push(pattern.split(/\*+/));
  }
  if (globs.some((pieces) => pieces.every((piece) => piece === ''))) return () => true;
  if (globs.length === 0) return oneOf(exact);
  const only = globs[0]!;
  if (globs.length === 1 && exact.size === 0) return (text) => matchPieces(only, text);
  return (text) => {
    if (exact.has(text)) return true;
    for (const pieces of globs) if (matchPieces(pieces, text)) return true;
    return false;
  };
}

/** Matches any of the methods exactly, case and all (RFC 9110 section 9.1); `*` alone is any method. */
export function compileMethods(methods: readonly string[]): Matcher {
  for (const method of methods) {
    if (method === '') throw new Error('is empty');
    if (method === '*') continue;
    if (method.includes('*')) throw new Error(`"${method}": \`*\` stands alone, for any method`);
  }
  return methods.includes('*') ? () => true : oneOf(new Set(methods));
}

function oneOf(names: ReadonlySet<string>): Matcher {
  const [first, second] = names;
  if (names.size > 2) return (text) => names.has(text);
  return (text) => text === first || text === second;
}
