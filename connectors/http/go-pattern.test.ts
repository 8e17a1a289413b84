import { describe, expect, test } from 'vitest';
import { compileGoPattern } from './go-pattern.ts';

describe('a Go pattern', () => {
  test.each([
    ['^[A-Za-z0-9]{20,}$', 'a'.repeat(20), 'a'.repeat(19)],
    ['b', 'abc', 'aac'],
    ['(?i)^ghp_', 'GHP_x', 'xghp_'],
    ['^(?P<kind>ghp|gho)_', 'gho_1', 'ghx_1'],
    ['^[[:alnum:]_-]+$', 'aZ9_-', 'a.b'],
    ['\\Aab\\z', 'ab', 'abc'],
    ['(?m)^b$', 'a\nb', 'ab'],
    ['^\\_\\-$', '_-', '__'],
    ['^\\pL+$', 'hé', 'h1'],
    ['^\\x{1F600}$', '\u{1F600}', 'x'],
    ['^(?i:a)b$', 'Ab', 'AB'],
  ])('%s matches as in Go', (source, good, bad) => {
    const pattern = compileGoPattern(source);
    expect([pattern.test(good), pattern.test(bad)]).toEqual([true, false]);
  });

  test.each([
    ['(?=a)', 'uses look-around, which Go does not have'],
    ['(?<!a)b', 'uses look-around, which Go does not have'],
    ['(a)\\1', 'uses a back-reference, which Go does not have'],
    ['a(?i)b', 'uses flags inside the pattern: put (?i) at its beginning'],
    ['\\Qa.b\\E', 'uses an escape that is not supported'],
    ['[[:nonsense:]]', 'uses the class [:nonsense:], which is not supported'],
    ['(a', 'is not a regular expression (unterminated group)'],
    ['a**', 'is not a regular expression (nothing to repeat)'],
    ['\\p{Nonsense}', 'is not a regular expression (invalid property name)'],
  ])('%s is refused with a reason', (source, reason) => {
    expect(() => compileGoPattern(source)).toThrow(reason);
  });

  test('escaped forms of what is refused are plain text', () => {
    expect(compileGoPattern('\\(?=a').test('=a')).toBe(true);
    expect(compileGoPattern('\\\\1').test('\\1')).toBe(true);
  });
});
