import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Origin } from '../connector/origin.ts';
import { compileUrlPattern } from './match.ts';
import { parseRequestTarget } from './target.ts';

function parsedUrl(url: string): { origin: Origin; target: string } {
  const parsed = parseRequestTarget(url);
  if (parsed.form !== 'absolute') throw new Error('not the URL of a test');
  return parsed;
}

describe('whether any URL of an origin may match', () => {
  test.each([
    ['^http://.*', 'https://any.test', false],
    ['^http://.*', 'http://any.test', true],
    ['^https://.*', 'http://any.test', false],
    ['^https://.*', 'https://any.test:8443', true],
    ['^http', 'https://any.test', true],
    ['^http[s]*://.*', 'https://any.test', true],
    ['.*', 'https://any.test', true],
    ['^http://maps\\.', 'https://maps.test', false],
    ['^https?://maps\\.', 'https://maps.test', true],
    ['^https?://maps\\.', 'https://other.test', false],
    ['^https://.*\\.example\\.com/', 'https://a.example.com', true],
    ['^https://.*\\.example\\.com/v1/only', 'https://a.example.com', true],
    ['^https://.*\\.example\\.com/', 'https://evil.test', false],
    ['^https://.*\\.example\\.com/', 'https://a.example.com.evil.test', false],
    ['^https://.*\\.example\\.com/', 'https://a.example.com:8443', false],
    ['^https://.*\\.example\\.com:8443/x', 'https://a.example.com:8443', true],
    ['^https://.*\\.example\\.com$', 'https://a.example.com', true],
    ['^https://api\\.test/v1/', 'https://api.test', true],
    ['^http://api\\.test/v1/', 'https://api.test', false],
  ])('%s, %s: %s', (pattern, url, may) => {
    expect(compileUrlPattern(pattern).mayMatch(parsedUrl(url).origin)).toBe(may);
  });

  test('is said of every origin of which a URL does match', () => {
    const sources = ['^http', '.*', '^https://.*\\.test/a', '^http[s]*://a', 'a\\.test', '^https?://[^/]*:\\d+/'];
    const pattern = fc.constantFrom(...sources);
    const url = fc.tuple(
      fc.constantFrom('http', 'https'),
      fc.constantFrom('a.test', 'b.a.test', 'a.b', 'atest.test'),
      fc.constantFrom('', ':80', ':443', ':8443'),
      fc.constantFrom('/', '/a', '/b?a.test', '/a/.test/'),
    );
    fc.assert(
      fc.property(pattern, url, (source, [scheme, host, port, path]) => {
        const { origin, target } = parsedUrl(`${scheme}://${host}${port}${path}`);
        const compiled = compileUrlPattern(source);
        expect(compiled.mayMatch(origin) || !compiled.matches(origin, target)).toBe(true);
      }),
    );
  });
});
