import type { Expression, FunctionName } from './template-ast.ts';
import { TemplateProblem } from './template-ast.ts';
import { FUNCTIONS } from './template-functions.ts';
import type { Token } from './template-lex.ts';
import { suggestion } from './nearest.ts';
import { parseFormat } from './template-printf.ts';

/** Blocks inside blocks, parentheses inside parentheses, and stages of one pipeline. */
const DEPTH_MAX = 32;
const KEYWORDS = ['if', 'else', 'end', 'with', 'range', 'define', 'template', 'block', 'break', 'continue'];

/** What can be known of a value at load. */
type Shape = 'credentials' | 'scalar' | 'unknown';

interface Variable {
  readonly name: string;
  readonly slot: number;
  shape: Shape;
}

interface PipelineWithVariable {
  readonly declared: Token | undefined;
  readonly assigned: Token | undefined;
  readonly value: Expression;
}

/** Reads one action at a time, and remembers variables, the shape of dot and the credentials named so far. */
export class ExpressionParser {
  readonly credentials = new Set<string>();
  slots = 0;
  readonly #source: string;
  #tokens: readonly Token[] = [];
  #next = 0;
  #at = 0;
  #end = 0;
  #variables: Variable[] = [];
  #dot: Shape = 'credentials';
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  begin(tokens: readonly Token[], at: number, end: number): void {
    this.#tokens = tokens;
    this.#next = 0;
    this.#at = at;
    this.#end = end;
  }

  /** The block word that stands next, consumed; undefined where none does. */
  keyword(): string | undefined {
    const token = this.#peek();
    if (token?.kind !== 'word' || !KEYWORDS.includes(token.text)) return undefined;
    this.#next += 1;
    return token.text;
  }

  finish(): void {
    const token = this.#peek();
    if (token !== undefined) this.#fail('something is left over in this action', token.at);
  }

  /** Opens a block; the returned function closes it and forgets its variables. */
  enter(at: number): () => void {
    const leaveDepth = this.#deeper(at);
    const mark = this.#variables.length;
    return () => {
      this.#variables.length = mark;
      leaveDepth();
    };
  }

  moveDot(value: Expression): () => void {
    return this.#setDot(this.#shapeOf(value));
  }

  moveDotToText(): () => void {
    return this.#setDot('scalar');
  }

  declare(token: Token, value: Expression): number {
    return this.#declare(token, this.#shapeOf(value));
  }

  declareText(token: Token): number {
    return this.#declare(token, 'scalar');
  }

  reassign(token: Token, value: Expression): number {
    const variable = this.#variable(token);
    if (variable.shape !== this.#shapeOf(value)) variable.shape = 'unknown';
    return variable.slot;
  }

  requireScalar(value: Expression): void {
    if (this.#shapeOf(value) !== 'credentials') return;
    this.#fail('the set of all credentials is not a text: name one of them', this.#at);
  }

  /** `pipeline`, `$x := pipeline` or `$x = pipeline`. */
  pipelineWithVariable(): PipelineWithVariable {
    const token = this.#peek();
    const operator = this.#tokens[this.#next + 1]?.kind;
    const named = token?.kind === 'variable' && token.text !== '' ? token : undefined;
    if (operator !== 'declare' && operator !== 'assign') {
      return { declared: undefined, assigned: undefined, value: this.#pipeline() };
    }
    if (named === undefined) this.#fail('only a variable such as $x takes a value', token!.at);
    this.#next += 2;
    const value = this.#pipeline();
    return operator === 'declare'
      ? { declared: named, assigned: undefined, value }
      : { declared: undefined, assigned: named, value };
  }

  /** `pipeline`, `$v := pipeline` or `$k, $v := pipeline`. */
  rangeClause(): { readonly names: readonly Token[]; readonly over: Expression } {
    const kinds = this.#tokens.slice(this.#next, this.#next + 4).map((token) => token.kind);
    const count =
      kinds[0] !== 'variable' ? 0 : kinds[1] === 'declare' ? 1 : kinds[1] === 'comma' && kinds[3] === 'declare' ? 2 : 0;
    const names = count === 0 ? [] : count === 1 ? [this.#peek()!] : [this.#peek()!, this.#tokens[this.#next + 2]!];
    this.#next += count * 2;
    const over = this.#pipeline();
    if (this.#shapeOf(over) === 'scalar')
      this.#fail('range goes over all credentials only: {{ range $name, $value := . }}', this.#at);
    return { names, over };
  }

  #pipeline(): Expression {
    let value = this.#command(undefined);
    let stages = 1;
    while (this.#peek()?.kind === 'pipe') {
      stages += 1;
      if (stages > DEPTH_MAX) this.#fail(`a pipeline has more than ${DEPTH_MAX} stages`, this.#peek()!.at);
      this.#next += 1;
      value = this.#command(value);
    }
    return value;
  }

  /** One stage; `piped` is the value of the stage before and becomes the last argument. */
  #command(piped: Expression | undefined): Expression {
    const token = this.#peek();
    if (token === undefined) this.#fail('a value is missing', this.#end - 2);
    if (token.kind === 'word' && token.text !== 'true' && token.text !== 'false') {
      this.#next += 1;
      return this.#call(token, piped);
    }
    const value = this.#operand();
    const stray = this.#peek();
    if (piped !== undefined || (stray !== undefined && startsOperand(stray))) {
      this.#fail('only a function takes arguments', (stray ?? token).at);
    }
    return value;
  }

  #call(token: Token & { kind: 'word' | 'field' | 'variable' | 'string' }, piped: Expression | undefined): Expression {
    const name = this.#functionName(token.text, token.at);
    const args: Expression[] = [];
    for (let next = this.#peek(); next !== undefined && startsOperand(next); next = this.#peek()) {
      if (next.at === this.#tokens[this.#next - 1]!.end) this.#fail('a blank is missing', next.at);
      args.push(this.#argument(next));
    }
    if (piped !== undefined) args.push(piped);
    const { least, most } = FUNCTIONS[name];
    if (args.length < least) this.#fail(`${name} takes at least ${least} argument${least === 1 ? '' : 's'}`, token.at);
    if (most !== undefined && args.length > most) {
      this.#fail(`${name} takes at most ${most} argument${most === 1 ? '' : 's'}`, token.at);
    }
    const [first, second] = args;
    if (name === 'printf') this.#checkFormat(args, token.at);
    // A fixed key is the same as a field: its name is checked at load and costs nothing later.
    if (name === 'index' && second?.kind === 'literal' && typeof second.value === 'string' && args.length === 2) {
      return this.#member(first!, second.value, token.at);
    }
    return { kind: 'call', name, args };
  }

  #argument(token: Token): Expression {
    if (token.kind === 'word' && token.text !== 'true' && token.text !== 'false') {
      const name = this.#functionName(token.text, token.at);
      if (FUNCTIONS[name].least > 0) this.#fail(`put ${name} and its arguments in parentheses`, token.at);
      this.#next += 1;
      return { kind: 'call', name, args: [] };
    }
    return this.#operand();
  }

  #operand(): Expression {
    const token = this.#peek()!;
    this.#next += 1;
    let value = this.#primary(token);
    let end = this.#tokens[this.#next - 1]!.end;
    for (let next = this.#peek(); next?.kind === 'field' && next.at === end; next = this.#peek()) {
      value = this.#member(value, next.text, next.at);
      end = next.end;
      this.#next += 1;
    }
    return value;
  }

  #primary(token: Token): Expression {
    switch (token.kind) {
      case 'dot':
        return { kind: 'dot' };
      case 'field':
        return this.#member({ kind: 'dot' }, token.text, token.at);
      case 'variable':
        return token.text === '' ? { kind: 'root' } : { kind: 'variable', slot: this.#variable(token).slot };
      case 'string':
        return { kind: 'literal', value: token.text };
      case 'number':
        return { kind: 'literal', value: token.value };
      case 'word':
        return { kind: 'literal', value: token.text === 'true' };
      case 'open': {
        const leave = this.#deeper(token.at);
        const value = this.#pipeline();
        if (this.#peek()?.kind !== 'close') this.#fail('a parenthesis is not closed', token.at);
        this.#next += 1;
        leave();
        return value;
      }
      case 'close':
      case 'pipe':
      case 'declare':
      case 'assign':
      case 'comma':
        return this.#fail('a value is missing', token.at);
      default:
        return token satisfies never;
    }
  }

  #member(of: Expression, name: string, at: number): Expression {
    if (this.#shapeOf(of) === 'scalar') {
      const hint = of.kind === 'dot' ? `; inside this block "." is a text, write $.${name}` : '';
      this.#fail(`".${name}" asks for a field of a text${hint}`, at);
    }
    this.credentials.add(name);
    return { kind: 'member', of, name };
  }

  #checkFormat(args: readonly Expression[], at: number): void {
    const format = args[0]!;
    if (format.kind !== 'literal') return;
    if (typeof format.value !== 'string') this.#fail('printf takes its format first', at);
    let verbs: number;
    try {
      verbs = parseFormat(format.value).filter((piece) => piece.kind === 'verb').length;
    } catch (error) {
      return this.#fail(error instanceof Error ? error.message : 'printf has a bad format', at);
    }
    if (verbs !== args.length - 1) {
      this.#fail(
        `printf has ${verbs} verb${verbs === 1 ? '' : 's'} for ${args.length - 1} argument${args.length === 2 ? '' : 's'}`,
        at,
      );
    }
  }

  #functionName(word: string, at: number): FunctionName {
    if (Object.hasOwn(FUNCTIONS, word)) return word as FunctionName;
    const reason = this.credentials.has(word)
      ? ` (did you mean ".${word}"?)`
      : suggestion(word, Object.keys(FUNCTIONS));
    return this.#fail(`there is no function "${word}"${reason}`, at);
  }

  #shapeOf(value: Expression): Shape {
    switch (value.kind) {
      case 'root':
        return 'credentials';
      case 'dot':
        return this.#dot;
      case 'variable':
        return this.#variables.find((variable) => variable.slot === value.slot)?.shape ?? 'unknown';
      case 'member':
      case 'literal':
        return 'scalar';
      case 'call':
        return value.name === 'and' || value.name === 'or' || value.name === 'index' ? 'unknown' : 'scalar';
      default:
        return value satisfies never;
    }
  }

  #setDot(shape: Shape): () => void {
    const before = this.#dot;
    this.#dot = shape;
    return () => {
      this.#dot = before;
    };
  }

  #declare(token: Token, shape: Shape): number {
    if (token.kind !== 'variable' || token.text === '') this.#fail('a variable needs a name such as $x', token.at);
    const slot = this.slots;
    this.slots += 1;
    this.#variables.push({ name: token.text, slot, shape });
    return slot;
  }

  #variable(token: Token): Variable {
    const name = token.kind === 'variable' ? token.text : '';
    const found = this.#variables.findLast((variable) => variable.name === name);
    if (found !== undefined) return found;
    const known = this.#variables.map((variable) => variable.name);
    return this.#fail(`there is no variable "$${name}" here${suggestion(name, known)}`, token.at);
  }

  #deeper(at: number): () => void {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) this.#fail(`a template nests deeper than ${DEPTH_MAX}`, at);
    return () => {
      this.#depth -= 1;
    };
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  #fail(reason: string, at: number): never {
    throw new TemplateProblem(reason, this.#source, at);
  }
}

function startsOperand(token: Token): boolean {
  switch (token.kind) {
    case 'word':
    case 'field':
    case 'variable':
    case 'string':
    case 'number':
    case 'dot':
    case 'open':
      return true;
    case 'close':
    case 'pipe':
    case 'declare':
    case 'assign':
    case 'comma':
      return false;
    default:
      return token satisfies never;
  }
}
