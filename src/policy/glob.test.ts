import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileMethods, compileNames, matchPieces } from './glob.ts';

describe('names', () => {
  test.each<[string[], string, boolean]>([
    [['github'], 'github', true],
    [['github'], 'GitHub', false],
    [['github'], 'github2', false],
    [['a', 'b'], 'b', true],
    [['a', 'b'], 'c', false],
    [['*'], '', true],
    [['**'], 'anything', true],
    [['git*'], 'git', true],
    [['git*'], 'github', true],
    [['git*'], 'agit', false],
    [['*-db'], 'orders-db', true],
    [['*-db'], 'orders-db2', false],
    [['a*b*c'], 'abc', true],
    [['a*b*c'], 'axxbyyc', true],
    [['a*b*c'], 'acb', false],
    [['ab*ba'], 'aba', false],
    [['ab*ba'], 'abba', true],
    [['*a*'], 'bab', true],
    [['a.c'], 'abc', false],
    [['[ab]'], 'a', false],
    [['a*', 'exact'], 'exact', true],
    [['a\nb*'], 'a\nbc', true],
  ])('%j on %j: %s', (patterns, text, expected) => {
    expect(compileNames(patterns)(text)).toBe(expected);
  });

  test('an empty pattern is refused, since it could never match', () => {
    expect(() => compileNames(['a', ''])).toThrow('is empty');
  });

  test('a glob agrees with a regular expression on all short texts', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 8 });
    const texts = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
    const property = fc.property(letters, texts, (pattern, text) => {
      const expected = new RegExp(`^${pattern.replaceAll('*', '[ab]*')}$`).test(text);
      expect(compileNames([pattern])(text)).toBe(expected);
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  test('64 stars on a long text take a number of steps that grows with the text, not with its powers', () => {
    const pieces = Array.from({ length: 65 }, (_, index) => (index === 0 || index === 64 ? '' : 'ab'));
    // A matcher that backtracks over the stars would try C(50000, 63) placements before it gave up.
    expect(matchPieces([...pieces.slice(0, -1), 'c'], 'ab'.repeat(50_000) + 'b')).toBe(false);
    expect(matchPieces(pieces, 'ab'.repeat(50_000))).toBe(true);
  });
});

describe('methods', () => {
  test.each<[string[], string, boolean]>([
    [['GET'], 'GET', true],
    [['GET'], 'get', false],
    [['GET'], 'GETS', false],
    [['GET', 'POST'], 'POST', true],
    [['GET', 'POST'], 'PUT', false],
    [['*'], 'BREW', true],
    [['GET', '*'], 'PUT', true],
    [['M-SEARCH'], 'M-SEARCH', true],
  ])('%j on %s: %s', (methods, method, expected) => {
    expect(compileMethods(methods)(method)).toBe(expected);
  });

  test.each([['G*'], ['**'], ['']])('%j is refused, since it would never match', (method) => {
    expect(() => compileMethods([method])).toThrow();
  });
});
