import { PerformanceObserver, constants, type PerformanceEntry } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BYTES_BETWEEN_COLLECTIONS, YoungGeneration } from './young-generation.ts';

test('one collection follows each 8 MiB of bodies, however they are cut', () => {
  let collections = 0;
  const young = new YoungGeneration(() => (collections += 1));
  young.passed(BYTES_BETWEEN_COLLECTIONS - 1);
  expect(collections).toBe(0);
  young.passed(1);
  expect(collections).toBe(1);
  for (let at = 0; at < 256; at += 1) young.passed(64 * 1024);
  expect(collections).toBe(3);
});

test('the collection is a minor one of the real heap, and gc stays invisible', async () => {
  const kinds: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      kinds.push((entry as PerformanceEntry & { detail: { kind: number } }).detail.kind);
  });
  observer.observe({ entryTypes: ['gc'] });
  new YoungGeneration().passed(BYTES_BETWEEN_COLLECTIONS);
  await pause(50);
  observer.disconnect();
  expect(kinds).toContain(constants.NODE_PERFORMANCE_GC_MINOR);
  expect('gc' in globalThis).toBe(process.execArgv.includes('--expose-gc'));
});
