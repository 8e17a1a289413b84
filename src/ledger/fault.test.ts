import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { realFileSystem } from './files.ts';
import type { FileSystem } from './files.ts';
import type { LedgerHealth } from './ledger.ts';
import { freshFile, open, readLines } from './testdata/folder.ts';
import { closed, decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** Time stands still but for what the test lets pass; turns of the event loop go on. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made up`), { code });
}

/** A disk that takes `room` more bytes of lines; the side file always fits. */
function smallDisk(): { room: number; fileSystem: FileSystem } {
  const disk = { room: Number.POSITIVE_INFINITY, fileSystem: { ...realFileSystem } };
  disk.fileSystem.writeSync = ((fd: number, bytes: Uint8Array, offset: number, length: number, at?: number) => {
    if (at !== undefined) return fs.writeSync(fd, bytes, offset, length, at);
    if (disk.room === 0) throw systemError('ENOSPC');
    const count = fs.writeSync(fd, bytes, offset, Math.min(length, disk.room));
    disk.room -= count;
    return count;
  }) as FileSystem['writeSync'];
  return disk;
}

test('a full disk refuses uses with the reason, keeps ends, leaves no half line and recovers by itself', async () => {
  stopTime();
  const file = freshFile();
  const disk = smallDisk();
  const seen: LedgerHealth[] = [];
  const ledger = await open(file, { fileSystem: disk.fileSystem, onHealth: (health) => seen.push(health) });
  await ledger.record(decision('c1'));
  const { size } = fs.statSync(file);
  disk.room = 100;
  await expect(ledger.record(decision('c2'))).rejects.toMatchObject({
    code: 'ledger-unavailable',
    status: 503,
    detail: 'ENOSPC: made up',
  });
  expect(fs.statSync(file).size).toBe(size);
  ledger.note(closed('c1'));
  await expect(ledger.record(decision('c3'))).rejects.toMatchObject({ code: 'ledger-unavailable' });
  expect(ledger.health).toEqual({ ok: false, reason: 'ENOSPC: made up', lag: 1, dropped: 0 });
  vi.advanceTimersByTime(10_000);
  expect(ledger.health.ok).toBe(false);
  disk.room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(250);
  expect(ledger.health).toEqual({ ok: true, lag: 0, dropped: 0 });
  await ledger.record(decision('c4'));
  expect(readLines(file)).toMatchObject([
    { id: 'c1', type: 'decision' },
    { type: 'ledger.recovered', reason: 'ENOSPC: made up', refused: 2, dropped: 0 },
    { id: 'c1', type: 'connection.closed' },
    { id: 'c4' },
  ]);
  expect(seen.map(({ ok }) => ok)).toEqual([false, true]);
  await ledger.flush();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, last: 4 });
});

test('half a line that could not be cut off at once is cut off before the next one', async () => {
  stopTime();
  const file = freshFile();
  const disk = smallDisk();
  const ledger = await open(file, { fileSystem: disk.fileSystem });
  await ledger.record(decision('c1'));
  disk.room = 50;
  disk.fileSystem.ftruncateSync = () => {
    throw systemError('EIO');
  };
  await expect(ledger.record(decision('c2'))).rejects.toThrow();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, tornBytes: 50 });
  disk.room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(250);
  expect(ledger.health.ok).toBe(false);
  disk.fileSystem.ftruncateSync = fs.ftruncateSync;
  vi.advanceTimersByTime(250);
  await ledger.record(decision('c3'));
  expect(readLines(file).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  await ledger.flush();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, tornBytes: 0 });
});

test('short writes are continued', async () => {
  const file = freshFile();
  const fileSystem = { ...realFileSystem };
  fileSystem.writeSync = ((fd: number, bytes: Uint8Array, offset: number, length: number, at?: number) =>
    at === undefined
      ? fs.writeSync(fd, bytes, offset, Math.min(length, 7))
      : fs.writeSync(fd, bytes, offset, length, at)) as FileSystem['writeSync'];
  const ledger = await open(file, { fileSystem });
  await Promise.all(['c1', 'c2', 'c3'].map((id) => ledger.record(decision(id))));
  await ledger.flush();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, last: 3 });
});

test('ends beyond the bound of the queue are counted, in the health and in the ledger', async () => {
  stopTime();
  const file = freshFile();
  const disk = smallDisk();
  const ledger = await open(file, { fileSystem: disk.fileSystem, queueEvents: 10 });
  disk.room = 0;
  await expect(ledger.record(decision('c1'))).rejects.toThrow();
  for (let at = 0; at < 15; at += 1) ledger.note(closed(`e${at}`));
  expect(ledger.health).toMatchObject({ lag: 10, dropped: 5 });
  disk.room = Number.POSITIVE_INFINITY;
  vi.advanceTimersByTime(250);
  const lines = readLines(file);
  expect(lines[0]).toMatchObject({ type: 'ledger.recovered', refused: 1, dropped: 5 });
  expect(lines.slice(1).map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, at) => `e${at}`));
});

test('closing a ledger that cannot write says how much is lost, and frees the file', async () => {
  const file = freshFile();
  const disk = smallDisk();
  const ledger = await open(file, { fileSystem: disk.fileSystem });
  disk.room = 0;
  ledger.note(closed('c1'));
  await turn();
  ledger.note(closed('c2'));
  await expect(ledger.close()).rejects.toThrow(/2 events could not be written: ENOSPC/);
  const next = await open(file);
  await next.record(decision('c3'));
  expect(readLines(file).at(-1)).toMatchObject({ id: 'c3' });
});

test('after a failed sync the lines are cut off and not taken for durable', async () => {
  stopTime();
  const file = freshFile();
  const fileSystem: FileSystem = { ...realFileSystem };
  let broken = true;
  fileSystem.fdatasync = ((fd: number, done: fs.NoParamCallback) => {
    if (broken) setImmediate(() => done(systemError('EIO')));
    else fs.fdatasync(fd, done);
  }) as FileSystem['fdatasync'];
  const ledger = await open(file, { durability: 'fsync', fileSystem });
  const refused = ledger.record(decision('c1'));
  ledger.note(closed('c0'));
  await expect(refused).rejects.toMatchObject({ code: 'ledger-unavailable', detail: 'EIO: made up' });
  expect(fs.statSync(file).size).toBe(0);
  broken = false;
  vi.advanceTimersByTime(250);
  await vi.waitUntil(() => ledger.health.ok);
  await ledger.record(decision('c2'));
  expect(readLines(file)).toMatchObject([{ type: 'ledger.recovered', refused: 1 }, { id: 'c0' }, { id: 'c2' }]);
  await ledger.flush();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, last: 3 });
});

test('a sync that takes longer than a second refuses uses until it ends', async () => {
  stopTime();
  const file = freshFile();
  const fileSystem: FileSystem = { ...realFileSystem };
  let finish: (() => void) | undefined;
  let slow = true;
  fileSystem.fdatasync = ((fd: number, done: fs.NoParamCallback) => {
    if (slow) finish = () => fs.fdatasync(fd, done);
    else fs.fdatasync(fd, done);
  }) as FileSystem['fdatasync'];
  const ledger = await open(file, { durability: 'fsync', fileSystem });
  const first = expect(ledger.record(decision('c1'))).rejects.toThrow(/does not finish a sync/);
  await turn();
  const second = expect(ledger.record(decision('c2'))).rejects.toThrow(/does not finish a sync/);
  vi.advanceTimersByTime(999);
  expect(ledger.health.ok).toBe(true);
  vi.advanceTimersByTime(1);
  await Promise.all([first, second]);
  await expect(ledger.record(decision('c3'))).rejects.toThrow(/does not finish a sync/);
  slow = false;
  finish?.();
  await vi.waitUntil(() => ledger.health.ok);
  await ledger.record(decision('c4'));
  expect(readLines(file)).toMatchObject([{ id: 'c1' }, { type: 'ledger.recovered', refused: 3 }, { id: 'c4' }]);
  await ledger.flush();
  expect((await verifyLedger(file)).ok).toBe(true);
});

test.each(['unlinked', 'moved', 'replaced'] as const)(
  'a file that was %s is noticed within a second, and the new one says what is lost',
  async (how) => {
    stopTime();
    const file = freshFile();
    const ledger = await open(file);
    for (const id of ['c1', 'c2', 'c3']) await ledger.record(decision(id));
    if (how === 'unlinked') fs.unlinkSync(file);
    else fs.renameSync(file, `${file}.away`);
    if (how === 'replaced') fs.writeFileSync(file, '');
    vi.advanceTimersByTime(1000);
    await ledger.record(decision('c4'));
    expect(readLines(file)).toMatchObject([
      { seq: 4, type: 'ledger.recovered', lost: { first: 1, last: 3 } },
      { seq: 5, id: 'c4' },
    ]);
    await ledger.flush();
    expect((await verifyLedger(file)).problems).toMatchObject([{ line: 1, kind: 'lost' }]);
  },
);

test('a file that was cut while it was open is noticed, and the next line says what is lost', async () => {
  stopTime();
  const file = freshFile();
  const ledger = await open(file);
  for (const id of ['c1', 'c2', 'c3']) await ledger.record(decision(id));
  fs.truncateSync(file, fs.statSync(file).size - 10);
  vi.advanceTimersByTime(1000);
  await ledger.record(decision('c4'));
  expect(readLines(file).map(({ seq }) => seq)).toEqual([1, 2, 4, 5]);
  expect(readLines(file)[2]).toMatchObject({
    type: 'ledger.recovered',
    lost: { first: 3, last: 3 },
    reason: 'the file changed its size',
  });
});

test('a side file that vanished is made again, and the ledger says so', async () => {
  stopTime();
  const file = freshFile();
  const ledger = await open(file);
  await ledger.record(decision('c1'));
  fs.unlinkSync(`${file}.head`);
  vi.advanceTimersByTime(1000);
  await ledger.flush();
  expect(readLines(file)[1]).toMatchObject({ type: 'ledger.recovered', reason: 'the side file vanished' });
  expect((await verifyLedger(file)).ok).toBe(true);
});

test('a folder that vanished refuses uses until it is back', async () => {
  stopTime();
  const file = freshFile();
  const ledger = await open(file);
  await ledger.record(decision('c1'));
  fs.rmSync(dirname(file), { recursive: true });
  vi.advanceTimersByTime(1000);
  await expect(ledger.record(decision('c2'))).rejects.toMatchObject({ code: 'ledger-unavailable' });
  fs.mkdirSync(dirname(file));
  vi.advanceTimersByTime(250);
  await ledger.record(decision('c3'));
  expect(readLines(file)[0]).toMatchObject({ seq: 2, type: 'ledger.recovered', lost: { first: 1, last: 1 } });
});
