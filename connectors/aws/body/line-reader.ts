import { BodyProblem } from './body-problem.ts';

const NEWLINE = 0x0a;

/** Collects lines that may be cut anywhere. What it holds never exceeds its limit. */
export class LineReader {
  #bytesMax: number;
  #held = '';

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Changes the longest line, in bytes. */
  limit(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  /**
   * One line without its newline, latin1, and how many of `bytes` it used; no line where none ends in them. A line
   * keeps its carriage return. Errors: `too-long`.
   */
  read(bytes: Uint8Array): { readonly line: string | undefined; readonly used: number } {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const room = this.#bytesMax - this.#held.length;
    const end = view.subarray(0, room + 1).indexOf(NEWLINE);
    if (end < 0 && view.length > room) throw new BodyProblem('too-long', 'a line of the framing is too long');
    this.#held += view.toString('latin1', 0, end < 0 ? view.length : end);
    if (end < 0) return { line: undefined, used: view.length };
    const line = this.#held;
    this.#held = '';
    return { line, used: end + 1 };
  }
}
