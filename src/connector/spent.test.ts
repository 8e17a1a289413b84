import { expect, test } from 'vitest';
import { freeSpent, isWhole } from './spent.ts';

test('memory that holds something else too is not freed', () => {
  const whole = Buffer.alloc(100, 7);
  freeSpent(whole.subarray(10));
  expect(whole.equals(Buffer.alloc(100, 7))).toBe(true);
  freeSpent(whole);
  expect(whole.length).toBe(0);
});

test('memory that other threads may see is not freed', () => {
  const shared = Buffer.from(new SharedArrayBuffer(100));
  freeSpent(shared);
  expect(shared.length).toBe(100);
});

test('a buffer is whole where it has its memory for itself', () => {
  expect([Buffer.alloc(10), Buffer.from('pooled'), Buffer.alloc(0)].map(isWhole)).toEqual([true, false, false]);
});
