import { expect, test } from 'vitest';
import { distance, nearest } from './nearest.ts';

test.each([
  ['', 'abc', 3],
  ['listenOn', 'listenOn', 0],
  ['listenOm', 'listenOn', 1],
  ['lsitenOn', 'listenOn', 1],
  ['kitten', 'sitting', 3],
])('from %j to %j it is %d', (a, b, expected) => {
  expect(distance(a, b)).toBe(expected);
  expect(distance(b, a)).toBe(expected);
});

test('the nearest word is offered, a far one is not', () => {
  expect(nearest('listen_on', ['listenOn', 'target'])).toBe('listenOn');
  expect(nearest('LISTENON', ['listenOn', 'target'])).toBe('listenOn');
  expect(nearest('zebra', ['listenOn', 'target'])).toBeUndefined();
  expect(nearest('x'.repeat(5000), ['listenOn'])).toBeUndefined();
});

test('a word that is known to be taken for another is translated', () => {
  expect(nearest('credentialPatterns', ['headers', 'credentialValidations'])).toBe('credentialValidations');
  expect(nearest('constructor', ['headers'])).toBeUndefined();
});
