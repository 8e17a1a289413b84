import { expect, test } from 'vitest';
import { FreshCache, type Perishable } from './fresh-cache.ts';

interface Made extends Perishable {
  readonly key: string;
}

function counting(max: number, fails: () => boolean = () => false) {
  const made: string[] = [];
  const cache = new FreshCache<Made>(
    max,
    () => new Date(0),
    async (key) => {
      made.push(key);
      await Promise.resolve();
      if (fails()) throw new Error('not today');
      return { key, renewAt: 1 };
    },
  );
  return { cache, made };
}

test('the ones used last are kept, and no more than the bound', async () => {
  const { cache, made } = counting(3);
  for (const key of ['a', 'b', 'c', 'a', 'd', 'a', 'c', 'd']) await cache.get(key);
  expect(made).toEqual(['a', 'b', 'c', 'd']);
  // The one used longest ago had gone.
  await cache.get('b');
  expect(made).toEqual(['a', 'b', 'c', 'd', 'b']);
});

test('a failure reaches all who asked, is not kept, and does not stand in the way of the next', async () => {
  let fails = true;
  const { cache, made } = counting(3, () => fails);
  const asked = await Promise.allSettled([cache.get('a'), cache.get('a'), cache.get('a')]);
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(made).toEqual(['a']);
  fails = false;
  expect(await cache.get('a')).toMatchObject({ key: 'a' });
});
