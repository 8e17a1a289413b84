/** Edit distance with swaps of neighbours (optimal string alignment). */
export function distance(a: string, b: string): number {
  let previous: number[] = [];
  let current = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let row = 1; row <= a.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min(current[column]! + 1, next[column - 1]! + 1, current[column - 1]! + cost);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, previous[column - 2]! + 1);
      }
      next.push(best);
    }
    previous = current;
    current = next;
  }
  return current[b.length]!;
}

/** Words that people write for another one, too far apart for the edit distance. */
const MISNOMERS: Readonly<Record<string, readonly string[]>> = {
  credentialPatterns: ['credentialValidations'],
  match: ['authenticateURLsMatching'],
  urls: ['authenticateURLsMatching'],
  upstream: ['target'],
  url: ['target'],
  listen: ['listenOn'],
  address: ['listenOn'],
  socket: ['listenOn'],
  secrets: ['credentials'],
  provider: ['from', 'type'],
  id: ['get'],
  path: ['paths'],
  method: ['methods'],
};

const WORD_LENGTH_MAX = 64;

/** The candidate that was probably meant; undefined where none is close. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > WORD_LENGTH_MAX) return undefined;
  const known = [...candidates];
  const misnomer = Object.hasOwn(MISNOMERS, word) ? MISNOMERS[word] : undefined;
  const meant = misnomer?.find((candidate) => known.includes(candidate));
  if (meant !== undefined) return meant;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const found = distance(word.toLowerCase(), candidate.toLowerCase());
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best === word ? undefined : best;
}
