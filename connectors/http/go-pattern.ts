/**
 * A Go regular expression (https://pkg.go.dev/regexp/syntax) as a JavaScript one.
 *
 * The common subset is the same text; what is spelled differently is rewritten, and what JavaScript would silently read
 * otherwise is refused. Unanchored, as in Go. Throws Error with a reason in words.
 */
export function compileGoPattern(source: string): RegExp {
  const { flags, body } = leadingFlags(source);
  refuseForeign(body);
  const rewritten = body
    .replaceAll(/\(\?P<([A-Za-z_]\w*)>/g, '(?<$1>')
    .replaceAll(/\\(?:x\{([\da-fA-F]+)\}|p([A-Z])|.)/gis, rewriteEscape)
    .replaceAll(/\[:(\^?)(\w+):\]/g, (_, negated: string, name: string) => posixClass(name, negated !== ''));
  try {
    return new RegExp(rewritten, `${flags}u`);
  } catch (error) {
    // The u flag refuses plain characters such as `\_` or a lone `{`, which Go allows; without it \p and \u{} are misread.
    if (/\\[pP]|\\u\{/.test(rewritten)) throw unreadable(error);
  }
  try {
    return new RegExp(rewritten, flags);
  } catch (error) {
    throw unreadable(error);
  }
}

function unreadable(error: unknown): Error {
  const reason = error instanceof Error ? error.message.replace(/^.*:\s*/s, '') : 'unknown reason';
  return new Error(`is not a regular expression (${reason.toLowerCase()})`, { cause: error });
}

function rewriteEscape(whole: string, code: string | undefined, unicodeClass: string | undefined): string {
  if (code !== undefined) return `\\u{${code}}`;
  if (unicodeClass !== undefined) return `${whole.slice(0, 2)}{${unicodeClass}}`;
  // With (?m), ^ and $ are about lines and no longer about the text.
  if (whole === '\\A') return '(?<![^])';
  return whole === '\\z' ? '(?![^])' : whole;
}

function leadingFlags(source: string): { readonly flags: string; readonly body: string } {
  const found = /^\(\?([ims]+)\)/.exec(source);
  if (found === null) return { flags: '', body: source };
  return { flags: [...new Set(found[1])].join(''), body: source.slice(found[0].length) };
}

/** Forms that Go refuses, or that JavaScript reads as something else. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(?:\\.|[^\\])*?\(\?(?:[=!]|<[=!])/s, 'look-around, which Go does not have'],
  [/^(?:\\[^1-9]|[^\\])*\\[1-9]/s, 'a back-reference, which Go does not have'],
  [/^(?:\\.|[^\\])*?\(\?[a-zA-Z-]+\)/s, 'flags inside the pattern: put (?i) at its beginning'],
  [/^(?:\\[^QECG]|[^\\])*\\[QECG]/s, 'an escape that is not supported'],
];

function refuseForeign(body: string): void {
  for (const [pattern, what] of FOREIGN) {
    if (pattern.test(body)) throw new Error(`uses ${what}`);
  }
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

function posixClass(name: string, negated: boolean): string {
  const found = POSIX[name];
  if (found === undefined || negated)
    throw new Error(`uses the class [:${negated ? '^' : ''}${name}:], which is not supported`);
  return found;
}
