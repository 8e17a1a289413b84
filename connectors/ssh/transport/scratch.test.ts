import { expect, test } from 'vitest';
import { Scratch } from './scratch.ts';

test('memory is freed once it was read, all of it is spent and every write has ended', () => {
  const memory = Buffer.alloc(100);
  const scratch = new Scratch(memory);
  scratch.spend(40);
  const [one, two] = [scratch.lend(30), scratch.lend(30)];
  one();
  expect(scratch.over()).toBe(0);
  expect(memory.length).toBe(100);
  two();
  expect(memory.length).toBe(0);
});

test('memory is not freed while it is read, nor while anybody may need a byte of it', () => {
  const memory = Buffer.alloc(100);
  const scratch = new Scratch(memory);
  scratch.lend(99)();
  expect(scratch.over()).toBe(100);
  expect(memory.length).toBe(100);
  const read = Buffer.alloc(100);
  const reading = new Scratch(read);
  reading.lend(100)();
  expect(read.length).toBe(100);
  expect(reading.over()).toBe(0);
  expect(read.length).toBe(0);
});

test('memory of a write that failed is not freed', () => {
  const memory = Buffer.alloc(100);
  const scratch = new Scratch(memory);
  const written = scratch.lend(100);
  scratch.over();
  written(new Error('gone'));
  expect(memory.length).toBe(100);
});
