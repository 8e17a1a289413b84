import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { compileRegex } from './regex-program.ts';
import { parseRegex } from './regex-syntax.ts';

function ends(source: string, text: string): number[] {
  const found: number[] = [];
  const accept = (end: number) => (found.push(end), false);
  compileRegex(parseRegex(source)).run({ text, from: 0, start: 0, hostStart: 0, accept });
  return found;
}

function whole(source: string, text: string): boolean {
  return ends(source, text).includes(text.length);
}

describe('a program', () => {
  test.each([
    ['a*', 'aab', [0, 1, 2]],
    ['a*?', 'aab', [0, 1, 2]],
    ['(a|ab)c?', 'abc', [1, 2, 3]],
    ['', 'a', [0]],
    ['a{2,3}', 'aaaa', [2, 3]],
    ['^$', 'a', []],
    ['(|a)*', 'aa', [0, 1, 2]],
  ])('of %s finds every end in %s', (source, text, expected) => {
    expect(ends(source, text)).toEqual(expected);
  });

  test.each([
    ['(?i)aB', 'Ab', true],
    ['(?i:a)b', 'AB', false],
    ['a(?i)b', 'aB', true],
    ['a(?i)b', 'AB', false],
    ['(?i)a(?-i:b)', 'AB', false],
    ['(?i)[a-c]', 'B', true],
    ['(?P<n>a)', 'a', true],
    ['(?<n>a)', 'a', true],
    ['(?s).', 'a', true],
    ['\\Aa\\z', 'a', true],
    ['\\Qa.b\\E', 'a.b', true],
    ['\\Qa.b\\E', 'axb', false],
    ['\\Qab\\E+', 'abb', true],
    ['\\Qa', 'a', true],
    ['[[:alpha:]]', 'q', true],
    ['[[:^alpha:]]', 'q', false],
    ['[[:digit:]_]', '_', true],
    ['[]a]', ']', true],
    ['[^]a]', ']', false],
    ['[a\\-z]', '-', true],
    ['[a-]', '-', true],
    ['[-a]', '-', true],
    ['[\\d.]+', '1.2', true],
    ['[^\\d]', '1', false],
    ['[\\W]', 'a', false],
    ['\\x41\\x{42}', 'AB', true],
    ['\\.', 'x', false],
    ['a{,2}', 'a{,2}', true],
    ['a{', 'a{', true],
    ['a\\b-', 'a-', true],
    ['a\\bb', 'ab', false],
    ['a\\Bb', 'ab', true],
    ['(a*)*b', 'aaab', true],
    ['(?:){3}a', 'a', true],
    ['\\/', '/', true],
    ['a|b|', '', true],
    ['x{0}a', 'a', true],
  ])('of %s on %s: %s', (source, text, expected) => {
    expect(whole(source, text)).toBe(expected);
  });

  it('agrees with the engine of the language on all that both can write', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\.', '-', '\\b');
    const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
      piece: fc.oneof(
        { weight: 4, arbitrary: atom },
        fc
          .tuple(
            fc.oneof(
              fc.constantFrom('a', '.', '[ab]'),
              tie('pattern').map((inner) => `(?:${inner})`),
            ),
            fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{1,}', '*?'),
          )
          .map((parts) => parts.join('')),
        fc.tuple(tie('pattern'), tie('pattern')).map(([left, right]) => `(${left}|${right})`),
      ),
      pattern: fc.array(tie('piece'), { maxLength: 3 }).map((pieces) => pieces.join('')),
    }));
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (source, input) => {
        expect(whole(source, input)).toBe(new RegExp(`^(?:${source})$`).test(input));
      }),
      { numRuns: 5000 },
    );
  });
});
