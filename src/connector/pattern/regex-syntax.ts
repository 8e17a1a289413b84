/**
 * A parser for RE2 syntax (https://github.com/google/re2/wiki/Syntax), as far as it can matter for one line of text whose
 * characters outside ASCII are all alike: nothing here names one of them.
 */

/** Flags of a set: one for each ASCII code, and at index 128 one for everything outside ASCII. */
export const SET_FLAGS = 129;

/** What one character may be. */
export interface SetNode {
  readonly kind: 'set';
  /** `SET_FLAGS` flags. */
  readonly members: Uint8Array;
  /** `dot`: an unescaped `.`; `open`: says what is not meant (`[^/]`, `\S`); `written`: names its characters. */
  readonly form: 'dot' | 'open' | 'written';
}

/** `hostStart` has no spelling: the matcher puts it in. */
export type Assertion = 'start' | 'end' | 'wordEdge' | 'noWordEdge' | 'hostStart';

export type RegexNode =
  | SetNode
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | { readonly kind: 'repeat'; readonly body: Sequence; readonly min: number; readonly max: number }
  | { readonly kind: 'either'; readonly branches: readonly Sequence[] };

export type Sequence = readonly RegexNode[];

/** As in RE2. */
const REPEAT_MAX = 1000;
const DEPTH_MAX = 100;

const range = (from: string, to: string): Uint8Array => {
  const members = new Uint8Array(SET_FLAGS);
  return members.fill(1, from.charCodeAt(0), to.charCodeAt(0) + 1);
};
const join = (...sets: readonly Uint8Array[]): Uint8Array => {
  const members = new Uint8Array(SET_FLAGS);
  for (const set of sets) set.forEach((flag, code) => (members[code]! |= flag));
  return members;
};
const not = (set: Uint8Array): Uint8Array => set.map((flag) => 1 - flag);
export const only = (chars: string): Uint8Array => join(...[...chars].map((char) => range(char, char)));

const DIGIT = range('0', '9');
const UPPER = range('A', 'Z');
const LOWER = range('a', 'z');
const SPACE = only('\t\n\f\r ');
const WORD = join(DIGIT, UPPER, LOWER, only('_'));
const ALNUM = join(DIGIT, UPPER, LOWER);
const GRAPH = range('!', '~');

const ESCAPED_SETS: Readonly<Record<string, Uint8Array>> = { d: DIGIT, s: SPACE, w: WORD };
const CONTROLS: Readonly<Record<string, string>> = { a: '\x07', f: '\f', t: '\t', n: '\n', r: '\r', v: '\v' };
const POSIX = new Map<string, Uint8Array>([
  ['alnum', ALNUM],
  ['alpha', join(UPPER, LOWER)],
  ['ascii', range('\0', '\x7f')],
  ['blank', only('\t ')],
  ['cntrl', join(range('\0', '\x1f'), only('\x7f'))],
  ['digit', DIGIT],
  ['graph', GRAPH],
  ['lower', LOWER],
  ['print', range(' ', '~')],
  ['punct', join(range('!', '/'), range(':', '@'), range('[', '`'), range('{', '~'))],
  ['space', join(SPACE, only('\v'))],
  ['upper', UPPER],
  ['word', WORD],
  ['xdigit', join(DIGIT, range('A', 'F'), range('a', 'f'))],
]);

/** The same set with both cases of each letter. */
export function foldCase(members: Uint8Array): Uint8Array {
  return members.map((flag, code) => {
    const letter = code & 0xdf;
    return letter >= 0x41 && letter <= 0x5a && code >= 0x41 ? members[letter]! | members[letter | 0x20]! : flag;
  });
}

/** Parses a pattern. Throws an Error with the reason for what RE2 refuses and for what is not supported here. */
export function parseRegex(source: string): Sequence {
  return new RegexParser(source).parse();
}

class RegexParser {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #ignoreCase = false;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Sequence {
    // eslint-disable-next-line no-control-regex -- the ASCII range begins with controls
    if (!/^[\x00-\x7f]*$/.test(this.#source))
      throw new Error('names a character outside ASCII, which is not supported');
    const branches = this.#branches();
    if (this.#at < this.#source.length) throw new Error('has an unmatched ")"');
    return branches.length === 1 ? branches[0]! : [{ kind: 'either', branches }];
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #takeMatch(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#at;
    const match = sticky.exec(this.#source);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  #branches(): Sequence[] {
    const branches: Sequence[] = [];
    do branches.push(this.#sequence());
    while (this.#take('|'));
    return branches;
  }

  #sequence(): Sequence {
    const nodes: RegexNode[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      if (this.#take('\\Q')) {
        nodes.push(...this.#quoted());
        continue;
      }
      const atom = this.#atom();
      nodes.push(...this.#repeated(atom));
    }
    return nodes;
  }

  #quoted(): RegexNode[] {
    const end = this.#source.indexOf('\\E', this.#at);
    const text = this.#source.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#source.length : end + 2;
    const nodes = [...text].map((char) => this.#written(only(char)));
    // RE2 binds a repetition after `\E` to the last quoted character.
    const last = nodes.pop();
    return last === undefined ? [] : [...nodes, ...this.#repeated([last])];
  }

  /** A group comes back as its sequence, since what it captures is of no use here. */
  #atom(): Sequence {
    const char = this.#source[this.#at++]!;
    switch (char) {
      case '.':
        return [{ kind: 'set', members: not(only('\n')), form: 'dot' }];
      case '^':
        return [{ kind: 'assert', assertion: 'start' }];
      case '$':
        return [{ kind: 'assert', assertion: 'end' }];
      case '[':
        return [this.#class()];
      case '(':
        return this.#group();
      case '\\':
        return [this.#escape()];
      case '*':
      case '+':
      case '?':
        throw new Error(`has nothing to repeat before "${char}"`);
      default:
        return [this.#written(only(char))];
    }
  }

  #repeated(atom: Sequence): Sequence {
    const counted = this.#takeMatch(/[*+?]|\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/y);
    if (counted === null) return atom;
    const [sign, low, comma, high] = counted;
    let min = sign === '+' ? 1 : 0;
    let max = sign === '?' ? 1 : Infinity;
    if (low !== undefined) {
      min = Number(low);
      max = comma === undefined ? min : high === undefined ? Infinity : Number(high);
    }
    if (min > REPEAT_MAX || (max !== Infinity && max > REPEAT_MAX))
      throw new Error(`repeats more than ${REPEAT_MAX} times`);
    if (max < min) throw new Error(`has a repetition with its bounds the wrong way round: "${sign}"`);
    // Whether a repetition is lazy changes where a match ends first, not where it can end.
    this.#take('?');
    if (atom.length === 0) return atom;
    if (this.#takeMatch(/[*+?]|\{\d{1,4}(?:,(?:\d{1,4})?)?\}/y) !== null) throw new Error('repeats a repetition');
    return [{ kind: 'repeat', body: atom, min, max }];
  }

  #group(): Sequence {
    if (++this.#depth > DEPTH_MAX) throw new Error('nests groups too deeply');
    const outer = this.#ignoreCase;
    if (this.#take('?')) {
      const flags = this.#takeMatch(/([imsU]*)(?:-([imsU]+))?([:)])/y);
      if (flags !== null) {
        // Of the flags only `i` matters on one line of text where any end of the match counts.
        if (flags[1]!.includes('i')) this.#ignoreCase = true;
        if (flags[2]?.includes('i') === true) this.#ignoreCase = false;
        if (flags[3] === ')') {
          this.#depth--;
          return [];
        }
      } else if (this.#takeMatch(/P?<[A-Za-z0-9_]+>/y) === null) {
        throw new Error('uses a group that RE2 does not have (no look-around, no references)');
      }
    }
    const branches = this.#branches();
    if (!this.#take(')')) throw new Error('has a group without closing ")"');
    this.#depth--;
    this.#ignoreCase = outer;
    return branches.length === 1 ? branches[0]! : [{ kind: 'either', branches }];
  }

  #written(members: Uint8Array): SetNode {
    return { kind: 'set', members: this.#ignoreCase ? foldCase(members) : members, form: 'written' };
  }

  #escape(): RegexNode {
    const char = this.#source[this.#at];
    if (char === 'A') return this.#assertion('start');
    if (char === 'z') return this.#assertion('end');
    if (char === 'b') return this.#assertion('wordEdge');
    if (char === 'B') return this.#assertion('noWordEdge');
    const { members, form } = this.#escaped();
    return form === 'open' ? { kind: 'set', members, form } : this.#written(members);
  }

  #assertion(assertion: Assertion): RegexNode {
    this.#at++;
    return { kind: 'assert', assertion };
  }

  /** What follows a backslash, inside a class or outside. */
  #escaped(): { members: Uint8Array; form: 'open' | 'written' } {
    const hex = this.#takeMatch(/x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/y);
    if (hex !== null) {
      const code = parseInt(hex[1] ?? hex[2]!, 16);
      if (code > 127) throw new Error('names a character outside ASCII, which is not supported');
      return { members: only(String.fromCharCode(code)), form: 'written' };
    }
    const char = this.#source[this.#at++];
    if (char === undefined) throw new Error('ends in a backslash');
    const set = ESCAPED_SETS[char.toLowerCase()];
    if (set !== undefined) {
      return char === char.toLowerCase() ? { members: set, form: 'written' } : { members: not(set), form: 'open' };
    }
    const control = CONTROLS[char];
    if (control !== undefined) return { members: only(control), form: 'written' };
    if (/[A-Za-z0-9]/.test(char)) throw new Error(`uses "\\${char}", which is not supported`);
    return { members: only(char), form: 'written' };
  }

  #class(): SetNode {
    const negated = this.#take('^');
    let members: Uint8Array = new Uint8Array(SET_FLAGS);
    let open = negated;
    for (let first = true; first || !this.#take(']'); first = false) {
      if (this.#at >= this.#source.length) throw new Error('has a "[" without closing "]"');
      const item = this.#classItem();
      open ||= item.form === 'open';
      members = join(members, this.#ignoreCase ? foldCase(item.members) : item.members);
    }
    return { kind: 'set', members: negated ? not(members) : members, form: open ? 'open' : 'written' };
  }

  #classItem(): { members: Uint8Array; form: 'open' | 'written' } {
    const posix = this.#takeMatch(/\[:(\^?)([a-z]+):\]/y);
    if (posix !== null) {
      const set = POSIX.get(posix[2]!);
      if (set === undefined) throw new Error(`names an unknown class [:${posix[2]!}:]`);
      return posix[1] === '^' ? { members: not(set), form: 'open' } : { members: set, form: 'written' };
    }
    const low = this.#classChar();
    const [from] = codesOf(low.members);
    const next = this.#source[this.#at + 1];
    if (this.#source[this.#at] !== '-' || next === undefined || next === ']') return low;
    this.#at++;
    const high = this.#classChar();
    const to = codesOf(high.members)[0]!;
    if (codesOf(low.members).length !== 1 || codesOf(high.members).length !== 1 || to < from!) {
      throw new Error('has a character range with its ends the wrong way round');
    }
    return { members: range(String.fromCharCode(from!), String.fromCharCode(to)), form: 'written' };
  }

  #classChar(): { members: Uint8Array; form: 'open' | 'written' } {
    if (this.#take('\\')) return this.#escaped();
    return { members: only(this.#source[this.#at++]!), form: 'written' };
  }
}

/** The codes in a set, ascending. */
export function codesOf(members: Uint8Array): number[] {
  const codes: number[] = [];
  members.forEach((flag, code) => {
    if (flag === 1) codes.push(code);
  });
  return codes;
}
