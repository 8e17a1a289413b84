import { expect, test } from 'vitest';
import { parseTarget } from './target.ts';

test.each([
  ['https://api.example.com', 'https', 'api.example.com', 443, ''],
  ['HTTPS://API.example.com/', 'https', 'api.example.com', 443, ''],
  ['http://127.0.0.1:8080/v1/', 'http', '127.0.0.1', 8080, '/v1'],
  ['https://[2001:DB8::1]:8443/a/b', 'https', '2001:db8::1', 8443, '/a/b'],
  ['https://x:443/a%20b', 'https', 'x', 443, '/a%20b'],
])('%s is read', (text, scheme, host, port, basePath) => {
  expect(parseTarget(text)).toEqual({ target: { origin: { scheme, host, port }, basePath } });
});

test.each([
  '',
  'api.example.com',
  'ftp://x/',
  'https://',
  'https://user:canary@x/',
  'https://@x/',
  'https://x?',
  'https://x/#',
  'https://x/a?b=c',
  'https://x/../a',
  'https://x/%2e%2e/a',
  'https://x/a//b',
  'https://x/a%2fb',
  'https://x\\y',
  'https://x/ a',
  'https://0x7f.1/',
  'https://2130706433/',
  'https://bücher.example/',
  'https://x:',
  'https://x:0',
  'https://x:70000',
  'https:/x',
])('%j is refused without being repeated', (text) => {
  const parsed = parseTarget(text);
  expect(parsed).toHaveProperty('problem');
  expect(JSON.stringify(parsed)).not.toContain('canary');
});
