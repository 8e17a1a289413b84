import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../compare.ts';
import type { Place } from '../place.ts';
import { missing } from '../programs.ts';
import { sha256 } from './exec.ts';

/** A folder with files that are awkward to copy. */
function tree(place: Place, count: number): string {
  const folder = join(place.folder, 'tree');
  mkdirSync(join(folder, 'inner'), { recursive: true });
  for (let at = 0; at < count; at += 1) writeFileSync(join(folder, `file-${at}`), randomBytes((at * 37) % 5000));
  writeFileSync(join(folder, 'inner/name with a blank, ü and $(quotes) '), 'x');
  writeFileSync(join(folder, 'inner/large'), randomBytes(3_000_000));
  writeFileSync(join(folder, 'program'), '#!/bin/sh\n');
  chmodSync(join(folder, 'program'), 0o750);
  return folder;
}

/** Names, modes and contents below a folder. */
function contents(folder: string): string {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  const lines = names.map((name) => {
    const stat = statSync(join(folder, name));
    const what = stat.isDirectory() ? 'folder' : sha256(readFileSync(join(folder, name)));
    return `${name} ${(stat.mode & 0o777).toString(8)} ${what}`;
  });
  return sha256(lines.join('\n'));
}

async function scp(place: Place, mode: '-O' | '-s'): Promise<unknown> {
  const folder = tree(place, 20);
  const args = [mode, '-F', place.config, '-r', '-p'];
  await place.succeed('scp', [...args, folder, `host:${place.remote}`]);
  await place.succeed('scp', [...args, `host:${place.remote}`, join(place.folder, 'back')]);
  const absent = await place.run('scp', [...args, `host:${place.remote}/absent`, place.folder]);
  return [
    contents(place.remote) === contents(folder),
    contents(join(place.folder, 'back')) === contents(folder),
    absent.code,
  ];
}

async function sftp(place: Place): Promise<unknown> {
  const file = place.file('from', randomBytes(2_000_000));
  const commands = [
    ...[`mkdir ${place.remote}`, `put ${file} ${place.remote}/a`, `rename ${place.remote}/a ${place.remote}/b`],
    ...[
      `chmod 640 ${place.remote}/b`,
      `symlink ${place.remote}/b ${place.remote}/link`,
      `get ${place.remote}/link ${file}.back`,
    ],
    ...[
      `reget ${place.remote}/b ${file}.back`,
      `ls -1 ${place.remote}`,
      `-rm ${place.remote}/absent`,
      `df ${place.remote}`,
    ],
  ];
  const batch = place.file('batch', `${commands.join('\n')}\n`);
  const out = await place.succeed('sftp', ['-q', '-F', place.config, '-b', batch, 'host']);
  const whole = readFileSync(`${file}.back`).equals(readFileSync(file));
  const listed = out.split('\n').filter((line) => line.startsWith(place.remote));
  return [whole, listed.map((line) => line.slice(place.remote.length)), statSync(`${place.remote}/b`).mode & 0o777];
}

async function rsync(place: Place): Promise<unknown> {
  const folder = tree(place, 200);
  const args = ['-a', '--delete', '--no-o', '--no-g', '-e', `ssh -F ${place.config}`];
  await place.succeed('rsync', [...args, `${folder}/`, `host:${place.remote}/`]);
  const there = contents(place.remote) === contents(folder);
  writeFileSync(join(folder, 'file-7'), 'changed');
  writeFileSync(join(folder, 'inner/large'), randomBytes(100));
  const stats = await place.succeed('rsync', [...args, '-z', '--stats', `${folder}/`, `host:${place.remote}/`]);
  await place.succeed('rsync', [...args, `host:${place.remote}/`, join(place.folder, 'back')]);
  const transferred = /regular files transferred: (\d+)/.exec(stats)?.[1];
  return [there, transferred, contents(join(place.folder, 'back')) === contents(folder)];
}

const noFuse = missing('sshfs', 'fusermount3') ?? (existsSync('/dev/fuse') ? undefined : 'no /dev/fuse');

async function sshfs(place: Place): Promise<unknown> {
  if (noFuse !== undefined) return noFuse;
  const folder = tree(place, 5);
  mkdirSync(place.remote);
  const mount = join(place.folder, 'mount');
  mkdirSync(mount);
  const mounted = await place.run('sshfs', ['-F', place.config, `host:${place.remote}`, mount]);
  if (/fuse: (mount failed|failed to|device not found)|Operation not permitted/.test(mounted.err))
    return 'fuse is not allowed here';
  try {
    await place.succeed('cp', ['-rp', `${folder}/.`, mount]);
    return [mounted.code, contents(place.remote) === contents(folder), contents(mount) === contents(folder)];
  } finally {
    await place.run('fusermount3', ['-u', mount]);
  }
}

export const COPY_CASES: readonly Case[] = [
  ['copies folders both ways with scp, which speaks SFTP', (place) => scp(place, '-s'), [true, true, 1]],
  ['copies folders both ways with scp as it was (-O)', (place) => scp(place, '-O'), [true, true, 1]],
  ['does what a batch of sftp says', sftp, [true, ['/b', '/link'], 0o640]],
];

export const RSYNC_CASES: readonly Case[] = [['copies 200 files both ways with rsync', rsync, [true, '2', true]]];

/** Where it cannot be mounted both sides say so. */
export const SSHFS_CASES: readonly Case[] = [
  [
    'is mounted by sshfs',
    async (place) => [await sshfs(place)].flatMap((each) => (typeof each === 'string' ? [] : each)),
    expectMounted(),
  ],
];

function expectMounted(): unknown {
  return noFuse === undefined ? [0, true, true] : [];
}
