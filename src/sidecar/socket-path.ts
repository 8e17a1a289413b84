import type { Stats } from 'node:fs';
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { SidecarError } from '../error.ts';

/** Bytes of `sun_path` without its NUL (unix(7), macOS sys/un.h). */
const SOCKET_PATH_BYTES_MAX = process.platform === 'darwin' ? 103 : 107;
const PROBE_MS = 1000;

/**
 * Makes `path` free for a Unix socket: creates its folder (0700) and removes a stale socket, one that nobody answers
 * on. Anything else at the path stays, and so does a socket that is answered, or that we cannot ask.
 * Errors: `address-unavailable`.
 *
 * Two sidecars that start on one path at the same instant may both find the same stale socket; the check of identity
 * before the removal leaves them microseconds to do so.
 */
export async function prepareSocketPath(path: string): Promise<void> {
  checkSocketPath(path);
  await createFolder(dirname(path));
  const found = await statOf(path);
  if (found === undefined) return;
  if (!found.isSocket()) throw refused(path, 'exists and is not a socket');
  await checkNobodyAnswers(path);
  const now = await statOf(path);
  if (now === undefined) return;
  if (now.ino !== found.ino || now.dev !== found.dev) throw refused(path, 'was taken just now');
  await unlink(path);
}

/** Errors: `address-unavailable` where the system could not hold the path (it would cut it silently). */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    throw refused(path, `has ${bytes} bytes, a socket path may have ${SOCKET_PATH_BYTES_MAX}: use a shorter folder`);
  }
  if (path.includes('\0')) throw refused(path, 'holds a NUL');
}

/** Creates a folder that only we can enter; one that exists is left as it is. */
export async function createFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new SidecarError('address-unavailable', { detail: `folder ${folder} cannot be created`, cause });
  }
}

/** Why others could put a socket of theirs at `path`; undefined where only we and root can. */
export async function sharedFolderReason(path: string): Promise<string | undefined> {
  const folder = dirname(path);
  const stat = await statOf(folder);
  if (stat === undefined) return undefined;
  if (stat.uid !== 0 && stat.uid !== process.getuid?.()) return `${folder} belongs to user ${stat.uid}`;
  // The sticky bit keeps others from replacing what they do not own (chmod(1)).
  const replaceable = (stat.mode & 0o022) !== 0 && (stat.mode & 0o1000) === 0;
  return replaceable ? `${folder} can be written by others` : undefined;
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SidecarError('address-unavailable', { detail: `${path} cannot be examined`, cause });
  }
}

function checkNobodyAnswers(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const settle = (error?: SidecarError): void => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.setTimeout(PROBE_MS, () => settle(refused(path, 'is held by a process that does not answer')));
    socket.once('connect', () => settle(refused(path, 'is in use by a running process')));
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      // ECONNREFUSED: a socket file that no process listens on. All else may be a live one (EAGAIN: its queue is full).
      if (cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT') settle();
      else settle(refused(path, `cannot be asked whether it is in use (${cause.code ?? cause.message})`));
    });
  });
}

function refused(path: string, why: string): SidecarError {
  return new SidecarError('address-unavailable', { detail: `${path} ${why}` });
}
