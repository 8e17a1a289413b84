import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { canonicalPath } from './path.ts';

function read(target: string): { path: string; ambiguity?: string } | string {
  try {
    return canonicalPath(target);
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

/** Segments as three readers see them that know nothing of each other; undefined where one gives up. */
const readers: readonly ((path: string) => string[])[] = [
  (path) => new URL(`http://host${path}`).pathname.split('/').map(decodeURIComponent),
  (path) => posix.normalize(decodeURIComponent(path)).split('/'),
  (path) => path.split(';', 1)[0]!.split('/').map(decodeURIComponent),
  // A server that decodes once more than it should.
  (path) => posix.normalize(decodeAll(path)).split('/'),
];

function decodeAll(path: string): string {
  try {
    const once = decodeURIComponent(path);
    return once === path ? path : decodeAll(once);
  } catch {
    return path;
  }
}

function disagree(path: string): boolean {
  try {
    return new Set(readers.map((reader) => reader(path).join('\n'))).size > 1;
  } catch {
    return true;
  }
}

const PIECES = [
  'a',
  'repos',
  'acme',
  '.',
  '..',
  '...',
  '%2e',
  '%2E',
  '.%2e',
  '%2e%2e',
  '/',
  '//',
  '%2f',
  '%2F',
  '\\',
  '%5c',
  '%5C',
  ';',
  ';x=1',
  '%3b',
  '%00',
  '%0a',
  '%7f',
  '%20',
  '%',
  '%4',
  '%zz',
  '%u002e',
  '%25',
  '%252e',
  '%252f',
  '%25252e',
  '%41',
  '%7e',
  '%c3%a9',
  '%ff',
  '%c0%ae',
  '%e0%80%af',
  'é',
  '\t',
  ' ',
  '\0',
  '#',
  '%23',
  '%3f',
  '~',
  '@',
  ':',
  '+',
  '=',
  '&',
  '{x}',
  '[0]',
  '|',
  '^',
  '"',
  '.git',
  'a.b',
  '%25x',
];

describe('canonicalPath', () => {
  test.each([
    ['/', '/'],
    ['/repos/acme/app', '/repos/acme/app'],
    ['/repos/acme/app?q=/../', '/repos/acme/app'],
    ['/a/?x', '/a/'],
    ['/.well-known/x', '/.well-known/x'],
    ['/...', '/...'],
    ['/a/..b/.c', '/a/..b/.c'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a%20b', '/a%20b'],
    ['/100%25', '/100%25'],
    ["/a!$&'()*+,=:@~-_", "/a!$&'()*+,=:@~-_"],
  ])('reads %s as %s, with one meaning', (target, path) => {
    expect(read(target)).toEqual({ path });
  });

  test.each([
    '/.',
    '/..',
    '/a/.',
    '/a/..',
    '/a/../b',
    '/./a',
    '/%2e',
    '/%2E%2e/a',
    '/.%2e',
    '/a/%2e./b',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/a/.;',
    '/..%2fa',
    '/a%2f..',
    '/a%2F%2e%2e%2Fb',
    '/%252e%252e/a',
    '/%25252e/a',
    '/a%252f..%252fb',
    '/..%3b/a',
    '/a\\b',
    '/a%5cb',
    '/a%5Cb',
    '/%00',
    '/a%0ab',
    '/a%0D%0Ab',
    '/%1f',
    '/%7F',
    '/a\tb',
    '/a b',
    '/a\0',
    '/a\x7f',
    '/%',
    '/%4',
    '/%zz',
    '/%u002e',
    '/a%2',
    '/é',
    '/\u3002\u3002/',
    '/\uff0f',
    '/a#b',
  ])('refuses %j with or without rules', (target) => {
    expect(read(target)).toBe('path-ambiguous');
  });

  test.each([
    '/%c0%ae%c0%ae/',
    '/%C0%AF',
    '/%c1%81dmin',
    '/%e0%80%ae%e0%80%ae/a',
    '/%E0%9f%bf',
    '/%f0%80%80%ae/a',
    '/%F0%8F%BF%BF',
    '/%f8%80%80%80%ae',
    '/%fc%80%80%80%80%ae',
    '/%25c0%25ae%25c0%25ae/',
  ])('refuses %s: an over-long form hides a character', (target) => {
    expect(read(target)).toBe('path-ambiguous');
  });

  test.each([
    '/.%20/x',
    '/..%20/x',
    '/%20../x',
    '/.%20./x',
    '/%2520../x',
    '/..%c2%a0/x',
    '/.%e2%80%8b./x',
    '/..%EF%BB%BF',
    '/%ef%bc%8e%ef%bc%8e/x',
    '/.%EF%BC%8E/x',
    '/%e2%80%a4%e2%80%a4/x',
    '/%e2%80%a4./x',
    '/%E2%80%A5/x',
    '/%ef%b9%92./x',
    '/%25EF%25BC%258E./x',
    '/..%ef%bc%8fx',
    '/..%ef%bc%bcx',
    '/..%ff/x',
    '/..%3fx',
    '/..%23x',
  ])('refuses %s: some reader finds a dot segment in it', (target) => {
    expect(read(target)).toBe('path-ambiguous');
  });

  test.each(['/%20', '/a%20b', '/a.%20b', '/%20a.', '/a%EF%BC%8E', '/%E2%80%A6', '/v1.%20/x', '/%C3%80', '/%E0%A0%80'])(
    'takes %s for no dot segment and no over-long form',
    (target) => {
      expect(read(target)).toMatchObject({ path: target });
    },
  );

  test.each([
    ['/projects/group%2fname', '/projects/group%2Fname', 'slash'],
    ['//a', '//a', 'doubled'],
    ['/a//b', '/a//b', 'doubled'],
    ['/a;v=1', '/a;v=1', 'parameter'],
    ['/a%3bv', '/a%3Bv', 'parameter'],
    ['/a%252fb', '/a%252fb', 'double encoding'],
    ['/%41', '/%41', 'needs no encoding'],
    ['/%7euser', '/%7Euser', 'needs no encoding'],
    ['/a%3fb', '/a%3Fb', 'delimiter'],
    ['/a%23', '/a%23', 'delimiter'],
    ['/%ff', '/%FF', 'UTF-8'],
    ['/%80', '/%80', 'UTF-8'],
    ['/caf%E9', '/caf%E9', 'UTF-8'],
    ['/a[0]', '/a[0]', 'must be encoded'],
    ['/{id}', '/{id}', 'must be encoded'],
  ])('reports %s, so that path rules can refuse it', (target, path, reason) => {
    const canonical = canonicalPath(target);
    expect(canonical.path).toBe(path);
    expect(canonical.ambiguity).toContain(reason);
  });

  it('refuses what is no path at all', () => {
    for (const target of ['', 'a', '*', '?', 'http://a/']) expect(read(target)).toBe('request-malformed');
  });

  it('finds in a query nothing to judge', () => {
    expect(read('/a?%zz\\..;//%00')).toEqual({ path: '/a' });
  });

  it('leaves no path of the confusion corpus that readers disagree on, where the naive reading would', () => {
    const corpus = new Set<string>();
    for (const first of PIECES) {
      for (const second of PIECES) corpus.add(`/public/${first}${second}/secret`).add(`/${first}/${second}`);
    }
    const clear: string[] = [];
    let confusing = 0;
    for (const target of corpus) {
      const canonical = read(target);
      if (disagree(target)) confusing++;
      if (typeof canonical === 'object' && canonical.ambiguity === undefined) clear.push(canonical.path);
    }
    expect(corpus.size).toBeGreaterThan(5000);
    expect(confusing).toBeGreaterThan(500);
    expect(clear.length).toBeGreaterThan(100);
    expect(clear.filter(disagree)).toEqual([]);
  });

  it('accepts without ambiguity only what every reader reads the same way', () => {
    const target = fc.oneof(
      fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`),
      fc.string({ unit: 'binary-ascii', maxLength: 20 }).map((text) => `/${text.replaceAll('?', '')}`),
    );
    fc.assert(
      fc.property(target, (text) => {
        const canonical = read(text);
        if (typeof canonical === 'string') return;
        expect(canonical.path.toLowerCase()).toBe(text.toLowerCase());
        expect(read(canonical.path)).toEqual(canonical);
        if (canonical.ambiguity === undefined) expect(disagree(canonical.path)).toBe(false);
        // Rules or not, decoding once never shows a dot segment.
        const once = canonical.path.replace(/%([0-7][0-9A-F])/g, (_, hex: string) =>
          String.fromCharCode(parseInt(hex, 16)),
        );
        expect(once.split(/[/\\]/).map((segment) => segment.split(';', 1)[0])).not.toContain('..');
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('a path that is read literally', () => {
  test.each([
    ['/a/../b', 'dot segment'],
    ['/./a', 'dot segment'],
    ['/a/%2e%2E/b', 'dot segment'],
    ['/a/%252e%252e/b', 'dot segment'],
    ['/a/..;x/b', 'dot segment'],
    ['/a\\b', 'backslash'],
    ['/a%5cb', 'backslash'],
    ['/a%00b', 'encoded control character'],
    ['/a%c0%ae', 'over-long UTF-8'],
    ['/a//b', 'doubled slash'],
    ['/a%2fb', 'encoded slash (%2F)'],
  ])('%s is ambiguous, and not refused', (target, ambiguity) => {
    const path = target.replace(/%[0-9a-f]{2}/gi, (escape) => escape.toUpperCase());
    expect(canonicalPath(target, true)).toEqual({ path, ambiguity });
  });

  test.each(['/a#b', '/a b', '/a\u0000b', '/\u00e9', '/%', '/%z0', '/a/../%4'])(
    '%j is refused all the same',
    (target) => {
      expect(() => canonicalPath(target, true)).toThrow(SidecarError);
    },
  );

  test('that has one reading has no ambiguity', () => {
    expect(canonicalPath('/bucket/key%20with?q=/../', true)).toEqual({ path: '/bucket/key%20with' });
  });

  it('always says so where it would be refused otherwise', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }), (pieces) => {
        const target = `/${pieces.join('')}`;
        let literal: ReturnType<typeof canonicalPath>;
        try {
          literal = canonicalPath(target, true);
        } catch {
          expect(read(target)).toBe('path-ambiguous');
          return;
        }
        const plain = read(target);
        if (typeof plain === 'string') expect(literal.ambiguity).toBeDefined();
        else expect(literal).toEqual(plain);
      }),
    );
  });
});
