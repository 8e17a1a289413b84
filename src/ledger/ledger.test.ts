import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { realFileSystem } from './files.ts';
import type { FileSystem } from './files.ts';
import { freshFile, open, readLines } from './testdata/folder.ts';
import { closed, decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

const modeOf = (path: string): number => fs.statSync(path).mode & 0o777;

test('an event is in the file when record resolves', async () => {
  const file = freshFile();
  const ledger = await open(file);
  await ledger.record(decision('c1'));
  expect(readLines(file)).toMatchObject([{ seq: 1, type: 'decision', id: 'c1', prev: '0'.repeat(64) }]);
  expect(ledger.tip.seq).toBe(1);
});

test('files are private and so is a folder that had to be made', async () => {
  const file = freshFile();
  const before = process.umask(0);
  try {
    await open(file);
  } finally {
    process.umask(before);
  }
  expect([file, `${file}.head`, `${file}.lock`].map(modeOf)).toEqual([0o600, 0o600, 0o600]);
  expect(modeOf(dirname(file))).toBe(0o700);
});

test('a file that others could read is made private when it is opened', async () => {
  const file = freshFile();
  await (await open(file)).close();
  fs.chmodSync(file, 0o644);
  await open(file);
  expect(modeOf(file)).toBe(0o600);
});

test('events of one turn of the event loop go out in one write', async () => {
  const file = freshFile();
  let writes = 0;
  const writeSync = ((fd: number, bytes: Uint8Array, offset: number, length: number, at?: number) => {
    // Only the side file is written at a position.
    if (at === undefined) writes += 1;
    return fs.writeSync(fd, bytes, offset, length, at);
  }) as FileSystem['writeSync'];
  const ledger = await open(file, { fileSystem: { ...realFileSystem, writeSync } });
  await Promise.all([ledger.record(decision('c1')), ledger.record(decision('c2')), ledger.record(decision('c3'))]);
  expect(writes).toBe(1);
  await ledger.record(decision('c4'));
  expect(writes).toBe(2);
});

test.each(['write', 'fsync'] as const)(
  '10,000 events of many callers keep their order and the chain (%s)',
  async (durability) => {
    const file = freshFile();
    const ledger = await open(file, { durability, rotateBytes: 64 << 20 });
    const handedOver: string[] = [];
    const recorded = new Map<string, number>();
    const call = async (caller: number): Promise<void> => {
      for (let count = 0; count < 100; count += 1) {
        const id = `${caller}-${count}`;
        handedOver.push(id);
        if (count % 10 === 9) ledger.note(closed(id));
        else await ledger.record(decision(id));
        recorded.set(id, ledger.tip.seq);
        if (caller % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(Array.from({ length: 100 }, (_, caller) => call(caller)));
    await ledger.flush();
    const lines = readLines(file);
    expect(lines.map(({ id }) => id)).toEqual(handedOver);
    for (const { id, seq, type } of lines)
      if (type === 'decision') expect(recorded.get(id as string)).toBeGreaterThanOrEqual(seq);
    expect(await verifyLedger(file)).toMatchObject({ ok: true, lines: 10_000, first: 1, last: 10_000 });
  },
);

test('rotation under load breaks no chain and loses no line', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 20_000, keep: 1000 });
  await Promise.all(Array.from({ length: 5000 }, (_, at) => ledger.record(decision(`c${at}`))));
  await ledger.flush();
  const lines = readLines(file);
  expect(lines.filter(({ type }) => type === 'decision')).toHaveLength(5000);
  const rotated = lines.filter(({ type }) => type === 'ledger.rotated');
  expect(rotated.length).toBeGreaterThan(20);
  for (const { seq, prev, previous } of rotated) expect(previous).toEqual({ seq: seq - 1, hash: prev });
  expect(await verifyLedger(file)).toMatchObject({ ok: true, files: { length: rotated.length + 1 } });
});

test('only as many rotated files are kept as asked, and what is left verifies', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 2000, keep: 2 });
  for (let at = 0; at < 100; at += 1) await ledger.record(decision(`c${at}`));
  await ledger.close();
  expect(fs.readdirSync(dirname(file)).sort()).toEqual([
    'ledger.jsonl',
    'ledger.jsonl.1',
    'ledger.jsonl.2',
    'ledger.jsonl.head',
  ]);
  const report = await verifyLedger(file);
  expect(report).toMatchObject({ ok: true, problems: [] });
  expect(report.first).toBeGreaterThan(50);
  expect(report.removed).toEqual({ first: 1, last: report.first! - 1 });
});

test('a running ledger can be verified at any time', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 200_000, keep: 4 });
  let running = true;
  const load = async (): Promise<void> => {
    while (running) await ledger.record(decision('c'));
  };
  const work = Promise.all(Array.from({ length: 20 }, load));
  for (let round = 0; round < 20; round += 1)
    expect(await verifyLedger(file)).toMatchObject({ ok: true, problems: [] });
  running = false;
  await work;
});

test('a closed ledger takes no more', async () => {
  const ledger = await open(freshFile());
  ledger.note(closed('c1'));
  await ledger.close();
  expect(ledger.tip.seq).toBe(1);
  await expect(ledger.record(decision('c2'))).rejects.toMatchObject({ code: 'ledger-unavailable' });
});

test('a link or a folder is not written to as if it were the ledger', async () => {
  const file = freshFile();
  fs.mkdirSync(dirname(file));
  fs.writeFileSync(`${file}.elsewhere`, '');
  fs.symlinkSync(`${file}.elsewhere`, file);
  await expect(open(file)).rejects.toMatchObject({ code: 'ledger-unavailable' });
  fs.mkdirSync(`${file}.folder`);
  await expect(open(`${file}.folder`)).rejects.toMatchObject({ code: 'ledger-unavailable' });
  expect(fs.readdirSync(dirname(file)).filter((name) => /head|lock/.test(name))).toEqual([]);
});

test('a file that is not a ledger is left alone', async () => {
  const file = freshFile();
  fs.mkdirSync(dirname(file));
  for (const text of ['root:x:0:0\n', 'no newline']) {
    fs.writeFileSync(file, text);
    await expect(open(file)).rejects.toThrow(/is not a ledger/);
    expect(fs.readFileSync(file, 'utf8')).toBe(text);
  }
});
