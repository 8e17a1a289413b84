import { compileRegex } from './regex-program.ts';
import { parseRegex, SET_FLAGS, type RegexNode } from './regex-syntax.ts';

/** A regular expression that no text can make slow. */
export interface Pattern {
  /** True where it is found anywhere in `text`; one line is expected, since `(?m)` and `(?s)` change nothing. */
  matches(text: string): boolean;
}

const ANY_RUN: RegexNode = {
  kind: 'repeat',
  body: [{ kind: 'set', members: new Uint8Array(SET_FLAGS).fill(1), form: 'open' }],
  min: 0,
  max: Infinity,
};

/** Stands for any character outside ASCII: its code is the index of their flag in a set. */
const OUTSIDE_ASCII = '\u0080';

/**
 * Compiles RE2 syntax (https://github.com/google/re2/wiki/Syntax), unanchored as in Go. Matching takes time linear in
 * the text, whatever the pattern: JavaScript's own engine needs exponential time for `^(a+)+$`. A character outside ASCII is
 * matched by `.` and negated classes and cannot be named; Unicode classes (`\pL`) are not supported.
 *
 * Throws an Error whose message goes on after "the pattern": `has an unmatched ")"`.
 */
export function compilePattern(source: string): Pattern {
  const program = compileRegex([ANY_RUN, ...parseRegex(source)]);
  return {
    matches: (given) => {
      // With the u flag one surrogate pair is one character, as in Go.
      const text = given.replace(/[^\p{ASCII}]/gu, OUTSIDE_ASCII);
      return program.run({ text, from: 0, start: 0, hostStart: 0, accept: () => true });
    },
  };
}
