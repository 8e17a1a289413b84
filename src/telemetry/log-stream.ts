import { writeSync } from 'node:fs';

/** Where log lines go: whole lines with their newline. */
export interface LogStream {
  write(line: string): unknown;
  /** True where a person reads: lines become short text. */
  readonly isTTY?: boolean | undefined;
}

/** Time that lines may wait for a full pipe before they are dropped. */
const STALL_MS = 1000;
const PAUSE_MS = 5;
const NOTHING = new Uint8Array(0);

type WriteSync = (fd: number, bytes: Uint8Array) => number;

/**
 * Writes to a file descriptor at once, so that no line is lost at exit. A reader that went away (EPIPE) ends logging,
 * never the process. A reader that stalls, or a full disk, holds the process up for `STALL_MS` once; from then on lines
 * are dropped, and counted in a line of their own as soon as one gets through. No line is ever cut in half.
 */
export function fdStream(fd: number, isTTY: boolean, write: WriteSync = writeSync): LogStream {
  let closed = false;
  let dropped = 0;
  let rest: Uint8Array = NOTHING;

  /** What could not be written of `bytes`. */
  function push(bytes: Uint8Array): Uint8Array {
    let left = bytes;
    let patienceMs = dropped === 0 ? STALL_MS : 0;
    while (left.length > 0) {
      try {
        left = left.subarray(write(fd, left));
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        closed = code === 'EPIPE' || code === 'EBADF';
        if (code === 'EINTR') continue;
        if (code !== 'EAGAIN' || patienceMs <= 0) return left;
        patienceMs -= PAUSE_MS;
        pause();
      }
    }
    return left;
  }

  function writeLine(line: string): void {
    if (closed) return;
    rest = push(rest);
    const lost = dropped === 0 ? '' : `{"level":"warn","message":"log lines dropped","dropped":${dropped}}\n`;
    const bytes = Buffer.from(lost + line);
    const left = rest.length > 0 ? bytes : push(bytes);
    if (left.length === bytes.length) dropped += 1;
    else {
      dropped = left.length === 0 ? 0 : 1;
      rest = left;
    }
  }

  return { write: writeLine, isTTY };
}

/** Blocks: only that keeps the promise that a line is out when `write` returns. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
}
