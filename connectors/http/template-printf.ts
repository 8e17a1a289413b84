/** One piece of a printf format: text, or a verb that takes one argument. */
export type FormatPiece =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'verb';
      readonly verb: 's' | 'v' | 'q' | 'd' | 'x' | 'X' | 't';
      /** Least number of characters; 0: none. */
      readonly width: number;
      /** Most characters of a text; undefined: all. */
      readonly precision: number | undefined;
      readonly pad: 'left' | 'right' | 'zero';
    };

const WIDTH_MAX = 1024;
const VERB = /%([-0]*)(\d*)(?:\.(\d*))?(.?)/suy;

/** Throws Error with a reason in words; the subset of https://pkg.go.dev/fmt that the README lists. */
export function parseFormat(format: string): readonly FormatPiece[] {
  const pieces: FormatPiece[] = [];
  let at = 0;
  while (at < format.length) {
    const percent = format.indexOf('%', at);
    const end = percent < 0 ? format.length : percent;
    if (end > at) pieces.push({ kind: 'text', text: format.slice(at, end) });
    if (percent < 0) break;
    VERB.lastIndex = percent;
    const found = VERB.exec(format)!;
    pieces.push(pieceOf(found));
    at = percent + found[0].length;
  }
  return pieces;
}

function pieceOf(found: RegExpExecArray): FormatPiece {
  const [whole, flags = '', width = '', precision, verb = ''] = found;
  if (whole === '%%') return { kind: 'text', text: '%' };
  switch (verb) {
    case 's':
    case 'v':
    case 'q':
    case 'd':
    case 'x':
    case 'X':
    case 't':
      break;
    case '':
      throw new Error('printf has a "%" without a verb at the end of its format');
    default:
      throw new Error(`printf does not know ${JSON.stringify(`%${verb}`)} (it knows %s %v %q %d %x %X %t %%)`);
  }
  if (Number(width) > WIDTH_MAX) throw new Error(`printf has a width over ${WIDTH_MAX}`);
  if (precision !== undefined && verb !== 's') throw new Error('printf takes a precision with %s only');
  if (flags.includes('0') && verb !== 'd') throw new Error('printf takes the flag 0 with %d only');
  return {
    kind: 'verb',
    verb,
    width: Number(width),
    precision: precision === undefined ? undefined : Number(precision),
    pad: flags.includes('-') ? 'right' : flags.includes('0') ? 'zero' : 'left',
  };
}

/** Formats one argument. Throws Error where verb and argument do not fit; never quotes the argument. */
export function formatVerb(piece: FormatPiece & { kind: 'verb' }, value: string | number | boolean): string {
  const text = textOf(piece, value);
  if (piece.width === 0) return text;
  const missing = piece.width - [...text].length;
  if (missing <= 0) return text;
  if (piece.pad === 'right') return text + ' '.repeat(missing);
  if (piece.pad === 'left') return ' '.repeat(missing) + text;
  return text.startsWith('-') ? `-${'0'.repeat(missing)}${text.slice(1)}` : '0'.repeat(missing) + text;
}

function textOf(piece: FormatPiece & { kind: 'verb' }, value: string | number | boolean): string {
  switch (piece.verb) {
    case 'v':
      return String(value);
    case 's':
      if (typeof value !== 'string') break;
      return piece.precision === undefined ? value : [...value].slice(0, piece.precision).join('');
    case 'q':
      if (typeof value !== 'string') break;
      return quote(value);
    case 'd':
      if (typeof value !== 'number') break;
      return String(value);
    case 'x':
    case 'X': {
      if (typeof value === 'boolean') break;
      const hex = typeof value === 'number' ? value.toString(16) : Buffer.from(value).toString('hex');
      return piece.verb === 'X' ? hex.toUpperCase() : hex;
    }
    case 't':
      if (typeof value !== 'boolean') break;
      return String(value);
    default:
      piece.verb satisfies never;
  }
  throw new Error(`printf cannot write ${kindOf(value)} with %${piece.verb}`);
}

function kindOf(value: string | number | boolean): string {
  if (typeof value === 'string') return 'a text';
  return typeof value === 'number' ? 'a number' : 'a truth value';
}

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** A double-quoted Go string: what does not print is escaped. */
function quote(text: string): string {
  const body = text.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) => {
    const short = SHORT[character];
    if (short !== undefined) return short;
    const code = character.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `"${body}"`;
}
