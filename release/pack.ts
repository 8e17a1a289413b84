import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * `node release/pack.ts [folder]`: builds, and packs what is published on npm into `dist-release`. With one version of
 * npm, two checkouts of one commit give the same bytes, wherever and whenever.
 */

/** Of the tarball. */
export const PACKAGE_BYTES_MAX = 2_000_000;

export interface Packed {
  readonly file: string;
  readonly bytes: number;
  /** Paths within the package, sorted. */
  readonly files: readonly string[];
}

interface Listing {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

/** Errors: where the build fails, or the package is larger than it may be. */
export function pack(root: string, to: string): Packed {
  run(root, ['run', '-s', 'build']);
  // npm keeps the modes that files have on this disk, which are those of somebody's umask.
  for (const { path } of list(root, ['--dry-run']).files) chmodSync(join(root, path), 0o644);
  mkdirSync(to, { recursive: true });
  const { filename, size, files } = list(root, ['--pack-destination', to]);
  if (size > PACKAGE_BYTES_MAX)
    throw new Error(`the package has ${size} bytes: at most ${PACKAGE_BYTES_MAX} are wanted`);
  return { file: join(to, filename), bytes: size, files: files.map(({ path }) => path).sort() };
}

function list(root: string, words: readonly string[]): Listing {
  // Scripts off: the build has run, and writes to standard output.
  const [listing] = JSON.parse(run(root, ['pack', '--json', '--ignore-scripts', ...words])) as Listing[];
  return listing!;
}

function run(root: string, words: readonly string[]): string {
  return execFileSync('npm', words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, '..');
  const { file, bytes, files } = pack(root, resolve(process.argv[2] ?? join(root, 'dist-release')));
  process.stdout.write(`${file}: ${(bytes / 1e3).toFixed(0)} kB, ${files.length} files\n`);
}
