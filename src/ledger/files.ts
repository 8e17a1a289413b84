import * as nodeFs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SidecarError } from '../error.ts';
import { hashLine, parseLine } from './line.ts';
import type { Tip } from './line.ts';

/** What the ledger asks of the operating system; tests put faults in between. */
export type FileSystem = Pick<
  typeof nodeFs,
  | 'closeSync'
  | 'fchmodSync'
  | 'fdatasync'
  | 'fdatasyncSync'
  | 'fstatSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'mkdirSync'
  | 'openSync'
  | 'readSync'
  | 'readdirSync'
  | 'renameSync'
  | 'statSync'
  | 'unlinkSync'
  | 'writeSync'
>;

export const realFileSystem: FileSystem = nodeFs;

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = nodeFs.constants;
const MODE = 0o600;
const TAIL_BYTES = 64 * 1024;
/** A line longer than this is not ours: request heads are limited far below. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Opens or creates a private regular file. A link is not followed: it could point anywhere. */
export function openPrivate(fs: FileSystem, path: string, append: boolean): number {
  // O_NONBLOCK: opening a FIFO must not wait for a reader.
  const flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | (append ? O_APPEND : 0);
  const fd = fs.openSync(path, flags, MODE);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) throw unavailable(`${path} is not a regular file`);
    if ((stat.mode & 0o777) !== MODE) fs.fchmodSync(fd, MODE);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return fd;
}

/** Makes a name in a folder survive the end of the machine. */
export function syncFolder(fs: FileSystem, file: string): void {
  const fd = fs.openSync(dirname(file), 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Writes all bytes; a short write is continued, so that its cause (no space, a limit) comes out as an error. */
export function writeAll(fs: FileSystem, fd: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    const count = fs.writeSync(fd, bytes, done, bytes.length - done);
    if (count === 0) throw unavailable('the file takes no more bytes');
    done += count;
  }
}

/** Numbers of the rotated files, newest (1) first. Gaps are left by a rotation that was interrupted. */
export function rotatedNumbers(fs: Pick<FileSystem, 'readdirSync'>, file: string): number[] {
  const prefix = `${basename(file)}.`;
  const numbers: number[] = [];
  for (const name of fs.readdirSync(dirname(file))) {
    const suffix = name.startsWith(prefix) ? name.slice(prefix.length) : '';
    if (/^[1-9][0-9]{0,5}$/.test(suffix)) numbers.push(Number(suffix));
  }
  return numbers.sort((a, b) => a - b);
}

export function rotatedPath(file: string, number: number): string {
  return join(dirname(file), `${basename(file)}.${number}`);
}

/** The end of a file of lines. */
export interface FileEnd {
  /** Offset behind the last newline. */
  readonly end: number;
  /** Bytes after it: a line that was never finished. */
  readonly tornBytes: number;
  /** The last whole line; `unreadable` where it is not a line of a ledger, undefined where there is none. */
  readonly tip: Tip | 'unreadable' | undefined;
}

/** Reads back from the end only as far as the last whole line needs. */
export function readEnd(fs: FileSystem, fd: number): FileEnd {
  const size = fs.fstatSync(fd).size;
  for (let length = TAIL_BYTES; ; length *= 4) {
    const start = Math.max(0, size - length);
    const bytes = readRange(fs, fd, start, size);
    const last = bytes.lastIndexOf(NEWLINE);
    if (last < 0 && start === 0) return { end: 0, tornBytes: bytes.length, tip: undefined };
    const before = last <= 0 ? -1 : bytes.lastIndexOf(NEWLINE, last - 1);
    if (last >= 0 && (before >= 0 || start === 0)) {
      const line = bytes.subarray(before + 1, last);
      const parsed = parseLine(line.toString());
      const tip = parsed === undefined ? 'unreadable' : { seq: parsed.seq, hash: hashLine(line) };
      return { end: start + last + 1, tornBytes: bytes.length - last - 1, tip };
    }
    if (length > LINE_BYTES_MAX) return { end: size, tornBytes: 0, tip: 'unreadable' };
  }
}

/** The seq of the first line; undefined where there is no readable one. */
export function readFirstSeq(fs: FileSystem, path: string): number | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    for (let length = TAIL_BYTES; length <= LINE_BYTES_MAX; length *= 4) {
      const bytes = readRange(fs, fd, 0, length);
      const newline = bytes.indexOf(NEWLINE);
      if (newline >= 0) return parseLine(bytes.toString('utf8', 0, newline))?.seq;
      if (bytes.length < length) return undefined;
    }
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
}

function readRange(fs: FileSystem, fd: number, start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start);
  let done = 0;
  while (done < bytes.length) {
    const count = fs.readSync(fd, bytes, done, bytes.length - done, start + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

export function unavailable(detail: string, cause?: unknown): SidecarError {
  return new SidecarError('ledger-unavailable', { detail, ...(cause === undefined ? {} : { cause }) });
}

/** Code and path of a system error, or the message of any other. */
export function describe(error: unknown): string {
  if (error instanceof SidecarError) return error.detail ?? error.code;
  return error instanceof Error ? error.message : String(error);
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
