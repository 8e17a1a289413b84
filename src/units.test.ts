import { expect, test } from 'vitest';
import { parseDuration, parseSize } from './units.ts';

test.each([
  ['5s', 5],
  ['500ms', 0.5],
  ['5m', 300],
  ['1h', 3600],
  ['1h30m', 5400],
  ['0s', 0],
  ['1.5s', 1.5],
  ['24h', 86400],
])('%s is %d seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(['', '5', 's', '-5s', '5 s', '5d', '25h', '1e3s', '5S', '5s\n', '99999999h'])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  ['32KiB', 32768],
  ['50MB', 50_000_000],
  ['1GiB', 2 ** 30],
  ['7B', 7],
  ['4096', 4096],
  [4096, 4096],
])('%s is %d bytes', (size, bytes) => {
  expect(parseSize(size)).toBe(bytes);
});

test.each(['', 'KiB', '-1', '1.5MiB', '1kb', '1 KiB', '999999999999GiB', -1, 1.5])('%j is no size', (size) => {
  expect(parseSize(size)).toBeUndefined();
});
