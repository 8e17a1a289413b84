import { dirname } from 'node:path';
import { continueChain } from './attach.ts';
import type { Continuation, Voucher } from './attach.ts';
import type { RecordedEvent } from './event.ts';
import type { FileSystem } from './files.ts';
import { codeOf, openPrivate, readEnd, syncFolder, unavailable, writeAll } from './files.ts';
import { Head, headPath } from './head.ts';
import type { HeadRecord } from './head.ts';
import { formatLine, hashLine } from './line.ts';
import type { Tip } from './line.ts';
import { rotateFiles } from './rotation.ts';

export interface ChainOptions {
  readonly fs: FileSystem;
  readonly file: string;
  readonly rotateBytes: number;
  readonly keep: number;
  /** True where lines and names must survive the end of the machine. */
  readonly sync: boolean;
  readonly now: () => number;
}

/** An event on its way into a line; no event: a mark in the queue that others wait for. */
export interface Entry {
  readonly event: RecordedEvent | undefined;
  readonly atMs: number;
}

interface Position {
  /** Bytes of the current file. */
  readonly size: number;
  readonly tip: Tip;
  /** Line that has to come before all others. */
  readonly opening: Continuation['opening'];
}

/** One write at most: bounds what a crash can tear and how long the event loop is held. */
const WRITE_BYTES_MAX = 256 * 1024;

/**
 * The files of one ledger and the chain through them. Knows nothing of callers and waiting: `write` puts a group of
 * lines behind the last one or throws and leaves none, `confirm` makes them count, `rollback` takes them back.
 */
export class Chain {
  readonly #options: ChainOptions;
  #head: Head;
  #fd: number | undefined;
  #first = 1;
  #confirmed: Position;
  #written: Position | undefined;
  /** True where bytes may stand behind the confirmed end. */
  #dirty = false;
  #marked = false;
  #detached: string | undefined;

  constructor(options: ChainOptions) {
    const { fs, file } = options;
    this.#options = options;
    // Refuses what is not a file of ours before a side file is made next to it.
    fs.closeSync(openPrivate(fs, file, true));
    this.#head = new Head(fs, file);
    this.#confirmed = { size: 0, tip: { seq: 0, hash: '' }, opening: undefined };
    try {
      this.#attach(this.#head.read(), 'head');
      this.write([], 0);
      this.confirm();
      this.mark();
      if (options.sync) this.#syncAll();
    } catch (error) {
      this.#closeFiles();
      throw error;
    }
  }

  static makeFolder(fs: FileSystem, file: string): void {
    fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  }

  /** The newest line that counts. */
  get tip(): Tip {
    return this.#confirmed.tip;
  }

  get fd(): number {
    if (this.#fd === undefined) throw unavailable('the file is not open');
    return this.#fd;
  }

  /** Writes entries from `from` on, as many as fit one write; returns how many. All of them or none. */
  write(entries: readonly Entry[], from: number): number {
    this.#prepare();
    const { rotateBytes, now } = this.#options;
    let { tip } = this.#confirmed;
    let lines = '';
    const add = (event: RecordedEvent, atMs: number): void => {
      const line = formatLine(event, atMs, tip.seq + 1, tip.hash);
      tip = { seq: tip.seq + 1, hash: hashLine(line) };
      lines += `${line}\n`;
    };
    if (this.#confirmed.opening !== undefined) add(this.#confirmed.opening, now());
    const room = Math.min(WRITE_BYTES_MAX, rotateBytes - this.#confirmed.size);
    let at = from;
    for (; at < entries.length && (at === from || lines.length < room); at += 1) {
      const { event, atMs } = entries[at]!;
      if (event !== undefined) add(event, atMs);
    }
    const bytes = Buffer.from(lines);
    if (bytes.length > 0) {
      this.#dirty = true;
      try {
        writeAll(this.#options.fs, this.fd, bytes);
      } catch (error) {
        this.rollback();
        throw error;
      }
    }
    this.#written = { size: this.#confirmed.size + bytes.length, tip, opening: undefined };
    return at - from;
  }

  /** The written lines count. The side file is a step behind until `mark`. */
  confirm(): void {
    if (this.#written === undefined) return;
    this.#confirmed = this.#written;
    this.#written = undefined;
    this.#dirty = false;
    this.#marked = false;
  }

  /** True where the side file names the newest line. */
  get marked(): boolean {
    return this.#marked;
  }

  /** Brings the side file up to the newest line. */
  mark(): void {
    if (!this.#marked) this.#writeHead('open');
  }

  /** Takes back what is not confirmed; what cannot be cut off now is cut off before the next write. */
  rollback(): void {
    this.#written = undefined;
    try {
      this.#truncate();
    } catch {
      // Still dirty: `write` tries again, and fails as long as this does.
    }
  }

  /** What somebody did to the files; undefined where all is as this process left it. */
  inspect(): string | undefined {
    if (this.#fd === undefined || this.#dirty) return undefined;
    const { fs, file } = this.#options;
    const own = fs.fstatSync(this.#fd);
    const named = inodeAt(fs, file);
    if (named === undefined) return 'the file vanished';
    if (named !== own.ino) return 'another file took the place of the ledger';
    if (own.size !== this.#confirmed.size) return 'the file changed its size';
    if (inodeAt(fs, headPath(file)) !== this.#head.inode()) return 'the side file vanished';
    return undefined;
  }

  /** Lets go of files that are no longer what they were; the next write opens them anew and tells the reason. */
  detach(reason: string): void {
    const { fs, file } = this.#options;
    this.#detached = reason;
    this.#closeCurrent();
    const head = new Head(fs, file);
    this.#head.close();
    this.#head = head;
  }

  close(): void {
    try {
      if (!this.#dirty) {
        this.#writeHead('closed');
        if (this.#options.sync) this.#head.sync();
      }
    } finally {
      this.#closeFiles();
    }
  }

  #prepare(): void {
    if (this.#fd === undefined) this.#attach(this.#known(), 'process');
    else this.#truncate();
    const { size, opening } = this.#confirmed;
    if (size < this.#options.rotateBytes || opening !== undefined) return;
    const { fs, file, keep, sync } = this.#options;
    this.mark();
    rotateFiles(fs, file, keep, (first) => {
      this.#first = first;
      this.#writeHead('open');
      if (sync) this.#head.sync();
    });
    this.#closeCurrent();
    this.#attach(this.#known(), 'process');
  }

  #attach(known: HeadRecord | undefined, voucher: Voucher): void {
    const { fs, file, sync } = this.#options;
    const fd = openPrivate(fs, file, true);
    try {
      const found = readEnd(fs, fd);
      const { first, tip, opening } = continueChain(fs, file, found, known, voucher);
      if (found.tornBytes > 0) fs.ftruncateSync(fd, found.end);
      if (sync) syncFolder(fs, file);
      this.#fd = fd;
      this.#first = first;
      this.#dirty = false;
      this.#confirmed = { size: found.end, tip, opening: this.#explain(opening) };
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  #explain(opening: Position['opening']): Position['opening'] {
    if (this.#detached === undefined || opening?.type === 'ledger.rotated') return opening;
    const reason = this.#detached;
    this.#detached = undefined;
    return { ...opening, type: 'ledger.recovered', reason };
  }

  #known(): HeadRecord {
    return { first: this.#first, ...this.#confirmed.tip, state: 'open' };
  }

  #truncate(): void {
    if (!this.#dirty || this.#fd === undefined) return;
    this.#options.fs.ftruncateSync(this.#fd, this.#confirmed.size);
    this.#dirty = false;
  }

  #writeHead(state: HeadRecord['state']): void {
    this.#head.write({ ...this.#known(), state });
    this.#marked = true;
  }

  #syncAll(): void {
    this.#options.fs.fdatasyncSync(this.fd);
    this.#head.sync();
  }

  #closeCurrent(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    this.#options.fs.closeSync(fd);
  }

  #closeFiles(): void {
    this.#closeCurrent();
    this.#head.close();
  }
}

function inodeAt(fs: FileSystem, path: string): number | undefined {
  try {
    return fs.statSync(path).ino;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
