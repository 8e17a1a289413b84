import { expect, test } from 'vitest';
import { readRequestHead } from './request-head.ts';

const PSEUDO = [':method', 'GET', ':scheme', 'http', ':authority', 'a.test', ':path', '/'];
const read = (raw: readonly string[]) => readRequestHead(raw, 'http', 1000);
const withAuthority = (authority: string) => [...PSEUDO.slice(0, 5), authority, ...PSEUDO.slice(6)];

test('a head reads as HTTP/1.1 would have said it', () => {
  expect(read([...PSEUDO, 'a', '1', 'cookie', 'x=1', 'a', '2', 'cookie', 'y=2', 'content-length', '3']).head).toEqual({
    method: 'GET',
    target: '/',
    headers: ['host', 'a.test', 'a', '1', 'a', '2', 'content-length', '3', 'cookie', 'x=1; y=2'],
  });
});

// What node's engine refuses as well is refused here without it.
test.each([
  ['an authority that resolvers read in two ways', withAuthority('0x7f.1')],
  ['an authority with userinfo', withAuthority('user@a.test')],
  ['an authority with a line', withAuthority('a.test\r\nx: y')],
  ['a value with a line', [...PSEUDO, 'a', 'b\r\nc: d']],
  ['a value with NUL', [...PSEUDO, 'a', 'b\0']],
  ['upper case', [...PSEUDO, 'A', 'b']],
  ['transfer-encoding', [...PSEUDO, 'transfer-encoding', 'chunked']],
  ['two lengths', [...PSEUDO, 'content-length', '1', 'content-length', '1']],
  ['a pseudo field twice', [...PSEUDO, ':path', '/b']],
  ['te besides trailers', [...PSEUDO, 'te', 'gzip']],
  ['a path that is a URL', [...PSEUDO.slice(0, 7), 'http://b.test/']],
])('%s is malformed', (_, raw) => {
  expect(() => read(raw)).toThrow(expect.objectContaining({ code: 'request-malformed' }) as Error);
});

test('a head over the limit is told so', () => {
  expect(() => read([...PSEUDO, 'a', 'b'.repeat(1000)])).toThrow(
    expect.objectContaining({ code: 'headers-too-large' }) as Error,
  );
});
