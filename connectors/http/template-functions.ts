import { SidecarError } from 'secretless-sidecar/connector';
import type { FunctionName } from './template-ast.ts';
import { formatVerb, parseFormat } from './template-printf.ts';

/** The credentials of one rendering, read one by one. */
export interface CredentialTexts {
  readonly names: readonly string[];
  /** Errors: `credential-missing`, `credential-unfit`. */
  text(name: string): string;
}

export type Scalar = string | number | boolean;
export type Value = Scalar | CredentialTexts;

/** Characters of anything a template makes on its way, the result included. */
export const OUTPUT_MAX = 64 * 1024;

interface TemplateFunction {
  readonly least: number;
  /** Undefined: any number. */
  readonly most?: number;
  readonly apply: (args: readonly Value[]) => Value;
}

/**
 * The functions of Go's text/template that header templates use, and CyberArk's `base64`
 * (https://pkg.go.dev/text/template, "Functions"). Arguments are counted when the template is parsed.
 * `and` and `or` are compiled lazily and stand here for their names and counts.
 */
export const FUNCTIONS: Readonly<Record<FunctionName, TemplateFunction>> = {
  and: { least: 1, apply: (args) => args.find((value) => !truthOf(value)) ?? args.at(-1)! },
  or: { least: 1, apply: (args) => args.find((value) => truthOf(value)) ?? args.at(-1)! },
  not: { least: 1, most: 1, apply: ([value]) => !truthOf(value!) },
  eq: { least: 2, apply: ([first, ...others]) => others.some((other) => equal(first!, other)) },
  ne: { least: 2, most: 2, apply: ([first, second]) => !equal(first!, second!) },
  base64: { least: 1, most: 1, apply: ([value]) => Buffer.from(stringOf(value!, 'base64')).toString('base64') },
  urlquery: { least: 1, apply: (args) => queryEscape(joined(args)) },
  html: { least: 1, apply: (args) => replaceEach(joined(args), HTML, /[&<>"'\0]/g) },
  js: { least: 1, apply: (args) => scriptEscape(joined(args)) },
  len: { least: 1, most: 1, apply: ([value]) => lengthOf(value!) },
  slice: { least: 1, most: 3, apply: ([value, from, to]) => sliceOf(value!, from, to) },
  index: { least: 1, most: 2, apply: ([value, key]) => indexOf(value!, key) },
  print: { least: 0, apply: (args) => joined(args) },
  println: { least: 0, apply: (args) => `${args.map(scalarText).join(' ')}\n` },
  printf: { least: 1, apply: ([format, ...args]) => formatted(stringOf(format!, 'printf'), args) },
};

/** A template that asks for something it cannot have; never quotes a value. */
export function templateError(detail: string): SidecarError {
  return new SidecarError('config-invalid', { detail });
}

/** Refuses what grew over the bound, so that doubling in a loop ends early. */
export function bounded(value: Value): Value {
  if (typeof value === 'string' && value.length > OUTPUT_MAX) throw tooLong();
  return value;
}

export function tooLong(): SidecarError {
  return templateError(`a template makes more than ${OUTPUT_MAX} characters`);
}

/** Go: false, 0, the empty text and the empty map are false. */
export function truthOf(value: Value): boolean {
  return typeof value === 'object' ? value.names.length > 0 : Boolean(value);
}

export function scalarText(value: Value): string {
  if (typeof value === 'object') throw templateError('the set of all credentials is not a text: name one of them');
  return String(value);
}

function stringOf(value: Value, user: string): string {
  if (typeof value !== 'string') throw templateError(`${user} takes a text`);
  return value;
}

/** fmt.Sprint: a blank between two operands when neither is a text. */
function joined(args: readonly Value[]): string {
  let text = '';
  args.forEach((value, index) => {
    const blank = index > 0 && typeof value !== 'string' && typeof args[index - 1] !== 'string';
    text += (blank ? ' ' : '') + scalarText(value);
  });
  return text;
}

function equal(a: Value, b: Value): boolean {
  if (typeof a === 'object' || typeof b === 'object')
    throw templateError('eq and ne compare texts, numbers or truth values');
  if (typeof a !== typeof b) throw templateError('eq and ne compare values of one kind only');
  return a === b;
}

/** Go counts and cuts bytes, not characters. */
function lengthOf(value: Value): number {
  if (typeof value === 'object') return value.names.length;
  return Buffer.byteLength(stringOf(value, 'len'));
}

function sliceOf(value: Value, from: Value = 0, to?: Value): string {
  const bytes = Buffer.from(stringOf(value, 'slice'));
  const end = to ?? bytes.length;
  if (typeof from !== 'number' || typeof end !== 'number') throw templateError('slice takes numbers as its ends');
  // How long the text is stays unsaid: it is a secret's length.
  if (from < 0 || from > end || end > bytes.length) throw unfit('is shorter than a slice of it asks for');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(from, end));
  } catch {
    throw unfit('is sliced in the middle of a character');
  }
}

function indexOf(value: Value, key?: Value): Value {
  if (key === undefined) return value;
  if (typeof value === 'object') {
    const name = stringOf(key, 'index');
    // A computed key may itself be a secret, so an unknown one is not named.
    if (!value.names.includes(name)) throw unknownKey();
    return value.text(name);
  }
  const bytes = Buffer.from(stringOf(value, 'index'));
  if (typeof key !== 'number') throw templateError('index takes a number to reach into a text');
  const byte = bytes[key];
  if (byte === undefined) throw unfit('is shorter than an index into it asks for');
  return byte;
}

function unknownKey(): SidecarError {
  return new SidecarError('credential-missing', { detail: 'a computed index names no credential of this service' });
}

function unfit(what: string): SidecarError {
  return new SidecarError('credential-unfit', { detail: `a value ${what}` });
}

function formatted(format: string, args: readonly Value[]): string {
  try {
    return write(parseFormat(format), args);
  } catch (error) {
    if (error instanceof SidecarError) throw error;
    throw templateError(error instanceof Error ? error.message : 'printf failed');
  }
}

/** Applies a parsed format. Throws Error or SidecarError; never quotes an argument. */
export function write(pieces: ReturnType<typeof parseFormat>, args: readonly Value[]): string {
  let text = '';
  let next = 0;
  for (const piece of pieces) {
    if (piece.kind === 'text') {
      text += piece.text;
      continue;
    }
    const value = args[next];
    if (value === undefined) throw templateError('printf has more verbs than arguments');
    if (typeof value === 'object') scalarText(value);
    else
      text +=
        piece.verb === 's' && piece.width === 0 && piece.precision === undefined && typeof value === 'string'
          ? value
          : formatOrFail(piece, value);
    next += 1;
  }
  if (next < args.length) throw templateError('printf has more arguments than verbs');
  return text;
}

function formatOrFail(piece: Parameters<typeof formatVerb>[0], value: Scalar): string {
  try {
    return formatVerb(piece, value);
  } catch (error) {
    throw templateError(error instanceof Error ? error.message : 'printf failed');
  }
}

/** net/url.QueryEscape. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

const HTML: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
  '\0': '\ufffd',
};
const SCRIPT: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
};

function replaceEach(text: string, table: Readonly<Record<string, string>>, pattern: RegExp): string {
  return text.replace(pattern, (character) => table[character] ?? character);
}

/** text/template.JSEscapeString. */
function scriptEscape(text: string): string {
  return text.replace(/[\\'"<>&=]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return SCRIPT[character] ?? `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`;
  });
}
