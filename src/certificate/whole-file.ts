import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Undefined where there is none. A link is not followed: it could point anywhere. */
export async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    // O_NONBLOCK: a pipe must not wait for its writer.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file that is whole or not there, under a name of its own beside `path`; whoever calls moves or removes it. */
export async function writeAside(path: string, content: Uint8Array | string, mode: number): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const aside = `${path}.${randomUUID()}`;
  const file = await open(aside, 'wx', mode);
  try {
    await file.writeFile(content);
    // The umask takes bits away.
    await file.chmod(mode);
    await file.sync();
  } catch (error) {
    await unlink(aside);
    throw error;
  } finally {
    await file.close();
  }
  return aside;
}

/** A file that anybody may read, replaced at once, and left alone where it is the same already. */
export async function publish(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = Buffer.from(content);
  if (await holds(path, bytes)) return;
  const aside = await writeAside(path, bytes, PUBLIC_MODE);
  try {
    await rename(aside, path);
  } catch (error) {
    await unlink(aside);
    throw error;
  }
}

const PUBLIC_MODE = 0o644;

async function holds(path: string, bytes: Buffer): Promise<boolean> {
  // What cannot be opened is replaced, or that fails and says why.
  const file = await openExisting(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const { size, mode } = await file.stat();
    return size === bytes.length && (mode & 0o777) === PUBLIC_MODE && bytes.equals(await file.readFile());
  } finally {
    await file.close();
  }
}
