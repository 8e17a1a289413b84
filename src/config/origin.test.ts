import { expect, test } from 'vitest';
import { parseOriginPattern, parseProxyUrl } from './origin.ts';

function read(text: string): string {
  const parsed = parseOriginPattern(text);
  if ('problem' in parsed)
    return `! ${parsed.problem}${parsed.suggestion === undefined ? '' : ` → ${parsed.suggestion}`}`;
  const { scheme, host, port, below } = parsed.pattern;
  return `${scheme} ${below ? '*.' : ''}${host} ${port}`;
}

test.each([
  ['https://api.example.com', 'https api.example.com 443'],
  ['https://*.example.com:8443', 'https *.example.com 8443'],
  ['HTTPS://API.Example.com', 'https api.example.com 443'],
  ['http://mirror.example.com', 'http mirror.example.com 80'],
  ['https://192.0.2.7', 'https 192.0.2.7 443'],
  ['https://[2001:DB8:0:0::1]:444', 'https 2001:db8::1 444'],
  ['https://a_b.internal', 'https a_b.internal 443'],
])('the origin %s is read as %s', (text, origin) => {
  expect(read(text)).toBe(origin);
});

test.each([
  [
    'api.example.com',
    'an origin looks like https://api.example.com or https://*.example.com → https://api.example.com',
  ],
  ['*.example.com', 'an origin looks like https://api.example.com or https://*.example.com → https://*.example.com'],
  ['ftp://example.com', 'an origin looks like https://api.example.com or https://*.example.com'],
  ['https://example.com/', 'an origin has no path: what is encrypted cannot be told apart by it → https://example.com'],
  [
    'https://example.com/a?b',
    'an origin has no path: what is encrypted cannot be told apart by it → https://example.com',
  ],
  [
    'https://example.com\\a',
    'an origin has no path: what is encrypted cannot be told apart by it → https://example.com',
  ],
  ['https://u:p@example.com', 'an origin has no user or password'],
  ['https://*', 'one `*` stands for the names below a name: https://*.example.com'],
  ['https://a.*.example.com', 'one `*` stands for the names below a name: https://*.example.com'],
  ['https://*example.com', 'one `*` stands for the names below a name: https://*.example.com'],
  ['https://*.192.0.2.7', 'nothing is below an IP address'],
  ['https://example.com.', 'the host is neither a plain name nor an IP address'],
  ['https://a..b', 'the host is neither a plain name nor an IP address'],
  ['https://0x7f.1', 'the host is neither a plain name nor an IP address'],
  ['https://2130706433', 'the host is neither a plain name nor an IP address'],
  ['https://exa mple.com', 'the host is neither a plain name nor an IP address'],
  ['https://bücher.example', 'the host is neither a plain name nor an IP address'],
  ['https://', 'the host is neither a plain name nor an IP address'],
  [`https://${'a'.repeat(64)}.example`, 'the host is neither a plain name nor an IP address'],
  ['https://[fe80::1%25eth0]', 'the host is neither a plain name nor an IP address'],
  ['https://2001:db8::1', 'a port is from 1 to 65535, and an IPv6 address stands in brackets'],
  ['https://example.com:', 'a port is from 1 to 65535, and an IPv6 address stands in brackets'],
  ['https://example.com:0443', 'a port is from 1 to 65535, and an IPv6 address stands in brackets'],
  ['https://example.com:65536', 'a port is from 1 to 65535, and an IPv6 address stands in brackets'],
])('the origin %s is refused: %s', (text, problem) => {
  expect(read(text)).toBe(`! ${problem}`);
});

test.each([
  ['http://proxy.internal:3128', { scheme: 'http', host: 'proxy.internal', port: 3128 }],
  ['https://proxy.internal/', { scheme: 'https', host: 'proxy.internal', port: 443 }],
])('the proxy %s is read', (text, origin) => {
  expect(parseProxyUrl(text)).toEqual({ origin });
});

test.each([
  'socks5://proxy:1080',
  'proxy:3128',
  'http://proxy:3128/path',
  'http://proxy:3128?x',
  'http://*.proxy:3128',
])('the proxy %s is refused', (text) => {
  expect(parseProxyUrl(text)).toHaveProperty('problem');
});

test.each(['http://jo:canary-8d2f@proxy:3128', 'http://proxy:3128/@', 'http://canary-8d2f@proxy'])(
  'the proxy %s is refused without its password being repeated',
  (text) => {
    const parsed = parseProxyUrl(text) as { problem: string };
    expect(parsed.problem).toContain('write { url, username, password }');
    expect(JSON.stringify(parsed)).not.toContain('canary-8d2f');
  },
);
