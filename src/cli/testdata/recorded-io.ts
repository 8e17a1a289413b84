import type { Io } from '../command.ts';

export interface RecordedIo extends Io {
  out(): string;
  err(): string;
}

/** Keeps what a command prints. */
export function recordedIo(changes: Partial<Io> = {}): RecordedIo {
  let out = '';
  let err = '';
  return {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    isTTY: true,
    ...changes,
    out: () => out,
    err: () => err,
  };
}
