import { nearest } from '../config/nearest.ts';

/** ` (did you mean X?)`, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>, prefix = ''): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? '' : ` (did you mean ${prefix}${meant}?)`;
}
