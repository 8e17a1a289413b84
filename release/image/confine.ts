import { join } from 'node:path';

/** A folder of the machine, shown in the root. */
export interface Bind {
  readonly from: string;
  /** Absolute, as seen from inside. */
  readonly to: string;
  readonly readOnly: boolean;
}

/** How a program sees the machine. */
export interface Confinement {
  readonly root: string;
  readonly user: { readonly uid: number; readonly gid: number };
  /** Absolute, as seen from inside. */
  readonly folder: string;
  /** As Kubernetes' restricted profile: root read-only, no capability, no new privileges, system calls filtered. */
  readonly hardened: boolean;
  readonly binds: readonly Bind[];
  /** Folders of memory that are empty and can be written. */
  readonly empty: readonly string[];
}

const DEVICES = ['null', 'zero', 'full', 'random', 'urandom'];
const SCRIPT = join(import.meta.dirname, 'confine.pl');

/**
 * The command line that runs `argv` so: in a mount and a process namespace of its own, as process 1. Needs root, and
 * unshare, mount and perl of a Debian. What it mounts is gone when it ends.
 */
export function confined(
  argv: readonly string[],
  { root, user, folder, hardened, binds, empty }: Confinement,
): string[] {
  const at = (path: string): string => quoted(join(root, path));
  const lines = [
    `mount --bind ${quoted(root)} ${quoted(root)}`,
    ...(hardened ? [] : binds.map(({ to }) => `test -e ${at(to)} || mkdir -p ${at(to)}`)),
    `mount -t proc -o nosuid,nodev,noexec proc ${at('proc')}`,
    `mount -t tmpfs -o mode=755,size=64k dev ${at('dev')}`,
    ...DEVICES.flatMap((device) => [`: >${at(`dev/${device}`)}`, `mount --bind /dev/${device} ${at(`dev/${device}`)}`]),
    ...(hardened ? [`mount -o remount,bind,ro ${quoted(root)}`] : []),
    ...empty.map((path) => `mount -t tmpfs -o mode=1777,size=64m,nosuid,nodev empty ${at(path)}`),
    ...binds.flatMap(({ from, to, readOnly }) => [
      ...(hardened && empty.some((above) => to.startsWith(`${above}/`)) ? [`mkdir -p ${at(to)}`] : []),
      `mount --bind ${quoted(from)} ${at(to)}`,
      ...(readOnly ? [`mount -o remount,bind,ro ${at(to)}`] : []),
    ]),
    `exec perl ${quoted(SCRIPT)} ${quoted(root)} ${user.uid} ${user.gid} ${quoted(folder)} ${hardened ? 1 : 0} "$@"`,
  ];
  return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-euc', lines.join('\n'), 'sh', ...argv];
}

/** For a POSIX shell. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
