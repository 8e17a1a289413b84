import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { pinRunning, placeProcesses } from './cpu.ts';

test('two processors: the proxy under test has one of its own', () => {
  const { load, upstream, proxy } = placeProcesses([2, 5], true);
  expect([load, upstream, proxy].map(({ prefix }) => prefix[2])).toEqual(['2', '2', '5']);
});

test('more processors: all three apart', () => {
  const { load, upstream, proxy } = placeProcesses([0, 1, 2, 3], true);
  expect([load, upstream, proxy].map(({ prefix }) => prefix[2])).toEqual(['0', '1', '2,3']);
});

test('nothing is pinned where it cannot be, and the reader is told why', () => {
  expect(placeProcesses([0, 1], false)).toMatchObject({
    proxy: { prefix: [] },
    words: 'nothing pinned (no taskset on this system)',
  });
  expect(placeProcesses([0], true).words).toBe('nothing pinned (one processor only)');
});

test('a process that runs already is pinned', () => {
  const { proxy, words } = placeProcesses();
  if (words.startsWith('nothing pinned')) return;
  const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill());
  pinRunning(proxy, [child.pid!]);
  const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
  expect(allowed).toBe(proxy.prefix[2]);
});
