import { TemplateProblem, type Branch, type Expression, type Node } from './template-ast.ts';
import {
  bounded,
  FUNCTIONS,
  OUTPUT_MAX,
  scalarText,
  templateError,
  tooLong,
  truthOf,
  write,
} from './template-functions.ts';
import type { CredentialTexts, Scalar, Value } from './template-functions.ts';
import { parseTemplate } from './template-parse.ts';
import { parseFormat } from './template-printf.ts';

export { TemplateProblem };
export type { CredentialTexts };

/** Turns of all ranges of one rendering together. */
const TURNS_MAX = 1024;

/** A parsed template: closures that hold no secret between two renderings. */
export interface Template {
  /** Credentials it names. */
  readonly credentials: readonly string[];
  /** Text that stands in every result, for checks at load. */
  readonly fixedText: string;
  /** Errors: `credential-missing`, `credential-unfit`, `config-invalid`; none quotes a value. */
  render(credentials: CredentialTexts): string;
}

/** What one rendering works on. */
interface Frame {
  readonly root: CredentialTexts;
  dot: Value;
  readonly slots: Value[];
  turns: number;
}

type Evaluate = (frame: Frame) => Value;
type Write = (frame: Frame) => string;

/** Throws TemplateProblem. */
export function compileTemplate(source: string): Template {
  const { nodes, credentials, slots } = parseTemplate(source);
  const run = compileNodes(nodes);
  const fixedText = nodes.map((node) => (node.kind === 'text' ? node.text : '')).join('');
  return {
    credentials,
    fixedText,
    render: (root) => run({ root, dot: root, slots: slots === 0 ? NO_SLOTS : Array<Value>(slots).fill(''), turns: 0 }),
  };
}

const NO_SLOTS: Value[] = [];

function compileNodes(nodes: readonly Node[]): Write {
  const writes = nodes.map(compileNode);
  const [first, second] = writes;
  if (first === undefined) return () => '';
  if (second === undefined) return first;
  return (frame) => {
    let text = '';
    for (const each of writes) text += each(frame);
    if (text.length > OUTPUT_MAX) throw tooLong();
    return text;
  };
}

function compileNode(node: Node): Write {
  switch (node.kind) {
    case 'text': {
      const { text } = node;
      return () => text;
    }
    case 'output': {
      const value = compileExpression(node.value);
      return (frame) => {
        const result = value(frame);
        return typeof result === 'string' ? result : scalarText(result);
      };
    }
    case 'assign': {
      const value = compileExpression(node.value);
      const { slot } = node;
      return (frame) => {
        frame.slots[slot] = value(frame);
        return '';
      };
    }
    case 'if':
    case 'with':
      return compileBranch(node);
    case 'range':
      return compileRange(node);
    default:
      return node satisfies never;
  }
}

function compileBranch(node: Branch): Write {
  const condition = compileExpression(node.condition);
  const body = compileNodes(node.body);
  const otherwise = compileNodes(node.otherwise);
  const { slot, kind } = node;
  return (frame) => {
    const value = condition(frame);
    if (slot !== undefined) frame.slots[slot] = value;
    if (!truthOf(value)) return otherwise(frame);
    return kind === 'with' ? withDot(frame, value, body) : body(frame);
  };
}

function compileRange(node: Node & { kind: 'range' }): Write {
  const over = compileExpression(node.over);
  const body = compileNodes(node.body);
  const otherwise = compileNodes(node.otherwise);
  const { keySlot, valueSlot } = node;
  return (frame) => {
    const source = over(frame);
    if (typeof source !== 'object') throw templateError('range goes over all credentials only');
    if (source.names.length === 0) return otherwise(frame);
    let text = '';
    // Go ranges over a map in the order of its keys.
    for (const name of [...source.names].sort()) {
      frame.turns += 1;
      if (frame.turns > TURNS_MAX) throw templateError(`the ranges of a template turn more than ${TURNS_MAX} times`);
      const value = source.text(name);
      if (keySlot !== undefined) frame.slots[keySlot] = name;
      if (valueSlot !== undefined) frame.slots[valueSlot] = value;
      text += withDot(frame, value, body);
      if (text.length > OUTPUT_MAX) throw tooLong();
    }
    return text;
  };
}

function withDot(frame: Frame, dot: Value, body: Write): string {
  const before = frame.dot;
  frame.dot = dot;
  const text = body(frame);
  frame.dot = before;
  return text;
}

function compileExpression(expression: Expression): Evaluate {
  switch (expression.kind) {
    case 'dot':
      return (frame) => frame.dot;
    case 'root':
      return (frame) => frame.root;
    case 'variable': {
      const { slot } = expression;
      return (frame) => frame.slots[slot]!;
    }
    case 'literal': {
      const { value } = expression;
      return () => value;
    }
    case 'member':
      return compileMember(expression.of, expression.name);
    case 'call':
      return compileCall(expression);
    default:
      return expression satisfies never;
  }
}

function compileMember(of: Expression, name: string): Evaluate {
  const owner = compileExpression(of);
  return (frame) => {
    const source = owner(frame);
    if (typeof source !== 'object') throw templateError(`".${name}" asks for a field of a text`);
    return source.text(name);
  };
}

function compileCall(call: Expression & { kind: 'call' }): Evaluate {
  const args = call.args.map(compileExpression);
  if (call.name === 'and' || call.name === 'or') return compileLazy(call.name === 'or', args);
  const format = call.args[0];
  if (call.name === 'printf' && format?.kind === 'literal') return compilePrintf(format.value, args.slice(1));
  const { apply } = FUNCTIONS[call.name];
  const [only] = args;
  if (only !== undefined && args.length === 1) return (frame) => bounded(apply([only(frame)]));
  return (frame) => bounded(apply(args.map((arg) => arg(frame))));
}

function compilePrintf(format: Scalar, args: readonly Evaluate[]): Evaluate {
  const pieces = parseFormat(String(format));
  return (frame) =>
    bounded(
      write(
        pieces,
        args.map((arg) => arg(frame)),
      ),
    );
}

/** Stops at the first value that decides, and gives that value. */
function compileLazy(stopAt: boolean, args: readonly Evaluate[]): Evaluate {
  return (frame) => {
    let value: Value = stopAt;
    for (const arg of args) {
      value = arg(frame);
      if (truthOf(value) === stopAt) break;
    }
    return value;
  };
}
