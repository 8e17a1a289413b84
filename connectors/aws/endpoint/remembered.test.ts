import { expect, test } from 'vitest';
import { remembered } from './remembered.ts';

test('what was found is found once, whether it is something or not', () => {
  const asked: string[] = [];
  const find = remembered(8, (text) => {
    asked.push(text);
    return text === 'none' ? undefined : text.length;
  });
  expect([find('one'), find('one'), find('none'), find('none')]).toEqual([3, 3, undefined, undefined]);
  expect(asked).toEqual(['one', 'none']);
});

test('no more is kept than is allowed', () => {
  let asked = 0;
  const find = remembered(2, (text) => {
    asked += 1;
    return text;
  });
  for (const text of ['a', 'b', 'c', 'a', 'a']) expect(find(text)).toBe(text);
  expect(asked).toBe(4);
});
