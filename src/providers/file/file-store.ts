import { constants, type BigIntStats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Secret } from '../../credential/secret.ts';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';

export const FILE_BYTES_MAX = 1024 * 1024;
const READ_ATTEMPTS = 3;
/**
 * A write within the clock tick of the one before leaves size and times as they were (FAT counts in 2 s, ext4 in
 * milliseconds), so a file this young is read again although it looks unchanged.
 */
const SETTLED_MILLISECONDS = 2000;

interface Reading {
  readonly fetched: Fetched;
  /** What a stat showed at the reading; undefined where the file was too young to tell. */
  readonly mark: string | undefined;
}

/**
 * One `stat` for each fetch, one read for each change.
 *
 * `stat` follows links, so the swapped links of a Kubernetes volume show as a new inode. A secret that was replaced is
 * left to the garbage collector, since leases may still use it.
 */
export class FileStore implements SecretStore {
  readonly #folder: string;
  readonly #readings = new Map<string, Reading>();
  #closed = false;

  /** `folder`: what relative paths start from. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    const path = resolve(this.#folder, id);
    try {
      const known = this.#readings.get(id);
      if (known?.mark !== undefined && markOf(await stat(path, { bigint: true })) === known.mark) return known.fetched;
      signal.throwIfAborted();
      return await this.#read(id, path, known, signal);
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      this.#readings.delete(id);
      throw thrown instanceof SidecarError ? thrown : fromSystem(thrown);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { fetched } of this.#readings.values()) fetched.secret.wipe();
    this.#readings.clear();
  }

  async #read(id: string, path: string, known: Reading | undefined, signal: AbortSignal): Promise<Fetched> {
    const { secret, mark } = await readWhole(path, signal);
    if (this.#closed) return { secret };
    const same = known !== undefined && !known.fetched.secret.wiped && equal(known.fetched.secret, secret);
    if (same) secret.wipe();
    const fetched = same ? known.fetched : { secret, retained: true };
    this.#readings.set(id, { fetched, mark });
    return fetched;
  }
}

async function readWhole(path: string, signal: AbortSignal): Promise<{ secret: Secret; mark: string | undefined }> {
  // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt += 1) {
      signal.throwIfAborted();
      const before = await handle.stat({ bigint: true });
      refuseUnfit(before);
      const secret = await readContent(handle);
      const mark = markOf(before);
      if (markOf(await handle.stat({ bigint: true })) !== mark) {
        secret.wipe();
        continue;
      }
      return { secret, mark: isSettled(before) ? mark : undefined };
    }
  } finally {
    await handle.close();
  }
  throw new SidecarError('credential-unavailable', { detail: 'the file kept changing while it was read' });
}

async function readContent(handle: FileHandle): Promise<Secret> {
  const { size } = await handle.stat();
  // One more than was seen, so that a file which has just grown is noticed.
  const buffer = Buffer.allocUnsafeSlow(Math.min(size, FILE_BYTES_MAX) + 1);
  try {
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > FILE_BYTES_MAX) throw tooLarge();
    return new Secret(buffer.subarray(0, length));
  } finally {
    buffer.fill(0);
  }
}

function refuseUnfit(stats: BigIntStats): void {
  if (stats.isDirectory()) throw new SidecarError('credential-unavailable', { detail: 'it is a directory' });
  if (!stats.isFile()) throw new SidecarError('credential-unavailable', { detail: 'it is not a regular file' });
  if (stats.size > FILE_BYTES_MAX) throw tooLarge();
}

function tooLarge(): SidecarError {
  return new SidecarError('credential-unavailable', { detail: `it is larger than ${FILE_BYTES_MAX} bytes` });
}

function markOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

function isSettled({ mtimeMs, ctimeMs }: BigIntStats): boolean {
  const youngest = Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs);
  return Math.abs(Date.now() - youngest) > SETTLED_MILLISECONDS;
}

function equal(a: Secret, b: Secret): boolean {
  return a.expose((left) => b.expose((right) => left.equals(right)));
}

function fromSystem(thrown: unknown): SidecarError {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown error';
  const missing = code === 'ENOENT' || code === 'ENOTDIR';
  const detail = missing ? `there is no such file (${code})` : `it cannot be read (${code})`;
  return new SidecarError(missing ? 'credential-missing' : 'credential-unavailable', { detail });
}
