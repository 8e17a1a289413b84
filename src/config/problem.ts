import type { LineCounter } from 'yaml';
import { nodeAt, type Node, type Path } from './node.ts';

/** One thing wrong with a configuration file. Never holds a credential value. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** One sentence, lower case, no full stop. */
  readonly message: string;
  /** Keys from the root of the normalised file, joined by dots: `services.api.listenOn`. */
  readonly path: string;
  /** The word that was probably meant. */
  readonly suggestion?: string;
  /** `not-in-build`: right, but this build has no such connector or provider. */
  readonly kind?: 'not-in-build';
}

export interface ProblemOptions {
  readonly suggestion?: string | undefined;
  readonly kind?: 'not-in-build';
  /** Where it points: at the key of the path, or at its value (default). */
  readonly on?: 'key' | 'value';
}

/** `file:line:column: error: message (did you mean "x"?)`. */
export function formatProblem(problem: Problem): string {
  const hint = problem.suggestion === undefined ? '' : ` (did you mean ${quote(problem.suggestion)}?)`;
  return `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: ${problem.message}${hint}`;
}

const QUOTE_LENGTH_MAX = 60;

/** Text from the file, fit for a terminal: quoted, escaped and cut. */
export function quote(text: string): string {
  const cut = text.length > QUOTE_LENGTH_MAX ? `${text.slice(0, QUOTE_LENGTH_MAX)}…` : text;
  return JSON.stringify(cut.toWellFormed()).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Collects problems and finds the place in the file that each one is about. */
export class Report {
  /** The tree that paths are looked up in. */
  root: Node | undefined;
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #problems: Problem[] = [];
  readonly #muted = new Set<number>();

  constructor(file: string, lines: LineCounter) {
    this.#file = file;
    this.#lines = lines;
  }

  get problems(): readonly Problem[] {
    return this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  get failed(): boolean {
    return this.#problems.some((problem) => problem.severity === 'error');
  }

  /** True where the very same place has an error already, so that its consequences need no mention. */
  refused(path: Path): boolean {
    const place = path.join('.');
    return this.#problems.some((problem) => problem.severity === 'error' && problem.path === place);
  }

  /** Nothing more is said about the place: it is known to be wrong, and the rest would follow from that. */
  mute(offset: number): void {
    this.#muted.add(offset);
  }

  error(path: Path, message: string, options: ProblemOptions = {}): void {
    this.errorAt(this.#offsetOf(path, options.on ?? 'value'), path, message, options);
  }

  warn(path: Path, message: string, options: ProblemOptions = {}): void {
    this.#add('warning', this.#offsetOf(path, options.on ?? 'value'), path, message, options);
  }

  errorAt(offset: number, path: Path, message: string, options: ProblemOptions = {}): void {
    this.#add('error', offset, path, message, options);
  }

  warnAt(offset: number, path: Path, message: string): void {
    this.#add('warning', offset, path, message, {});
  }

  #add(severity: Problem['severity'], offset: number, path: Path, message: string, options: ProblemOptions): void {
    if (this.#muted.has(offset)) return;
    const position = this.#lines.linePos(offset);
    const problem: Problem = {
      severity,
      file: this.#file,
      line: Math.max(position.line, 1),
      column: Math.max(position.col, 1),
      message,
      path: path.join('.'),
      ...(options.suggestion === undefined ? {} : { suggestion: options.suggestion }),
      ...(options.kind === undefined ? {} : { kind: options.kind }),
    };
    const known = this.#problems.some(
      (other) => other.path === problem.path && other.message === message && other.severity === severity,
    );
    if (!known) this.#problems.push(problem);
  }

  /** The place of a path, or of the nearest thing above it that is in the file. */
  #offsetOf(path: Path, on: 'key' | 'value'): number {
    for (let length = path.length; length > 0; length -= 1) {
      const found = nodeAt(this.root, path.slice(0, length));
      if (found !== undefined) return on === 'key' || length < path.length ? found.keyAt : found.node.at;
    }
    return this.root?.at ?? 0;
  }
}
