import { chown } from 'node:fs/promises';

/** Numbers of an account, as `spawn` takes them. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody`, for programs that refuse to run as root; undefined where this process is not root. */
export const UNPRIVILEGED: User | undefined = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/** Gives paths to the account that will use them. */
export async function handOver(...paths: readonly string[]): Promise<void> {
  if (UNPRIVILEGED === undefined) return;
  const { uid, gid } = UNPRIVILEGED;
  await Promise.all(paths.map((path) => chown(path, uid, gid)));
}
