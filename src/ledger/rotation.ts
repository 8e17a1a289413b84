import type { FileSystem } from './files.ts';
import { readFirstSeq, rotatedNumbers, rotatedPath } from './files.ts';

/**
 * Moves `ledger.jsonl` to `ledger.jsonl.1`, `.1` to `.2` and so on; with `keep` files already there the oldest goes.
 * `beforeRemoval` hears the seq of the oldest line that will be left before anything is removed, so that a crash in
 * between leaves a file too many, never one too few.
 */
export function rotateFiles(fs: FileSystem, file: string, keep: number, beforeRemoval: (first: number) => void): void {
  const numbers = rotatedNumbers(fs, file);
  let free = 1;
  while (numbers.includes(free)) free += 1;
  if (free > keep) {
    const first = readFirstSeq(fs, keep > 1 ? rotatedPath(file, keep - 1) : file);
    if (first !== undefined) beforeRemoval(first);
    for (const number of numbers.toReversed()) if (number >= keep) fs.unlinkSync(rotatedPath(file, number));
    free = keep;
  }
  for (let number = free - 1; number >= 1; number -= 1) {
    fs.renameSync(rotatedPath(file, number), rotatedPath(file, number + 1));
  }
  fs.renameSync(file, rotatedPath(file, 1));
}

/** Path of the newest rotated file. */
export function newestRotated(fs: FileSystem, file: string): string | undefined {
  const number = rotatedNumbers(fs, file)[0];
  return number === undefined ? undefined : rotatedPath(file, number);
}

/** The seq of the oldest line in any file. */
export function oldestSeq(fs: FileSystem, file: string): number | undefined {
  const number = rotatedNumbers(fs, file).at(-1);
  return readFirstSeq(fs, number === undefined ? file : rotatedPath(file, number));
}
