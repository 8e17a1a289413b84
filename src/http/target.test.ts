import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatOrigin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { parseRequestTarget } from './target.ts';

function read(target: string): unknown {
  try {
    return parseRequestTarget(target);
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

describe('parseRequestTarget', () => {
  test.each([
    '/',
    '/a/b?c=d',
    '/a%2fb',
    '//a',
    '/?',
    '/a?b?c/d',
    '/a?filter[x]=1|2',
    '/http://a/',
    '/a@b:80',
    '/..',
    '/a?x=http://evil.test/',
  ])('passes the origin form %s byte for byte', (target) => expect(read(target)).toEqual({ form: 'origin', target }));

  test.each([
    ['http://a.test/b?c', 'http://a.test', '/b?c'],
    ['HTTP://A.Test/B', 'http://a.test', '/B'],
    ['https://a.test', 'https://a.test', '/'],
    ['http://a.test?x=1', 'http://a.test', '/?x=1'],
    ['http://a.test:8080//x', 'http://a.test:8080', '//x'],
    ['http://a.test:80/', 'http://a.test', '/'],
    ['https://a.test:80/', 'https://a.test:80', '/'],
    ['http://[::1]:9/x', 'http://[::1]:9', '/x'],
    ['http://a.test/@evil.test/', 'http://a.test', '/@evil.test/'],
    ['http://a.test?@evil.test/', 'http://a.test', '/?@evil.test/'],
    ['http://a.test/%2f..%00\\', 'http://a.test', '/%2f..%00\\'],
  ])('splits %s without changing a byte of the rest', (text, origin, target) => {
    const parsed = parseRequestTarget(text);
    if (parsed.form !== 'absolute') throw new Error(parsed.form);
    expect(formatOrigin(parsed.origin)).toBe(origin);
    expect(parsed.target).toBe(target);
  });

  it('knows the two other forms', () => {
    expect(read('*')).toEqual({ form: 'asterisk' });
    expect(read('api.github.com:443')).toEqual({ form: 'authority' });
    expect(read('[::1]:443')).toEqual({ form: 'authority' });
  });

  test.each([
    '',
    ' /',
    '/ ',
    '/a b',
    '/a\tb',
    '/a\nb',
    '/a\r\nX: y',
    '/a\0',
    '/é',
    '/a#b',
    '**',
    '*/',
    'a',
    'a/b',
    '?',
    'a:',
    'a:80/',
    'u@a:80',
    'ftp://a/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'http:a',
    'http:/a',
    'http:///a',
    'http:\\\\a\\b',
    'http//a/',
    '://a/',
    'http://',
    'http://?',
    'http://:80/',
    'http://u@a/',
    'http://u:p@a/',
    'http://a@b@c/',
    'http://a\\@b/',
    'http://a\\.b/',
    'http://a%00b/',
    'http://a%2eb/',
    'http://a:b/',
    'http://a:/',
    'http://a:80:80/',
    'http://[::1/',
    'http://[::1%25lo]/',
    ' http://a/',
    'http://a /',
    'http://a/ ',
    'ht\ttp://a/',
    'http://a\t/',
    'http://é.test/',
    'http://a.test#b',
    'http://a./',
    'http://0x7f.1/',
    'http://a;b/',
    'http://a,b/',
    'wss://a/',
  ])('refuses %j', (target) => {
    expect(read(target)).toBe('request-malformed');
  });

  it('refuses targets that a URL parser would have repaired', () => {
    for (const [text, host] of [
      ['http:a.test/', 'a.test'],
      ['http:\\\\a.test\\x', 'a.test'],
      ['http:///a.test/', 'a.test'],
      ['http://a.te\tst/', 'a.test'],
      ['http://x@a.test/', 'a.test'],
      ['http://b\\@a.test/', 'b'],
      ['http://a%2etest/', 'a.test'],
    ] as const) {
      expect(new URL(text).hostname).toBe(host);
      expect(read(text)).toBe('request-malformed');
    }
  });

  it('reads every absolute form it accepts as a URL parser does', () => {
    const piece = fc.constantFrom(
      'http',
      'https',
      '://',
      ':',
      '/',
      '//',
      '@',
      '?',
      '#',
      '\\',
      'a.test',
      'evil.test',
      '.',
      '80',
      ':8080',
      '[::1]',
      '%2e',
      '\t',
      ' ',
      '\0',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, prefixed) => {
        const text = (prefixed ? 'http://' : '') + pieces.join('');
        const parsed = read(text);
        if (typeof parsed !== 'object') return;
        const target = parsed as ReturnType<typeof parseRequestTarget>;
        if (target.form !== 'absolute') return;
        expect(new URL(text).origin).toBe(formatOrigin(target.origin));
        expect(
          text.endsWith(target.target) || `${text}/`.endsWith(target.target) || target.target.startsWith('/?'),
        ).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });
});
