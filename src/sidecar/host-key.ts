import { generateKeyPair, randomUUID, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exposeEd25519 } from '../connector/ssh/openssh-file.ts';
import { readKeyObject } from '../connector/ssh/private-key.ts';
import { Secret } from '../credential/secret.ts';
import { asSidecarError, SidecarError } from '../error.ts';

/** An ed25519 key in OpenSSH's format has some 400. */
const FILE_BYTES_MAX = 16 * 1024;

/** Where the sidecar's own host key is: a file that `ssh-keygen` reads. */
export function hostKeyPath(folder: string): string {
  return join(folder, 'ssh_host_ed25519_key');
}

/**
 * The sidecar's own ed25519 host key from its state folder, made where there is none: whoever comes first makes it, and
 * all others get the same. Reads the file at each call. Errors: `config-invalid` where the file is open to others, holds
 * no such key, or cannot be made.
 */
export async function hostKey(folder: string): Promise<KeyObject> {
  const path = hostKeyPath(folder);
  try {
    const found = await readKey(path);
    if (found !== undefined) return found;
    await makeKey(folder, path);
    const made = await readKey(path);
    if (made === undefined) throw new Error('it went away as soon as it was made');
    return made;
  } catch (cause) {
    if (cause instanceof SidecarError && cause.code === 'config-invalid') throw cause;
    throw unusable(path, `cannot be used: ${asSidecarError(cause).detail ?? 'unknown'}`, cause);
  }
}

/** Undefined where there is none. */
async function readKey(path: string): Promise<KeyObject | undefined> {
  const file = await openExisting(path);
  if (file === undefined) return undefined;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unusable(path, 'is not a regular file');
    if ((stat.mode & 0o077) !== 0) throw unusable(path, `may be read by others: chmod 600 ${path}`);
    const foreign = stat.uid !== 0 && stat.uid !== process.getuid?.();
    if (process.getuid !== undefined && foreign) throw unusable(path, 'belongs to another user');
    if (stat.size > FILE_BYTES_MAX) throw unusable(path, 'is no ed25519 key');
    return await parseKey(path, file, stat.size);
  } finally {
    await file.close();
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    // A link is not followed: it could point anywhere. O_NONBLOCK: a pipe must not wait for its writer.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function parseKey(path: string, file: FileHandle, size: number): Promise<KeyObject> {
  const buffer = Buffer.alloc(size);
  const { bytesRead } = await file.read(buffer, 0, size, 0);
  const text = new Secret(buffer.subarray(0, bytesRead));
  buffer.fill(0);
  try {
    const key = await readKeyObject(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    throw unusable(path, 'is no ed25519 key: remove it, and the next start makes a new one', cause);
  } finally {
    text.wipe();
  }
  throw unusable(path, 'is no ed25519 key: remove it, and the next start makes a new one');
}

/** Whole or not at all: under another name first, then linked to its own, which fails where somebody was faster. */
async function makeKey(folder: string, path: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { privateKey } = await promisify(generateKeyPair)('ed25519');
  const aside = `${path}.${randomUUID()}`;
  const file = await open(aside, 'wx', 0o600);
  try {
    try {
      await exposeEd25519(privateKey, (text) => file.writeFile(text));
      await file.sync();
    } finally {
      await file.close();
    }
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(aside);
  }
}

function unusable(path: string, what: string, cause?: unknown): SidecarError {
  return new SidecarError('config-invalid', { detail: `the host key ${path} ${what}`, cause });
}
