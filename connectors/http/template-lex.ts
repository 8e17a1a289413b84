import { TemplateProblem } from './template-ast.ts';

export type Token =
  | {
      readonly kind: 'word' | 'field' | 'variable' | 'string';
      readonly text: string;
      readonly at: number;
      readonly end: number;
    }
  | { readonly kind: 'number'; readonly value: number; readonly at: number; readonly end: number }
  | {
      readonly kind: 'dot' | 'pipe' | 'open' | 'close' | 'declare' | 'assign' | 'comma';
      readonly at: number;
      readonly end: number;
    };

export type Segment =
  | { readonly kind: 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'action'; readonly tokens: readonly Token[]; readonly at: number; readonly end: number };

const TRIM_OPEN = /\{\{-[ \t\r\n]/y;
const TRIM_CLOSE = /[ \t\r\n]+-\}\}/y;
const BLANKS = /[ \t\r\n]+/y;
const COMMENT = /\/\*[^]*?\*\//y;
const WORD = /[\p{L}_][\p{L}\p{Nd}_]*/uy;
const FIELD = /\.([\p{L}_][\p{L}\p{Nd}_]*)/uy;
const VARIABLE = /\$([\p{L}_][\p{L}\p{Nd}_]*)?/uy;
const NUMBER = /[+-]?(?:0[xX][\da-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|\d+)(?![\p{L}\p{Nd}_.])/uy;
const RAW = /`[^`]*`/y;
const QUOTED = /"(?:[^"\\\n]|\\[^\n])*"/y;
const ESCAPE = /\\(?:([abfnrtv\\"'])|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3}))/y;
const PUNCTUATION = [
  [':=', 'declare'],
  ['=', 'assign'],
  ['|', 'pipe'],
  ['(', 'open'],
  [')', 'close'],
  [',', 'comma'],
  ['.', 'dot'],
] as const;
const ESCAPED: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
};

function match(pattern: RegExp, source: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source) ?? undefined;
}

/** Text and actions in order (https://pkg.go.dev/text/template, "Text and spaces"). Throws TemplateProblem. */
export function lexTemplate(source: string): readonly Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const begin = source.indexOf('{{', at);
    const textEnd = begin < 0 ? source.length : begin;
    const trimLast = begin >= 0 && match(TRIM_OPEN, source, begin) !== undefined;
    let text = source.slice(at, textEnd);
    if (trimNext) text = text.replace(/^[ \t\r\n]+/, '');
    if (trimLast) text = text.replace(/[ \t\r\n]+$/, '');
    if (text !== '') segments.push({ kind: 'text', text, at });
    if (begin < 0) break;
    const action = lexAction(source, begin, begin + (trimLast ? 3 : 2));
    if (action.tokens !== undefined) {
      segments.push({ kind: 'action', tokens: action.tokens, at: begin, end: action.end });
    }
    trimNext = action.trimNext;
    at = action.end;
  }
  return segments;
}

interface LexedAction {
  /** Undefined for a comment. */
  readonly tokens: readonly Token[] | undefined;
  readonly end: number;
  readonly trimNext: boolean;
}

function lexAction(source: string, begin: number, from: number): LexedAction {
  const comment = match(COMMENT, source, from + (match(BLANKS, source, from)?.[0].length ?? 0));
  if (comment !== undefined) {
    const closing = closingAt(source, comment.index + comment[0].length);
    if (closing === undefined)
      throw new TemplateProblem('a comment shares an action with something else', source, begin);
    return { tokens: undefined, ...closing };
  }
  const tokens: Token[] = [];
  let at = from;
  for (;;) {
    const closing = closingAt(source, at);
    if (closing !== undefined) return { tokens, ...closing };
    const blanks = match(BLANKS, source, at);
    if (blanks !== undefined) {
      at += blanks[0].length;
      continue;
    }
    if (at >= source.length) throw new TemplateProblem('an action is not closed with "}}"', source, begin);
    const token = lexToken(source, at);
    tokens.push(token);
    at = token.end;
  }
}

function closingAt(source: string, at: number): { readonly end: number; readonly trimNext: boolean } | undefined {
  if (source.startsWith('}}', at)) return { end: at + 2, trimNext: false };
  const trim = match(TRIM_CLOSE, source, at);
  return trim === undefined ? undefined : { end: at + trim[0].length, trimNext: true };
}

function lexToken(source: string, at: number): Token {
  const word = match(WORD, source, at);
  if (word !== undefined) return { kind: 'word', text: word[0], at, end: at + word[0].length };
  const field = match(FIELD, source, at);
  if (field !== undefined) return { kind: 'field', text: field[1]!, at, end: at + field[0].length };
  const variable = match(VARIABLE, source, at);
  if (variable !== undefined) return { kind: 'variable', text: variable[1] ?? '', at, end: at + variable[0].length };
  const number = match(NUMBER, source, at);
  if (number !== undefined)
    return { kind: 'number', value: integerOf(number[0], source, at), at, end: at + number[0].length };
  const raw = match(RAW, source, at);
  if (raw !== undefined) return { kind: 'string', text: raw[0].slice(1, -1), at, end: at + raw[0].length };
  const quoted = match(QUOTED, source, at);
  if (quoted !== undefined)
    return { kind: 'string', text: unquote(quoted[0], source, at), at, end: at + quoted[0].length };
  for (const [text, kind] of PUNCTUATION) {
    if (source.startsWith(text, at)) return { kind, at, end: at + text.length };
  }
  throw new TemplateProblem(strayReason(source, at), source, at);
}

function strayReason(source: string, at: number): string {
  const character = String.fromCodePoint(source.codePointAt(at)!);
  if (character === '-') return 'unexpected "-": a credential with a hyphen is written (index . "a-b")';
  if (character === '"' || character === '`') return 'a string is not closed';
  if (character === "'") return 'character constants are not supported: use a "string"';
  if (/[\d+]/.test(character)) return 'this is not an integer (only integers are supported)';
  return `unexpected ${JSON.stringify(character)}`;
}

function integerOf(text: string, source: string, at: number): number {
  const digits = text.replace(/^[+-]/, '');
  // Go reads a leading 0 as octal; JavaScript needs it written 0o.
  const magnitude = Number(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (!Number.isSafeInteger(magnitude)) throw new TemplateProblem('an integer is too large', source, at);
  return text.startsWith('-') && magnitude !== 0 ? -magnitude : magnitude;
}

/** An interpreted string literal (Go specification, "String literals"). */
function unquote(literal: string, source: string, at: number): string {
  let text = '';
  for (let index = 1; index < literal.length - 1;) {
    if (literal[index] !== '\\') {
      text += literal[index]!;
      index += 1;
      continue;
    }
    const escape = match(ESCAPE, literal, index);
    const decoded = escape === undefined ? undefined : decodeEscape(escape);
    if (decoded === undefined) throw new TemplateProblem('a string holds an unknown escape', source, at + index);
    text += decoded;
    index += escape![0].length;
  }
  return text;
}

function decodeEscape(escape: RegExpExecArray): string | undefined {
  const [, simple, hex, short, long, octal] = escape;
  if (simple !== undefined) return ESCAPED[simple];
  const code = octal === undefined ? parseInt(hex ?? short ?? long!, 16) : parseInt(octal, 8);
  // \xHH and \OOO are single bytes in Go; above ASCII they would not be text on their own.
  if ((hex !== undefined || octal !== undefined) && code > 0x7f) return undefined;
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return String.fromCodePoint(code);
}
