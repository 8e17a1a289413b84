import { expect, test } from 'vitest';
import { SigningProblem } from './problem.ts';
import { canonicalQuery, parseQuery, splitTarget } from './query.ts';

const canonical = (raw: string): string => canonicalQuery(parseQuery(raw));

test.each([
  ['', ''],
  ['prefix=a+b', 'prefix=a%20b'],
  ['prefix=a%2Bb', 'prefix=a%2Bb'],
  ['uploads', 'uploads='],
  ['uploads=', 'uploads='],
  ['b=2&a=1', 'a=1&b=2'],
  ['a=2&a=1&a=', 'a=&a=1&a=2'],
  ['a-=1&a=2', 'a=2&a-=1'],
  ['k=a=b', 'k=a%3Db'],
  ['k=%c3%a9', 'k=%C3%A9'],
  ['k=\xe9', 'k=%E9'],
  ['k=~*%2f', 'k=~%2A%2F'],
  ['=v', '=v'],
  ['a=1&&b=2&', 'a=1&b=2'],
  ['a=1;b=2', 'a=1%3Bb%3D2'],
])('P15: the query %j is signed and sent as %j', (raw, wanted) => {
  expect(canonical(raw)).toBe(wanted);
  expect(canonical(wanted)).toBe(wanted);
});

test('P15: a percent sign that escapes nothing is refused', () => {
  for (const raw of ['k=100%', '%=v', 'k=%g0']) expect(() => canonical(raw)).toThrow(SigningProblem);
});

test('only the first question mark ends the path', () => {
  expect(splitTarget('/a?b?c')).toEqual({ path: '/a', query: 'b?c' });
  expect(splitTarget('/a')).toEqual({ path: '/a', query: '' });
});
