import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePattern } from './pattern.ts';

describe('a pattern', () => {
  test.each([
    ['^[A-Za-z0-9]{20,}$', 'a'.repeat(20), 'a'.repeat(19)],
    ['b', 'abc', 'aac'],
    ['b$', 'ab', 'ba'],
    ['', 'anything', undefined],
    ['(?i)^ghp_', 'GHP_x', 'xghp_'],
    ['^(?P<kind>ghp|gho)_', 'gho_1', 'ghx_1'],
    ['^[[:alnum:]_-]+$', 'aZ9_-', 'a.b'],
    ['\\Aab\\z', 'ab', 'abc'],
    ['^\\_\\-$', '_-', '__'],
    ['^(?i:a)b$', 'Ab', 'AB'],
    ['^a(?i)b$', 'aB', 'AB'],
    ['\\Qa.b\\E', 'xa.bx', 'axb'],
    ['\\(?=a', '=a', 'a('],
    ['\\bkey\\b', 'a key b', 'monkey'],
    ['^a.b$', 'a\u{1F600}b', 'ab'],
    ['^[^x]{2}$', 'h\u00e9', 'hx'],
    ['^\\w+$', 'he', 'h\u00e9'],
    ['^[[:ascii:]]+$', 'he', 'h\u00e9'],
    ['^\\S\\D\\W[[:^digit:]]$', '\u00e9\u00e9\u00e9\u00e9', '\u00e9\u00e9a\u00e9'],
  ])('%s is found in what it should be and in nothing else', (source, good, bad) => {
    const pattern = compilePattern(source);
    expect(pattern.matches(good)).toBe(true);
    if (bad !== undefined) expect(pattern.matches(bad)).toBe(false);
  });

  test.each([
    ['(?=a)', 'uses a group that RE2 does not have (no look-around, no references)'],
    ['(?<!a)b', 'uses a group that RE2 does not have (no look-around, no references)'],
    ['(a)\\1', 'uses "\\1", which is not supported'],
    ['\\pL', 'uses "\\p", which is not supported'],
    ['[[:nonsense:]]', 'names an unknown class [:nonsense:]'],
    ['\u00e9', 'names a character outside ASCII, which is not supported'],
    ['(a', 'has a group without closing ")"'],
    ['a)', 'has an unmatched ")"'],
    ['a**', 'repeats a repetition'],
    ['(a{1000}){1000}', 'is too large: its repetitions multiply'],
  ])('%s is refused with a reason', (source, reason) => {
    expect(() => compilePattern(source)).toThrow(reason);
  });

  // JavaScript's engine takes hours for each of these, so that a test which ends is the proof.
  test.each(['^(a+)+$', '^(a|a)*$', '^(a*)*$', '(.*.*)*x$', '^(([a-z])+.)+[A-Z]$'])(
    '%s is answered at once where backtracking would not end',
    (source) => {
      expect(compilePattern(source).matches(`${'a'.repeat(5000)}!`)).toBe(false);
    },
  );

  test('finds what the engine of the language finds, also outside ASCII', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      '.',
      '[ab]',
      '[^a]',
      '\\W',
      '^',
      '$',
      'a*',
      '.+',
      '(?:ab|b)?',
      '[^b]{2}',
      '|',
    );
    const source = fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join(''));
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '-', '\u00e9', '\u{1F600}'), maxLength: 6 });
    fc.assert(
      fc.property(source, text, (pattern, input) => {
        expect(compilePattern(pattern).matches(input)).toBe(new RegExp(pattern, 'u').test(input));
      }),
      { numRuns: 3000 },
    );
  });
});
