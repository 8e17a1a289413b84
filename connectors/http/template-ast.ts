/** A template that cannot be used, found at load. `message` ends with the place inside the template, in words. */
export class TemplateProblem extends Error {
  override readonly name = 'TemplateProblem';

  constructor(reason: string, source: string, at: number) {
    super(`${reason}, ${placeOf(source, at)}`);
  }
}

function placeOf(source: string, at: number): string {
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  const character = at - before.lastIndexOf('\n');
  return source.includes('\n') ? `at line ${line}, character ${character}` : `at character ${character}`;
}

export type FunctionName =
  | 'and'
  | 'base64'
  | 'eq'
  | 'html'
  | 'index'
  | 'js'
  | 'len'
  | 'ne'
  | 'not'
  | 'or'
  | 'print'
  | 'printf'
  | 'println'
  | 'slice'
  | 'urlquery';

export type Expression =
  | { readonly kind: 'dot' }
  /** `$`: all credentials, wherever dot has moved to. */
  | { readonly kind: 'root' }
  | { readonly kind: 'variable'; readonly slot: number }
  | { readonly kind: 'member'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'call'; readonly name: FunctionName; readonly args: readonly Expression[] };

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly value: Expression }
  | { readonly kind: 'assign'; readonly slot: number; readonly value: Expression }
  | Branch
  | {
      readonly kind: 'range';
      readonly over: Expression;
      readonly keySlot: number | undefined;
      readonly valueSlot: number | undefined;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

export interface Branch {
  /** `with` moves dot to the value of the condition, `if` does not. */
  readonly kind: 'if' | 'with';
  readonly condition: Expression;
  readonly slot: number | undefined;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

export interface ParsedTemplate {
  readonly nodes: readonly Node[];
  /** Credentials it names, each once, in order of appearance. */
  readonly credentials: readonly string[];
  /** Number of variables alive in one rendering. */
  readonly slots: number;
}
