import { describe, expect, test } from 'vitest';
import { compileHosts } from './host-pattern.ts';

test.each<[string, string, number | undefined, boolean]>([
  ['api.example.com', 'api.example.com', 443, true],
  ['API.Example.com', 'api.example.com', 443, true],
  ['api.example.com', 'api.example.com', undefined, true],
  ['api.example.com', 'xapi.example.com', 443, false],
  ['api.example.com', 'api.example.com.evil.test', 443, false],
  ['api.example.com', 'apixexample.com', 443, false],
  ['*.example.com', 'a.example.com', 443, true],
  ['*.example.com', 'a.b.example.com', 443, true],
  ['*.example.com', 'example.com', 443, false],
  ['*.example.com', 'evilexample.com', 443, false],
  ['*.example.com', 'a.example.com.evil.test', 443, false],
  ['api.example.com:443', 'api.example.com', 443, true],
  ['api.example.com:443', 'api.example.com', 8443, false],
  ['api.example.com:443', 'api.example.com', undefined, false],
  ['*.example.com:8443', 'a.example.com', 8443, true],
  ['*.example.com:8443', 'a.example.com', 443, false],
  ['localhost', 'localhost', 80, true],
  ['my_db', 'my_db', 5432, true],
  ['10.0.0.1', '10.0.0.1', 80, true],
  ['10.0.0.1', '10.0.0.11', 80, false],
  ['10.0.0.1:80', '10.0.0.1', 80, true],
  ['::1', '::1', 80, true],
  ['[::1]', '::1', 80, true],
  ['[::1]:80', '::1', 80, true],
  ['[::1]:80', '::1', 81, false],
  ['2001:DB8:0:0::1', '2001:db8::1', 443, true],
  ['2001:db8::1', '2001:db8::2', 443, false],
  ['169.254.169.254', '::ffff:a9fe:a9fe', 80, true],
  ['::ffff:169.254.169.254', '169.254.169.254', 80, true],
  ['example.com', 'example.com:evil', 80, false],
])('%s on %s port %s: %s', (pattern, host, port, expected) => {
  expect(compileHosts([pattern])(host, port)).toBe(expected);
});

test('any of several patterns may match', () => {
  const matches = compileHosts(['a.test', '*.b.test']);
  expect([matches('a.test', 1), matches('x.b.test', 1), matches('c.test', 1)]).toEqual([true, true, false]);
});

test('a deny rule on an IPv4 address is not slipped past by its IPv6 form, as a comparison of texts would be', () => {
  const host: string = '::ffff:a9fe:a9fe';
  expect(host === '169.254.169.254').toBe(false);
  expect(compileHosts(['169.254.169.254'])(host, 80)).toBe(true);
});

describe('refused patterns', () => {
  test.each([
    '',
    '*',
    '*.',
    '*.*',
    '*.10.0.0.1',
    'a*.example.com',
    'example.com.',
    '.example.com',
    'exa mple.com',
    'https://example.com',
    'example.com/path',
    'user@example.com',
    'bücher.example',
    '-a.example',
    '10.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '010.0.0.1',
    '10.0.0.256',
    '[10.0.0.1]',
    '[name]',
    '[::1',
    '::1]/',
    '1::2::3',
    'fe80::1%eth0',
    'a:b:c',
    'example.com:',
    'example.com:0',
    'example.com:65536',
    'example.com:https',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
  ])('%j', (pattern) => {
    expect(() => compileHosts([pattern])).toThrow();
  });
});
