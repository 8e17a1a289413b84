import { expect, test } from 'vitest';
import { interleaved, overTarget } from './interleaved.ts';
import type { Target } from './target.ts';

function target(name: string): Target {
  return { name, port: 0, env: {}, pids: () => [], close: async () => undefined };
}

test('every second round goes backwards', async () => {
  const order: string[] = [];
  await interleaved([target('a'), target('b')], 2, async ({ name }, at) => order.push(`${name}${at}`));
  expect(order).toEqual(['a0', 'b0', 'b1', 'a1']);
});

test('a ratio is taken within its round, and rounds without a figure have none', () => {
  const rounds = new Map([
    ['a', [2, undefined, 9]],
    ['b', [1, 1, 3]],
  ]);
  expect(overTarget(rounds, 'a', 'b', (round) => round)).toEqual({ median: 2.5, min: 2, max: 3 });
  expect(overTarget(rounds, 'b', 'b', (round) => round)).toBeUndefined();
  expect(overTarget(rounds, 'a', 'missing', (round) => round)).toBeUndefined();
});
