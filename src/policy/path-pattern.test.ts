import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePaths, segmentsOf } from './path-pattern.ts';

function allows(pattern: string, path: string): boolean {
  return compilePaths([pattern], true)(segmentsOf(path));
}

function denies(pattern: string, path: string): boolean {
  return compilePaths([pattern], false)(segmentsOf(path));
}

describe('segments and wildcards', () => {
  test.each<[string, string, boolean]>([
    ['/', '/', true],
    ['/', '/a', false],
    ['/a', '/a', true],
    ['/a', '/A', false],
    ['/a', '/ab', false],
    ['/a', '/a/b', false],
    ['/a', '/a/', false],
    ['/a/', '/a/', true],
    ['/a/', '/a', false],
    ['/a/*', '/a/b', true],
    ['/a/*', '/a/b/c', false],
    ['/a/*', '/a', false],
    ['/a/*', '/a/', false],
    ['/a/*/c', '/a/b/c', true],
    ['/a/b*', '/a/b', true],
    ['/a/b*', '/a/bc', true],
    ['/a/*.git', '/a/x.git', true],
    ['/a/*.git', '/a/x.git/y', false],
    ['/a/x*y*z', '/a/x1y2z', true],
    ['/**', '/', true],
    ['/**', '/a', true],
    ['/**', '/a/b/c/', true],
    ['/repos/acme/**', '/repos/acme', true],
    ['/repos/acme/**', '/repos/acme/', true],
    ['/repos/acme/**', '/repos/acme/a/b', true],
    ['/repos/acme/**', '/repos/acme-evil/a', false],
    ['/repos/acme/**', '/repos', false],
    ['/**/admin', '/admin', true],
    ['/**/admin', '/a/b/admin', true],
    ['/**/admin', '/a/badmin', false],
    ['/a/**/b', '/a/b', true],
    ['/a/**/b', '/a/x/y/b', true],
    ['/a/**/b', '/a', false],
    ['/a/**/a', '/a', false],
    ['/a/**/b/**/c', '/a/1/b/2/3/c', true],
    ['/a/**/b/**/c', '/a/1/c/2/b', false],
    ['/**/*/**', '/', false],
    ['/**/*/**', '/a', true],
    ['/**/**/a', '/a', true],
    ['/.*', '/.env', true],
    ['/a.c', '/abc', false],
    ['**', '/a/b', true],
    ['**', '/', true],
  ])('an allow rule on %s and %s: %s', (pattern, path, expected) => {
    expect(allows(pattern, path)).toBe(expected);
  });

  test('any of several patterns may match', () => {
    const matches = compilePaths(['/a', '/b/**'], true);
    expect([matches(segmentsOf('/a')), matches(segmentsOf('/b/c')), matches(segmentsOf('/c'))]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('a target that is no path, such as `*` of OPTIONS, matches no pattern', () => {
    expect([allows('/a', '*'), allows('/*', '*'), allows('/**', '*')]).toEqual([false, false, false]);
  });
});

describe('a slash at the end', () => {
  test.each<[string, string, boolean, boolean]>([
    ['/admin', '/admin/', false, true],
    ['/admin/', '/admin', false, true],
    ['/admin/*', '/admin/x/', false, true],
    ['/admin/*', '/admin/', false, false],
    ['/a/**/b', '/a/x/b/', false, true],
    ['/', '/', true, true],
    ['/', '/a/', false, false],
  ])('%s and %s: allow rule %s, deny rule %s', (pattern, path, allowed, denied) => {
    expect(allows(pattern, path)).toBe(allowed);
    expect(denies(pattern, path)).toBe(denied);
  });
});

describe('escapes', () => {
  test.each<[string, string, boolean]>([
    ['/café', '/caf%C3%A9', true],
    ['/caf%c3%a9', '/caf%C3%A9', true],
    ['/a b', '/a%20b', true],
    ['/日本/*', '/%E6%97%A5%E6%9C%AC/x', true],
    ['/😀', '/%F0%9F%98%80', true],
    ['/job:cancel', '/job%3Acancel', true],
    ['/job%3Acancel', '/job:cancel', true],
    ['/job%3acancel', '/job%3Acancel', true],
    ['/u/@me', '/u/%40me', true],
    ['/a%7Eb', '/a~b', true],
    ['/a|b', '/a%7Cb', true],
    ['/a%2Ab', '/a*b', true],
    ['/a%2Ab', '/a%2Ab', true],
    ['/a%2Ab', '/axb', false],
    ['/a*b', '/a%2Fb', true],
    ['/100%25', '/100%25', true],
    ['/caf%C3%A8', '/caf%C3%A9', false],
    ['/a*', '/a%FF', true],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(allows(pattern, path)).toBe(expected);
  });

  test('a deny rule on a custom verb is not slipped past by an escape, as a comparison of texts would be', () => {
    const path: string = '/v1/models%3Adelete';
    expect(path === '/v1/models:delete').toBe(false);
    expect(denies('/v1/models:delete', path)).toBe(true);
  });

  test('an encoded slash stays inside its segment', () => {
    expect(segmentsOf('/a%2fb/c')).toEqual(['', 'a%2Fb', 'c']);
    expect(allows('/a/b/c', '/a%2Fb/c')).toBe(false);
  });
});

test.each([
  'a/b',
  '',
  '**/a',
  '/a%3Fb',
  '/a%23b',
  '/a%3bb',
  '/a%FF',
  '/a%C3*',
  '/a/../b',
  '/a/.',
  '/..',
  '/%2e%2E/a',
  '/a//b',
  '//',
  '/a**',
  '/a/***',
  '/a?b=c',
  '/a#b',
  '/a;b',
  '/a\\b',
  '/a%5Cb',
  '/a%2Fb',
  '/a%2fb',
  '/a%00',
  '/a%1F',
  '/a%7f',
  '/a\u0000',
  '/a\tb',
  '/100%',
  '/a%zz',
  '/a%252e',
  '/a\ud800',
])('the pattern %j is refused, since no path that rules are applied to is like it', (pattern) => {
  expect(() => compilePaths(['/fine', pattern], true)).toThrow();
});

test('a pattern agrees with a regular expression over all short paths', () => {
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', '*', 'a*', '*b', 'a*b') },
    { weight: 1, arbitrary: fc.constant('**') },
  );
  const name = fc.constantFrom('a', 'b', 'ab', 'aab', 'ba', 'c');
  const paths = fc.array(name, { minLength: 1, maxLength: 7 });
  const property = fc.property(
    fc.array(word, { minLength: 1, maxLength: 6 }),
    paths,
    fc.boolean(),
    (words, names, slash) => {
      const source = words.map((each) => (each === '**' ? '(?:/[^/]*)*' : `/${each.replaceAll('*', '[^/]*')}`));
      const path = `/${names.join('/')}`;
      const pattern = `/${words.join('/')}`;
      expect(allows(pattern, path)).toBe(new RegExp(`^${source.join('')}$`).test(path));
      expect(denies(pattern, slash ? `${path}/` : path)).toBe(denies(pattern, path));
    },
  );
  fc.assert(property, { numRuns: 10_000 });
});

test('10,000 segments against 32 double stars end, where backtracking would not', () => {
  const segments = segmentsOf('/a'.repeat(10_000));
  const pattern = `${'/**/a/a'.repeat(32)}/b`;
  expect(compilePaths([pattern], true)(segments)).toBe(false);
  expect(compilePaths([`${pattern}/**/*`], true)(segments)).toBe(false);
  expect(compilePaths([`${'/**/a/a'.repeat(32)}/**/a`], true)(segments)).toBe(true);
});
