import { expect, test } from 'vitest';
import { Recollections } from './recollections.ts';

const KEY = Buffer.from([1, 2, 3, 0xff]);
const THERE = { value: 'v', peer: { host: '127.0.0.1', port: 5432 } };

test('a key is found by the same service only, and until it is forgotten', () => {
  const recollections = new Recollections();
  const forget = recollections.remember('orders', KEY, THERE);
  expect(recollections.recall('orders', Buffer.from(KEY))).toBe(THERE);
  expect(recollections.recall('billing', KEY)).toBeUndefined();
  expect(recollections.recall('orders', KEY.subarray(1))).toBeUndefined();
  forget();
  expect(recollections.recall('orders', KEY)).toBeUndefined();
});

test('a key that was given out again belongs to the newer connection', () => {
  const recollections = new Recollections();
  const forgetOld = recollections.remember('orders', KEY, { ...THERE, value: 'old' });
  recollections.remember('orders', KEY, THERE);
  forgetOld();
  expect(recollections.recall('orders', KEY)).toBe(THERE);
});

test('64 of a service may act at a time; one that ends, however often it says so, makes room for one', () => {
  const recollections = new Recollections();
  const ends = Array.from({ length: 64 }, () => recollections.begin('orders'));
  expect(ends).not.toContain(undefined);
  expect(recollections.begin('orders')).toBeUndefined();
  expect(recollections.begin('billing')).toBeDefined();
  ends[0]!();
  ends[0]!();
  expect(recollections.begin('orders')).toBeDefined();
  expect(recollections.begin('orders')).toBeUndefined();
});
