import { execFile, spawn } from 'node:child_process';
import { appendFile, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SidecarError } from '../../error.ts';
import { findPostgres, runnablePostgres, type Missing, type PostgresVersion } from './postgres-binaries.ts';

/** The files of PostgreSQL servers: one temporary folder for all that this process starts. */

export interface ClusterOptions {
  readonly version: PostgresVersion;
  /** Lines of pg_hba.conf, in order. */
  readonly hba: readonly string[];
  /** Lines of postgresql.conf by name, beyond those that are set here. */
  readonly settings?: Readonly<Record<string, string>>;
  /** PEM. With `ca`, certificates of clients are asked for and verified. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly ca?: string };
  /** Of the superuser `postgres`. Servers with the same one share their initial state, which takes seconds to make. */
  readonly password: string;
}

export interface Cluster {
  /** Holds `data`; sockets and the log go here. */
  readonly folder: string;
  /** The program `postgres`. */
  readonly program: string;
}

/** PostgreSQL does not run as root; this id is `nobody` on Linux distributions. */
const NOBODY = 65_534;
const unprivileged = process.getuid?.() === 0;
const user = unprivileged ? { uid: NOBODY, gid: NOBODY } : {};
/** No more than it needs: neither `PG*` nor secrets of the caller. */
export const SURROUNDINGS = { env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }, cwd: '/', ...user };

const DEFAULTS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  shared_buffers: '16MB',
  // Nothing here outlives the process, so nothing need reach the disk.
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
};

/** The files of a new server. Errors: `internal`, with what the tools of PostgreSQL said. */
export async function makeCluster(options: ClusterOptions): Promise<Cluster | Missing> {
  const { version, password } = options;
  const native = await findPostgres(version);
  if (typeof native !== 'string') return native;
  const home = await once(homes, 'home', openHome);
  const binaries = await once(runnable, native, () => prepareBinaries(native, join(home, `binaries-${version}`)));
  const template = await once(templates, `${version} ${password}`, () => initialise(home, binaries, password));
  const folder = await makeFolder(join(home, 's-'));
  await run('cp', ['-a', template, join(folder, 'data')]);
  await configure(join(folder, 'data'), options);
  return { folder, program: join(binaries, 'bin', 'postgres') };
}

const homes = new Map<string, Promise<string>>();
const runnable = new Map<string, Promise<string>>();
const templates = new Map<string, Promise<string>>();

/** Made at the first call and kept, unless it failed. */
async function once(made: Map<string, Promise<string>>, key: string, make: () => Promise<string>): Promise<string> {
  let making = made.get(key);
  if (making === undefined) {
    making = make();
    made.set(key, making);
    making.catch(() => made.delete(key));
  }
  return await making;
}

/**
 * Reads until this process is gone, however it went, then ends the servers that are left and removes the folder. An
 * immediate shutdown removes `postmaster.pid`; the second removal is for tools that were still writing.
 */
const GUARD = `
read -r _
for file in "$1"/s-*/data/postmaster.pid; do
  [ -f "$file" ] && kill -QUIT "$(head -n 1 "$file")" 2>/dev/null
done
tries=0
while [ $tries -lt 50 ] && [ -n "$(ls "$1"/s-*/data/postmaster.pid 2>/dev/null)" ]; do
  sleep 0.1
  tries=$((tries + 1))
done
rm -rf "$1" || { sleep 3; rm -rf "$1"; }
`;

async function openHome(): Promise<string> {
  // Short: paths of Unix sockets have 107 bytes, 103 on macOS.
  const home = await makeFolder(join(tmpdir(), 'slpg-'));
  // A session of its own, which Ctrl-C does not reach.
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', home], {
    ...SURROUNDINGS,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => undefined).unref();
  guard.stdin.on('error', () => undefined);
  (guard.stdin as unknown as { unref(): void }).unref();
  return home;
}

async function makeFolder(prefix: string): Promise<string> {
  const folder = await mkdtemp(prefix);
  await give(folder);
  return folder;
}

/** To the user that runs the server. */
async function give(path: string): Promise<void> {
  if (unprivileged) await chown(path, NOBODY, NOBODY);
}

async function prepareBinaries(native: string, copy: string): Promise<string> {
  const folder = await runnablePostgres(native, unprivileged, copy);
  // Whoever is to remove the copy must own it.
  if (folder === copy && unprivileged) await promisify(execFile)('chown', ['-R', `${NOBODY}:${NOBODY}`, copy]);
  return folder;
}

async function initialise(home: string, binaries: string, password: string): Promise<string> {
  const folder = await makeFolder(join(home, 't-'));
  const passwordFile = join(folder, 'password');
  try {
    await writeOwned(passwordFile, `${password}\n`);
    const options = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
    const data = join(folder, 'data');
    await run(join(binaries, 'bin', 'initdb'), [...options, '--encoding=UTF8', '--locale=C', '--no-sync', '-D', data]);
    return data;
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function configure(data: string, { hba, settings, tls }: ClusterOptions): Promise<void> {
  const files: Record<string, string> = { 'pg_hba.conf': `${hba.join('\n')}\n` };
  const secured: Record<string, string> = {};
  if (tls !== undefined) {
    files['server.crt'] = tls.certificate;
    files['server.key'] = tls.key;
    secured['ssl'] = 'on';
    if (tls.ca !== undefined) {
      files['root.crt'] = tls.ca;
      secured['ssl_ca_file'] = 'root.crt';
    }
  }
  for (const [name, text] of Object.entries(files)) await writeOwned(join(data, name), text);
  const lines = Object.entries({ ...DEFAULTS, ...secured, ...settings }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  await appendFile(join(data, 'postgresql.conf'), lines.join(''));
}

/** The server refuses a key that others can read. */
async function writeOwned(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: 0o600 });
  await give(file);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(program, args, SURROUNDINGS);
  } catch (cause) {
    throw new SidecarError('internal', { cause, detail: cause instanceof Error ? cause.message : program });
  }
}
