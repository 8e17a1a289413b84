import { expect, test } from 'vitest';
import { fuzz } from './testdata/fuzz.ts';

const MESSAGES = 1_000_000;

test(`${MESSAGES} mutated messages of downstreams pass nothing that policy did not say yes to`, async () => {
  const { passed, faults, harm, left } = await fuzz('down', MESSAGES, 20_261_122);
  expect(harm).toBeUndefined();
  expect([...faults].sort()).toEqual(['none', 'protocol']);
  expect(left).toBe(0);
  expect(passed).toBeGreaterThan(MESSAGES / 10);
}, 600_000);
