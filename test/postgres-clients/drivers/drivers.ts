import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { isInstalled } from '../tools/place.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** Debian's, which has Debian's drivers; another Python may come first in the path. */
const PYTHON = '/usr/bin/python3';
const PGJDBC = '/usr/share/java/postgresql.jar';
const BUILD_MS_MAX = 30_000;

const run = promisify(execFile);

/** A program that tells as JSON what a driver does, or why there is none. */
export type Prepared = { readonly program: string; readonly args: readonly string[] } | { readonly missing: string };

export interface Driver {
  readonly name: string;
  /** `folder` is for what it builds. */
  prepare(folder: string): Promise<Prepared>;
  readonly expected: Readonly<Record<string, unknown>>;
}

function psycopg(module: string, more: object): Driver {
  return {
    name: module,
    prepare: async () => {
      if (!isInstalled(PYTHON)) return { missing: `${PYTHON} is not installed` };
      const found = await run(PYTHON, ['-c', `import ${module}`]).then(
        () => true,
        () => false,
      );
      return found
        ? { program: PYTHON, args: [join(HERE, 'psycopg_check.py'), module] }
        : { missing: `python3-${module} is not installed` };
    },
    expected: {
      row: [1, "it's ü", null],
      settings: ['checked', 'public,elsewhere', 'app'],
      copy: true,
      error: '42703',
      database: true,
      cancel: ['57014', true],
      notify: 'here',
      cursor: 5000,
      ...more,
    },
  };
}

async function preparePgjdbc(folder: string): Promise<Prepared> {
  if (!isInstalled('javac')) return { missing: 'javac is not installed' };
  if (!isInstalled(PGJDBC)) return { missing: 'libpostgresql-jdbc-java is not installed' };
  await run('javac', ['-cp', PGJDBC, '-d', folder, join(HERE, 'JdbcCheck.java')], { timeout: BUILD_MS_MAX });
  return { program: 'java', args: ['-XX:TieredStopAtLevel=1', '-cp', `${PGJDBC}:${folder}`, 'JdbcCheck'] };
}

/** Downloads nothing: `go build` in its folder, once, fills Go's caches. */
async function preparePgx(folder: string): Promise<Prepared> {
  if (!isInstalled('go')) return { missing: 'Go is not installed' };
  const program = join(folder, 'pgx-check');
  const options = {
    cwd: join(HERE, 'pgx'),
    timeout: BUILD_MS_MAX,
    env: { ...process.env, GOPROXY: 'off', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local' },
  };
  const built = await run('go', ['build', '-o', program, '.'], options).then(
    () => true,
    () => false,
  );
  return built ? { program, args: [] } : { missing: 'pgx is not in the caches of Go' };
}

export const DRIVERS: readonly Driver[] = [
  psycopg('psycopg2', {}),
  psycopg('psycopg', { pipeline: 4950, prepared: 1 }),
  {
    name: 'pgjdbc',
    prepare: preparePgjdbc,
    expected: {
      ...{ row: 1, user: 'app', application: 'checked', prepared: 210, batch: 1000, copyIn: 50_000, copyOut: 51_000 },
      ...{ fetched: 5000, cancel: ['57014', true], error: '42703', database: '3D000' },
    },
  },
  {
    name: 'pgx',
    prepare: preparePgx,
    expected: {
      ...{ row: [42, 'app'], batch: 4950, copyIn: 50_000, copyOut: ['COPY 50000', 538_890], notify: 'here' },
      ...{ error: '42703', cancel: '57014', database: '3D000' },
    },
  },
];

/** Prepared in a folder of its own. */
export async function prepareDriver(
  driver: Driver,
): Promise<{ readonly prepared: Prepared; readonly remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-driver-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    return { prepared: await driver.prepare(folder), remove };
  } catch (error) {
    remove();
    throw error;
  }
}
