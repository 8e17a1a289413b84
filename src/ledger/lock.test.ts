import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { Lock } from './lock.ts';
import { freshFile } from './testdata/folder.ts';

function lockPath(): string {
  const path = `${freshFile()}.lock`;
  fs.mkdirSync(dirname(path));
  return path;
}

const ownerIn = (path: string): { pid: number } => JSON.parse(fs.readFileSync(path, 'utf8')) as { pid: number };

test('a lock is had once, also within one process', async () => {
  const path = lockPath();
  const lock = await Lock.acquire(path);
  await expect(Lock.acquire(path)).rejects.toMatchObject({ code: 'ledger-unavailable' });
  expect(lock.renew()).toBe(true);
  lock.release();
  expect(fs.existsSync(path)).toBe(false);
  (await Lock.acquire(path)).release();
});

test('a lock of a process that has ended is taken over', async () => {
  const path = lockPath();
  await Lock.acquire(path);
  // Above every pid limit of Linux (PID_MAX_LIMIT, 2^22).
  fs.writeFileSync(path, JSON.stringify({ ...ownerIn(path), pid: 2 ** 22 + 1 }));
  const lock = await Lock.acquire(path);
  expect(ownerIn(path).pid).toBe(process.pid);
  expect(lock.renew()).toBe(true);
  expect(fs.readdirSync(dirname(path))).toEqual(['ledger.jsonl.lock']);
});

test.skipIf(process.platform !== 'linux')(
  'a pid that is used again by another process does not keep the lock',
  async () => {
    const path = lockPath();
    await Lock.acquire(path);
    fs.writeFileSync(path, JSON.stringify({ ...ownerIn(path), started: '1' }));
    (await Lock.acquire(path)).release();
  },
);

test('a lock from elsewhere is taken over only when nobody touches it', async () => {
  const path = lockPath();
  const first = await Lock.acquire(path);
  fs.writeFileSync(path, JSON.stringify({ ...ownerIn(path), space: 'another container' }));
  const touching = setInterval(() => first.renew(), 20);
  await expect(Lock.acquire(path, { watchMs: 500 })).rejects.toMatchObject({ code: 'ledger-unavailable' });
  clearInterval(touching);
  const second = await Lock.acquire(path, { watchMs: 500 });
  expect(first.renew()).toBe(false);
  expect(second.renew()).toBe(true);
});

test('a lock file that is empty or not ours is treated as one from elsewhere', async () => {
  const path = lockPath();
  for (const text of ['', '{}', 'x', '{"pid":0,"started":"","space":"","token":""}']) {
    fs.writeFileSync(path, text);
    (await Lock.acquire(path, { watchMs: 10 })).release();
  }
});

test('a lock that was made while a stale one was judged is put back', async () => {
  const path = lockPath();
  fs.writeFileSync(path, '');
  const late = Lock.acquire(path, { watchMs: 250 });
  // The watch ends with a look at the time alone, so another lock with the same time is what it then finds.
  const { atime, mtime } = fs.statSync(path);
  fs.writeFileSync(path, '{"made":"meanwhile"}');
  fs.utimesSync(path, atime, mtime);
  await expect(late).rejects.toMatchObject({ code: 'ledger-unavailable' });
  expect(fs.readFileSync(path, 'utf8')).toBe('{"made":"meanwhile"}');
  expect(fs.readdirSync(dirname(path))).toHaveLength(1);
});

test('a lock that was deleted is made again, and one that was lost is not removed at the end', async () => {
  const path = lockPath();
  const first = await Lock.acquire(path);
  fs.unlinkSync(path);
  expect(first.renew()).toBe(true);
  expect(fs.existsSync(path)).toBe(true);
  fs.unlinkSync(path);
  const second = await Lock.acquire(path);
  expect(first.renew()).toBe(false);
  first.release();
  expect(fs.existsSync(path)).toBe(true);
  second.release();
});
