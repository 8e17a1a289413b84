import { Ajv } from 'ajv';
import { expect, it } from 'vitest';
import { readBytes, readSeconds, Seconds, Size } from './quantity.ts';

const ajv = new Ajv({ strict: true, allowUnionTypes: true });

it('a span is seconds, or a number with its unit', () => {
  expect([10, 0.5, '500ms', '10s', '2m'].map(readSeconds)).toEqual([10, 0.5, 0.5, 10, 120]);
});

it('a size is bytes, or a number with its unit', () => {
  expect([10, '64KiB', '1MiB'].map(readBytes)).toEqual([10, 65_536, 1_048_576]);
});

it('what would mean no limit, or nothing, is refused', () => {
  const isSpan = ajv.compile(Seconds);
  const isSize = ajv.compile(Size);
  expect([10, '500ms', '2m'].every((span) => isSpan(span))).toBe(true);
  expect([0, -1, '0s', '10', 's', '10 s', '1h', '', null].some((span) => isSpan(span))).toBe(false);
  expect([1, '64KiB', '16MiB'].every((size) => isSize(size))).toBe(true);
  expect([0, 1.5, '0KiB', '64', '64kb', '17MiB', null].some((size) => isSize(size))).toBe(false);
});
