import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Entry {
  /** Relative to the root. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  /** Permission bits, with setuid, setgid and sticky. */
  readonly mode: number;
  readonly owner: string;
  /** 0 for what is not a file. */
  readonly bytes: number;
}

/** All that lies below a root, sorted. */
export function listRoot(root: string): Entry[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mode, uid, gid, size } = lstatSync(path);
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'link' : 'other';
      const bytes = kind === 'file' ? size : 0;
      return { path: path.slice(root.length + 1), kind, mode: mode & 0o7777, owner: `${uid}:${gid}`, bytes } as const;
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** How deep the list of `contents.txt` goes: what is below is told by its number of files. */
const DEPTH = 4;

/** One line for each path near the root that the base has not: mode, owner, name. */
export function summary(added: readonly Entry[]): string {
  return added
    .filter(
      ({ path }) =>
        path.split('/').length <= DEPTH &&
        !/^opt\/secretless\/app\/node_modules\/|^opt\/secretless\/compiled\//.test(path),
    )
    .map(
      ({ path, kind, mode, owner }) =>
        `${mode.toString(8).padStart(4, '0')} ${owner} /${path}${kind === 'folder' ? '/' : ''}\n`,
    )
    .join('');
}

/** What must not be in any image of ours, as sentences; empty where all is well. */
export function faultsOf(all: readonly Entry[], added: readonly Entry[], writable: readonly string[]): string[] {
  const faults: string[] = [];
  const refuse = (entries: readonly Entry[], why: (path: string) => string): void => {
    for (const { path } of entries) faults.push(why(path));
  };
  const files = added.filter(({ kind }) => kind !== 'folder');
  refuse(
    all.filter(({ path, kind }) => kind !== 'folder' && SHELL.test(path)),
    (path) => `/${path} is a shell or a package tool`,
  );
  refuse(
    all.filter(({ mode, kind }) => kind === 'file' && (mode & 0o6000) !== 0),
    (path) => `/${path} is setuid or setgid`,
  );
  refuse(
    files.filter(({ path }) => NEVER.test(path) && !LICENCE.test(path)),
    (path) => `/${path} has no place in an image`,
  );
  const ours = added.filter(({ path }) => !writable.includes(`/${path}`));
  refuse(
    ours.filter(({ owner, mode, kind }) => kind !== 'link' && (owner !== '0:0' || (mode & 0o022) !== 0)),
    (path) => `/${path} can be changed by others than root`,
  );
  refuse(
    ours.filter(({ path, mode }) => path.endsWith('/bin/node') && mode !== 0o111),
    (path) => `/${path} can be read: whoever runs it could be read, too`,
  );
  return faults;
}

const SHELL = /(?:^|\/)(?:ba|da|z|k|a)?sh$|(?:^|\/)(?:busybox|npm|npx|apt|apt-get|dpkg|corepack|yarn)$/;
const LICENCE = /\/(?:licen[cs]e|authors)[^/]*$/i;
/** Sources, maps, declarations, addons, tests, repositories, keys and state. */
const NEVER =
  /\.(?:ts|mts|cts|map|node|pem|key|jsonl|md)$|(?:^|\/)(?:\.git|\.env|\.npmrc|\.npm|testdata|test|tests)(?:\/|$)|\.test\.js$/;
