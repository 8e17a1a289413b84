import type { Branch, Node, ParsedTemplate } from './template-ast.ts';
import { TemplateProblem } from './template-ast.ts';
import { ExpressionParser } from './template-expression.ts';
import { lexTemplate, type Segment } from './template-lex.ts';

/** Bytes of a template. */
export const TEMPLATE_BYTES_MAX = 4096;

/** Reads a template whole, with every name, count and format checked. Throws TemplateProblem. */
export function parseTemplate(source: string): ParsedTemplate {
  if (Buffer.byteLength(source) > TEMPLATE_BYTES_MAX) {
    throw new TemplateProblem(`a template is longer than ${TEMPLATE_BYTES_MAX} bytes`, source, 0);
  }
  const parser = new TemplateParser(source, lexTemplate(source));
  return parser.parse();
}

type Terminator = 'end' | 'else';

/** Blocks: which actions belong together. What stands inside one action is ExpressionParser's. */
class TemplateParser {
  readonly #source: string;
  readonly #segments: readonly Segment[];
  readonly #expressions: ExpressionParser;
  #next = 0;

  constructor(source: string, segments: readonly Segment[]) {
    this.#source = source;
    this.#segments = segments;
    this.#expressions = new ExpressionParser(source);
  }

  parse(): ParsedTemplate {
    const { nodes, stop } = this.#block(undefined);
    if (stop !== undefined) this.#fail(`"${stop}" without an open block`, this.#segments[this.#next - 1]!.at);
    const { credentials, slots } = this.#expressions;
    return { nodes, credentials: [...credentials], slots };
  }

  /** Nodes up to the `end` or `else` that closes the block opened at `opened`; that action is consumed as `stop`. */
  #block(opened: number | undefined): { nodes: Node[]; stop: Terminator | undefined } {
    const nodes: Node[] = [];
    for (;;) {
      const segment = this.#segments[this.#next];
      if (segment === undefined) {
        if (opened !== undefined) this.#fail('a block is not closed with {{ end }}', opened);
        return { nodes, stop: undefined };
      }
      this.#next += 1;
      if (segment.kind === 'text') {
        nodes.push({ kind: 'text', text: segment.text });
        continue;
      }
      this.#expressions.begin(segment.tokens, segment.at, segment.end);
      const word = this.#expressions.keyword();
      if (word === 'end' || word === 'else') {
        if (word === 'end') this.#expressions.finish();
        return { nodes, stop: word };
      }
      nodes.push(this.#action(word, segment.at));
    }
  }

  #action(word: string | undefined, at: number): Node {
    switch (word) {
      case undefined:
        return this.#simple();
      case 'if':
      case 'with':
        return this.#branch(word, at);
      case 'range':
        return this.#range(at);
      default:
        return this.#fail(`{{ ${word} }} is not supported`, at);
    }
  }

  #simple(): Node {
    const { declared, assigned, value } = this.#expressions.pipelineWithVariable();
    this.#expressions.finish();
    if (declared !== undefined) return { kind: 'assign', slot: this.#expressions.declare(declared, value), value };
    if (assigned !== undefined) return { kind: 'assign', slot: this.#expressions.reassign(assigned, value), value };
    this.#expressions.requireScalar(value);
    return { kind: 'output', value };
  }

  #branch(kind: Branch['kind'], at: number): Branch {
    const expressions = this.#expressions;
    const leave = expressions.enter(at);
    const { declared, assigned, value } = expressions.pipelineWithVariable();
    if (assigned !== undefined) this.#fail(`{{ ${kind} }} declares a variable with ":=", it does not assign one`, at);
    expressions.finish();
    const slot = declared === undefined ? undefined : expressions.declare(declared, value);
    const restore = kind === 'with' ? expressions.moveDot(value) : undefined;
    const { nodes: body, stop } = this.#block(at);
    restore?.();
    const otherwise = stop === 'else' ? this.#otherwise(kind, at) : [];
    leave();
    return { kind, condition: value, slot, body, otherwise };
  }

  /** After `else`: another `if` or `with` in the same action, or a block of its own. */
  #otherwise(kind: Branch['kind'] | 'range', at: number): readonly Node[] {
    const word = this.#expressions.keyword();
    if (word !== undefined && word === kind && kind !== 'range') return [this.#branch(kind, at)];
    if (word !== undefined) this.#fail(`{{ else ${word} }} does not belong here`, at);
    this.#expressions.finish();
    const { nodes, stop } = this.#block(at);
    if (stop === 'else') this.#fail('a block has a second {{ else }}', at);
    return nodes;
  }

  #range(at: number): Node {
    const expressions = this.#expressions;
    const leave = expressions.enter(at);
    const { names, over } = expressions.rangeClause();
    expressions.finish();
    const [first, second] = names.map((name) => expressions.declareText(name));
    const restore = expressions.moveDotToText();
    const { nodes: body, stop } = this.#block(at);
    restore();
    const otherwise = stop === 'else' ? this.#otherwise('range', at) : [];
    leave();
    // With one variable Go gives it the element, with two the key comes first.
    const keySlot = second === undefined ? undefined : first;
    return { kind: 'range', over, keySlot, valueSlot: second ?? first, body, otherwise };
  }

  #fail(reason: string, at: number): never {
    throw new TemplateProblem(reason, this.#source, at);
  }
}
