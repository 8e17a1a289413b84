import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Survives between runs: some 260 MB. */
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'secretless-sidecar/ceph');
const PACKAGES = ['radosgw', 'ceph-mon', 'ceph-osd'];

/** Ceph cannot be had on this machine, for the reason given. */
export class CephMissing extends Error {}

/** Where the programs of Ceph are. */
export interface CephPrograms {
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Ceph as Debian packages it, unpacked and not installed: nothing starts by itself, nothing else is changed. Errors:
 * `CephMissing`.
 */
export async function cephPrograms(): Promise<CephPrograms> {
  if (process.arch !== 'x64' || !existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/python3'))
    throw new CephMissing('Ceph is taken from packages of Debian for amd64, which this machine does not use');
  if (process.getuid?.() !== 0) throw new CephMissing('the daemons of Ceph are run as root here');
  const root = join(CACHE, 'root');
  if (!existsSync(join(root, 'usr/bin/radosgw'))) await unpack(root);
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu/ceph', 'lib/x86_64-linux-gnu'];
  return {
    root,
    env: {
      PATH: [join(root, 'usr/bin'), join(root, 'usr/sbin'), process.env['PATH']].join(':'),
      LD_LIBRARY_PATH: libraries.map((folder) => join(root, folder)).join(':'),
      PYTHONPATH: join(root, 'usr/lib/python3/dist-packages'),
    },
  };
}

async function unpack(root: string): Promise<void> {
  const fresh = `${root}.${process.pid}`;
  const packages = join(fresh, 'packages');
  mkdirSync(packages, { recursive: true });
  try {
    const wanted = await run('apt-get', ['-s', '--no-install-recommends', 'install', ...PACKAGES]);
    const names = [...wanted.stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!);
    await run('apt-get', ['download', '-qq', ...names], { cwd: packages });
    const target = join(fresh, 'root');
    for (const file of readdirSync(packages)) await run('dpkg-deb', ['-x', join(packages, file), target]);
    renameSync(target, root);
  } catch (error) {
    throw new CephMissing(`the packages of Ceph could not be had: ${String(error).split('\n')[0]}`, { cause: error });
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
