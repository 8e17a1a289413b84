import type { FileSystem } from './files.ts';
import { openPrivate, unavailable } from './files.ts';

/**
 * The side file that makes a cut visible at either end of the chain. It is written after the lines it speaks of, so it
 * is never ahead of them: after a crash there may be lines behind it, never lines missing before it.
 */
export interface HeadRecord {
  /** Seq of the oldest line that is kept. */
  readonly first: number;
  readonly seq: number;
  readonly hash: string;
  /** `closed`: the ledger was ended in order and nothing may follow. */
  readonly state: 'open' | 'closed';
}

/** One record, one sector: a write of it is never torn. */
const HEAD_BYTES = 192;

export function headPath(file: string): string {
  return `${file}.head`;
}

function format(record: HeadRecord): string {
  const { first, seq, hash, state } = record;
  const text = `{"first":${first},"seq":${seq},"hash":"${hash}","state":"${state}"}`;
  return `${text.padEnd(HEAD_BYTES - 1)}\n`;
}

/** Undefined where the text is not exactly what `format` writes. */
export function parseHead(text: string): HeadRecord | undefined {
  const match = /^\{"first":(\d{1,16}),"seq":(\d{1,16}),"hash":"([0-9a-f]{64})","state":"(open|closed)"\} *\n$/.exec(
    text,
  );
  if (match === null) return undefined;
  const record: HeadRecord = {
    first: Number(match[1]),
    seq: Number(match[2]),
    hash: match[3]!,
    state: match[4] === 'closed' ? 'closed' : 'open',
  };
  return format(record) === text ? record : undefined;
}

/** The side file, held open. */
export class Head {
  readonly #fs: FileSystem;
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(HEAD_BYTES);

  constructor(fs: FileSystem, file: string) {
    this.#fs = fs;
    this.#fd = openPrivate(fs, headPath(file), false);
  }

  read(): HeadRecord | undefined {
    const bytes = Buffer.alloc(HEAD_BYTES + 1);
    const count = this.#fs.readSync(this.#fd, bytes, 0, bytes.length, 0);
    return parseHead(bytes.toString('latin1', 0, count));
  }

  write(record: HeadRecord): void {
    this.#bytes.write(format(record), 0, HEAD_BYTES, 'latin1');
    const count = this.#fs.writeSync(this.#fd, this.#bytes, 0, HEAD_BYTES, 0);
    if (count !== HEAD_BYTES) throw unavailable(`${count} of ${HEAD_BYTES} bytes of the head were written`);
  }

  sync(): void {
    this.#fs.fdatasyncSync(this.#fd);
  }

  inode(): number {
    return this.#fs.fstatSync(this.#fd).ino;
  }

  close(): void {
    this.#fs.closeSync(this.#fd);
  }
}
