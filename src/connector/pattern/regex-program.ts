import type { Assertion, RegexNode, Sequence } from './regex-syntax.ts';

/**
 * Runs a parsed pattern in time linear in text and pattern: it walks all readings at once instead of trying one after
 * the other (Thompson 1968), so no pattern and no text can make it hang.
 */

/** Instructions at most; counted repetitions are written out. */
const INSTRUCTIONS_MAX = 4000;

type Instruction =
  | { readonly op: 'set'; readonly members: Uint8Array }
  | { readonly op: 'assert'; readonly assertion: Assertion }
  | { op: 'split'; other: number }
  | { op: 'jump'; to: number }
  | { readonly op: 'accept' };

export interface Run {
  readonly text: string;
  /** Index where the walk begins. */
  readonly from: number;
  /** Index where `^` holds: where the whole match begins. */
  readonly start: number;
  readonly hostStart: number;
  /** Asked for each index where a match can end; true ends the run. */
  readonly accept: (end: number) => boolean;
  /** True where more text may follow: then it is enough that a match could go on behind the end. */
  readonly open?: boolean;
}

export interface RegexProgram {
  /** Whether a match from `from` exists whose end is accepted. */
  run(run: Run): boolean;
}

/** Throws an Error with the reason where the pattern is too large. */
export function compileRegex(sequence: Sequence): RegexProgram {
  const code: Instruction[] = [];
  emit(code, sequence);
  code.push({ op: 'accept' });
  // One walk runs at a time, so each program keeps its lists.
  const lists: Lists = { seenAt: new Int32Array(code.length), waiting: [], ready: [] };
  return { run: (run) => walk(code, lists, run) };
}

function put(code: Instruction[], instruction: Instruction): void {
  if (code.length >= INSTRUCTIONS_MAX) throw new Error('is too large: its repetitions multiply');
  code.push(instruction);
}

function emit(code: Instruction[], sequence: Sequence): void {
  for (const node of sequence) emitNode(code, node);
}

function emitNode(code: Instruction[], node: RegexNode): void {
  switch (node.kind) {
    case 'set':
      return put(code, { op: 'set', members: node.members });
    case 'assert':
      return put(code, { op: 'assert', assertion: node.assertion });
    case 'repeat':
      return emitRepeat(code, node.body, node.min, node.max);
    case 'either': {
      const exits: { op: 'jump'; to: number }[] = [];
      for (const [at, branch] of node.branches.entries()) {
        const last = at === node.branches.length - 1;
        const split = { op: 'split' as const, other: 0 };
        if (!last) put(code, split);
        emit(code, branch);
        const exit = { op: 'jump' as const, to: 0 };
        put(code, exit);
        exits.push(exit);
        split.other = code.length;
      }
      for (const exit of exits) exit.to = code.length;
      return;
    }
    default:
      node satisfies never;
  }
}

function emitRepeat(code: Instruction[], body: Sequence, min: number, max: number): void {
  for (let count = 0; count < min; count++) emit(code, body);
  if (max === Infinity) {
    const split = { op: 'split' as const, other: 0 };
    const loop = code.length;
    put(code, split);
    emit(code, body);
    put(code, { op: 'jump', to: loop });
    split.other = code.length;
    return;
  }
  const splits: { op: 'split'; other: number }[] = [];
  for (let count = min; count < max; count++) {
    const split = { op: 'split' as const, other: 0 };
    put(code, split);
    splits.push(split);
    emit(code, body);
  }
  for (const split of splits) split.other = code.length;
}

interface Lists {
  /** Per instruction: the index in the text where it was last reached. */
  readonly seenAt: Int32Array;
  /** Instructions to follow from the next index, used as a stack. */
  readonly waiting: number[];
  /** Instructions that want the character at this index. */
  readonly ready: number[];
}

function walk(code: readonly Instruction[], lists: Lists, run: Run): boolean {
  const { text } = run;
  const { seenAt, waiting, ready } = lists;
  seenAt.fill(-1);
  waiting.length = 0;
  waiting.push(0);
  for (let at = run.from; at <= text.length && waiting.length > 0; at++) {
    ready.length = 0;
    if (settle(code, lists, at, run)) return true;
    if (at === text.length) return run.open === true && ready.length > 0;
    const char = text.charCodeAt(at);
    for (let next = 0; next < ready.length; next++) {
      const index = ready[next]!;
      const instruction = code[index]!;
      if (instruction.op === 'set' && instruction.members[char] === 1) waiting.push(index + 1);
    }
  }
  return false;
}

/** Follows everything that consumes nothing, from `waiting` into `ready`; true where the match may end here. */
function settle(code: readonly Instruction[], { seenAt, waiting, ready }: Lists, at: number, run: Run): boolean {
  while (waiting.length > 0) {
    const index = waiting.pop()!;
    if (seenAt[index] === at) continue;
    seenAt[index] = at;
    const instruction = code[index]!;
    switch (instruction.op) {
      case 'set':
        ready.push(index);
        break;
      case 'assert':
        if (holds(instruction.assertion, at, run)) waiting.push(index + 1);
        break;
      case 'split':
        waiting.push(instruction.other, index + 1);
        break;
      case 'jump':
        waiting.push(instruction.to);
        break;
      case 'accept':
        if (run.accept(at)) return true;
        break;
      default:
        instruction satisfies never;
    }
  }
  return false;
}

function holds(assertion: Assertion, at: number, run: Run): boolean {
  switch (assertion) {
    case 'start':
      return at === run.start;
    case 'end':
      return at === run.text.length;
    case 'hostStart':
      return at === run.hostStart;
    case 'wordEdge':
      return isWord(run.text, at - 1) !== isWord(run.text, at);
    case 'noWordEdge':
      return isWord(run.text, at - 1) === isWord(run.text, at);
    default:
      return assertion satisfies never;
  }
}

function isWord(text: string, at: number): boolean {
  return /\w/.test(text.charAt(at));
}
