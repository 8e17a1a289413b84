import { expect, test } from 'vitest';
import { percentile, spread } from './statistics.ts';

test('a spread is the median with the lowest and the highest', () => {
  expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(spread([4, undefined, 2])).toEqual({ median: 3, min: 2, max: 4 });
  expect(spread([undefined])).toBeUndefined();
});

test('a percentile is the value that so many do not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, at) => at + 1);
  expect(percentile(hundred, 0.5)).toBe(50);
  expect(percentile(hundred, 0.99)).toBe(99);
  expect(percentile([7], 0.99)).toBe(7);
});
