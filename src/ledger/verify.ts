import * as nodeFs from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { codeOf, rotatedNumbers, rotatedPath } from './files.ts';
import { headPath, parseHead } from './head.ts';
import type { HeadRecord } from './head.ts';
import { GENESIS, hashLine, parseLine } from './line.ts';
import type { ParsedLine, Tip } from './line.ts';

/**
 * `edited`: a line is not what it was; `missing`: lines were cut out or off; `order`: a line stands where it does not
 * belong (swapped, repeated, put in); `lost`: the ledger itself has recorded that lines were gone; `head`: the side file
 * is missing or not what it was; `unfinished`: bytes at the end that no crash of ours explains.
 */
export type ProblemKind = 'edited' | 'missing' | 'order' | 'lost' | 'head' | 'unfinished';

export interface Problem {
  readonly file: string;
  /** Counted from 1 within the file; 0 where the file as a whole is meant. */
  readonly line: number;
  readonly kind: ProblemKind;
  readonly message: string;
}

export interface VerifyReport {
  readonly ok: boolean;
  /** Oldest first. */
  readonly files: readonly string[];
  readonly lines: number;
  /** Seq of the oldest and newest line. */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** The lines that rotation has removed with their files, which is no problem; absent where it has removed none. */
  readonly removed?: { readonly first: number; readonly last: number };
  /** Bytes of an unfinished last line, as a crash leaves it; the next start removes it. */
  readonly tornBytes: number;
  /** In the order of the lines, the first `PROBLEMS_MAX` of them. */
  readonly problems: readonly Problem[];
}

const PROBLEMS_MAX = 20;
const ATTEMPTS = 50;
const NEWLINE = 0x0a;
/** How each of our lines begins, with all digits read as 0. */
const BEGINNING = '{"time":"0000-00-00T00:00:00.000Z"';
const STAMP_END = BEGINNING.length;

/**
 * Reads all files of a ledger and checks that no line was edited, cut, swapped, repeated or put in. Works beside a
 * running sidecar. What it cannot see is a whole chain made anew, side file included, by somebody who may write there:
 * against that, keep the hash of the newest line elsewhere.
 */
export async function verifyLedger(file: string): Promise<VerifyReport> {
  const { head, files } = await openAll(file);
  const check = new ChainCheck(file, head);
  try {
    for (const { handle, path } of files) await check.readFile(handle, path, path === file);
  } finally {
    for (const { handle } of files) await handle.close();
  }
  return check.finish(files.map(({ path }) => path));
}

interface Opened {
  /** As it was before the files were opened: lines may come after it, none may be gone. */
  readonly head: HeadRecord | 'missing' | 'unreadable';
  /** Oldest first. */
  readonly files: readonly { readonly path: string; readonly handle: FileHandle }[];
}

/** All files at one instant: a rotation in between would show one of them twice or not at all. */
async function openAll(file: string): Promise<Opened> {
  for (let attempt = 1; ; attempt += 1) {
    const before = inodes(file);
    const head = await readHead(file);
    const files: { path: string; handle: FileHandle }[] = [];
    for (const [path] of before) {
      const handle = await openIfThere(path);
      if (handle !== undefined) files.push({ path, handle });
    }
    if (attempt === ATTEMPTS || JSON.stringify(before) === JSON.stringify(inodes(file))) return { head, files };
    for (const { handle } of files) await handle.close();
  }
}

/** Path and inode of each file, oldest first. */
function inodes(file: string): [path: string, inode: number][] {
  const rotated = rotatedFiles(file).toReversed();
  return [...rotated, file].flatMap((path) => {
    const stat = nodeFs.statSync(path, { throwIfNoEntry: false });
    return stat === undefined ? [] : [[path, stat.ino]];
  });
}

function rotatedFiles(file: string): string[] {
  try {
    return rotatedNumbers(nodeFs, file).map((number) => rotatedPath(file, number));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readHead(file: string): Promise<HeadRecord | 'missing' | 'unreadable'> {
  try {
    return parseHead(await readFile(headPath(file), 'latin1')) ?? 'unreadable';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'missing';
    throw error;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

class ChainCheck {
  readonly #file: string;
  readonly #head: HeadRecord | undefined;
  readonly #problems: Problem[] = [];
  #lines = 0;
  #first: number | undefined;
  #last: Tip | undefined;
  #tornBytes = 0;

  constructor(file: string, head: HeadRecord | 'missing' | 'unreadable') {
    this.#file = file;
    this.#head = typeof head === 'string' ? undefined : head;
    if (head === 'missing') this.#report(headPath(file), 0, 'head', 'the side file of the newest line is missing');
    if (head === 'unreadable') this.#report(headPath(file), 0, 'head', 'the side file is not as the ledger writes it');
  }

  async readFile(handle: FileHandle, path: string, isCurrent: boolean): Promise<void> {
    let rest: Buffer[] = [];
    let line = 0;
    for await (const chunk of handle.createReadStream({ autoClose: false, highWaterMark: 1 << 20 })) {
      const bytes = chunk as Buffer;
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        const part = bytes.subarray(start, end);
        line += 1;
        this.#line(rest.length === 0 ? part : Buffer.concat([...rest, part]), path, line);
        rest = [];
        start = end + 1;
      }
      if (start < bytes.length) rest.push(bytes.subarray(start));
    }
    if (rest.length > 0) this.#unfinished(Buffer.concat(rest), path, line + 1, isCurrent);
  }

  finish(files: readonly string[]): VerifyReport {
    const head = this.#head;
    const last = this.#last?.seq ?? 0;
    if (files.length === 0) this.#report(this.#file, 0, 'missing', 'there is no ledger here');
    else if (head !== undefined && last < head.seq) {
      this.#report(this.#file, 0, 'missing', `the newest lines, ${last + 1} to ${head.seq}, are missing`);
    } else if (head?.state === 'closed' && last > head.seq) {
      this.#report(this.#file, 0, 'order', `the ledger was closed at line ${head.seq}, but lines follow`);
    }
    return {
      ok: this.#problems.length === 0,
      files,
      lines: this.#lines,
      first: this.#first,
      last: this.#last?.seq,
      ...this.#removed(),
      tornBytes: this.#tornBytes,
      problems: this.#problems,
    };
  }

  /** Only the side file can tell what rotation removed from what somebody else did. */
  #removed(): Pick<VerifyReport, 'removed'> {
    const first = this.#first;
    if (first === undefined || first === 1 || this.#head === undefined || first > this.#head.first) return {};
    return { removed: { first: 1, last: first - 1 } };
  }

  #line(bytes: Buffer, path: string, line: number): void {
    this.#lines += 1;
    const parsed = parseLine(bytes.toString());
    if (parsed === undefined) {
      this.#report(path, line, 'edited', 'this is not a line of a ledger');
      return;
    }
    const { seq } = parsed;
    const hash = hashLine(bytes);
    if (this.#last === undefined) this.#checkFirst(parsed, path, line);
    else this.#checkNext(this.#last, parsed, path, line);
    const head = this.#head;
    if (seq === head?.seq && hash !== head.hash) {
      this.#report(path, line, 'edited', `line ${seq} is not the one that the side file names`);
    }
    this.#first ??= seq;
    this.#last = { seq, hash };
  }

  #checkFirst({ seq, prev, lost }: ParsedLine, path: string, line: number): void {
    const first = this.#head?.first;
    if (first !== undefined && seq > first) {
      const kind = lost === undefined ? 'missing' : 'lost';
      this.#report(path, line, kind, `the oldest lines, ${first} to ${seq - 1}, are missing`);
    }
    if (seq === 1 && prev !== GENESIS.hash) this.#report(path, line, 'edited', 'line 1 names a line before it');
  }

  #checkNext(last: Tip, { seq, prev, lost }: ParsedLine, path: string, line: number): void {
    if (seq <= last.seq) {
      this.#report(path, line, 'order', `line ${seq} stands behind line ${last.seq}: swapped, repeated or put in`);
    } else if (seq > last.seq + 1) {
      const told = lost !== undefined && lost.last === seq - 1;
      const message = `lines ${last.seq + 1} to ${seq - 1} are missing${told ? ', as the ledger itself has recorded' : ''}`;
      this.#report(path, line, told ? 'lost' : 'missing', message);
    } else if (prev !== last.hash) {
      this.#report(
        path,
        line,
        'edited',
        `line ${last.seq} is not the one that line ${seq} follows: one of them was edited`,
      );
    }
  }

  /** Only the last file of a ledger that was not closed may end without a newline, and only in a line begun by us. */
  #unfinished(bytes: Buffer, path: string, line: number, isCurrent: boolean): void {
    const seq = `${(this.#last?.seq ?? 0) + 1}`;
    if (isCurrent && this.#head?.state !== 'closed' && beginsLine(bytes.toString('latin1'), seq)) {
      this.#tornBytes = bytes.length;
    } else {
      this.#report(path, line, 'unfinished', `${bytes.length} bytes at the end are not a whole line`);
    }
  }

  #report(file: string, line: number, kind: ProblemKind, message: string): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push({ file, line, kind, message });
  }
}

function beginsLine(text: string, seq: string): boolean {
  const stamp = text.slice(0, STAMP_END).replace(/\d/g, '0');
  const rest = `,"seq":${seq},"type":"`;
  const shared = text.slice(STAMP_END, STAMP_END + rest.length);
  return BEGINNING.startsWith(stamp) && rest.startsWith(shared);
}
