import * as nodeFs from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, rotatedNumbers, rotatedPath } from './files.ts';

export interface TailOptions {
  /** Newest lines to begin with, taken from rotated files too. */
  readonly lines: number;
  /** Goes on with new lines until `signal`. */
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
}

const POLL_MS = 200;
const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * The newest lines of a ledger, oldest of them first, without newlines. Ends quietly when `signal` fires. A line with `count`
 * stands for that many refusals and comes up to a second after them.
 */
export async function* tailLedger(file: string, options: TailOptions): AsyncGenerator<string, void, undefined> {
  const { follow = false, signal } = options;
  let handle = await openOrWait(file, follow, signal);
  try {
    let offset = 0;
    if (handle !== undefined) {
      const { lines, end } = await lastLines(handle, options.lines);
      yield* await olderLines(file, options.lines - lines.length);
      yield* lines;
      offset = end;
    }
    while (follow && signal?.aborted !== true) {
      if (handle !== undefined) {
        const { lines, end } = await linesFrom(handle, offset);
        yield* lines;
        offset = end;
        if (lines.length > 0) continue;
      }
      const next: FileHandle | undefined = await replaced(file, handle);
      if (next !== undefined) {
        if (handle !== undefined) {
          // What was written between the last look and the rotation.
          yield* (await linesFrom(handle, offset)).lines;
          await handle.close();
        }
        handle = next;
        offset = 0;
        continue;
      }
      await pause(signal);
    }
  } finally {
    await handle?.close();
  }
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

async function openOrWait(
  file: string,
  follow: boolean,
  signal: AbortSignal | undefined,
): Promise<FileHandle | undefined> {
  for (;;) {
    try {
      return await open(file, 'r');
    } catch (error) {
      if (!follow || codeOf(error) !== 'ENOENT') throw error;
    }
    if (signal?.aborted === true) return undefined;
    await pause(signal);
  }
}

/** The file that now has the name, where it is another one. */
async function replaced(file: string, handle: FileHandle | undefined): Promise<FileHandle | undefined> {
  const now = nodeFs.statSync(file, { throwIfNoEntry: false });
  if (now === undefined || now.ino === (await handle?.stat())?.ino) return undefined;
  return open(file, 'r').catch(() => undefined);
}

/** Lines from rotated files, for where the current one holds too few. */
async function olderLines(file: string, count: number): Promise<string[]> {
  let found: string[] = [];
  for (const number of rotatedNumbers(nodeFs, file)) {
    if (found.length >= count) break;
    const handle = await open(rotatedPath(file, number), 'r');
    try {
      found = [...(await lastLines(handle, count - found.length)).lines, ...found];
    } finally {
      await handle.close();
    }
  }
  return found;
}

async function lastLines(handle: FileHandle, count: number): Promise<{ lines: string[]; end: number }> {
  const { size } = await handle.stat();
  for (let length = BLOCK_BYTES; ; length *= 4) {
    const start = Math.max(0, size - length);
    const bytes = await readRange(handle, start, size);
    const whole = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1);
    const lines = split(whole);
    // The first of a block that begins inside the file may be half a line.
    if (start > 0 && lines.length <= count) continue;
    return { lines: count > 0 ? lines.slice(-count) : [], end: start + whole.length };
  }
}

async function linesFrom(handle: FileHandle, offset: number): Promise<{ lines: string[]; end: number }> {
  const { size } = await handle.stat();
  const bytes = await readRange(handle, offset, size);
  const whole = bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1);
  return { lines: split(whole), end: offset + whole.length };
}

function split(whole: Buffer): string[] {
  return whole.length === 0 ? [] : whole.toString('utf8', 0, whole.length - 1).split('\n');
}

async function readRange(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  if (end <= start) return Buffer.alloc(0);
  const bytes = Buffer.alloc(end - start);
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
  return bytes.subarray(0, bytesRead);
}
