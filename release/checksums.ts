import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

/** `node release/checksums.ts <folder>`: writes SHA256SUMS of the files in it, as `sha256sum --check` reads them. */

export const SUMS = 'SHA256SUMS';

/** One line of `sha256sum`. */
export function checksumLine(file: string): string {
  return `${createHash('sha256').update(readFileSync(file)).digest('hex')}  ${basename(file)}\n`;
}

/** Lines of all files of a folder, in the order of their names. Errors: where there is none. */
export function checksums(folder: string): string {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== SUMS && !entry.name.endsWith('.sha256'))
    .map(({ name }) => name)
    .sort();
  if (names.length === 0) throw new Error(`there is nothing to release in ${folder}`);
  return names.map((name) => checksumLine(join(folder, name))).join('');
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('which folder?');
  writeFileSync(join(resolve(folder), SUMS), checksums(resolve(folder)));
}
