import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { realFileSystem } from './files.ts';
import { freshFile, open, readLines } from './testdata/folder.ts';
import { decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

async function write(file: string, from: number, to: number, rotateBytes = 1 << 20): Promise<void> {
  const ledger = await open(file, { rotateBytes });
  for (let at = from; at <= to; at += 1) await ledger.record(decision(`c${at}`));
  await ledger.close();
}

test('a restart goes on where the chain ended, in a new file too', async () => {
  const file = freshFile();
  await write(file, 1, 10, 2000);
  await write(file, 11, 20, 2000);
  expect(readLines(file).flatMap(({ id }) => (id === undefined ? [] : [id]))).toEqual(
    Array.from({ length: 20 }, (_, at) => `c${at + 1}`),
  );
  expect((await verifyLedger(file)).ok).toBe(true);
});

test('an unfinished last line is removed, and the next line says so', async () => {
  const file = freshFile();
  await write(file, 1, 3);
  const torn = fs.readFileSync(file, 'utf8').slice(0, 100);
  fs.appendFileSync(file, torn);
  await write(file, 4, 4);
  const lines = readLines(file);
  expect(lines.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  expect(lines[3]).toMatchObject({ type: 'ledger.recovered', removedBytes: 100 });
  expect((await verifyLedger(file)).ok).toBe(true);
});

test('only an unfinished first line: the ledger begins anew and says so', async () => {
  const file = freshFile();
  await (await open(file)).close();
  fs.appendFileSync(file, '{"time":"2026-');
  await write(file, 1, 1);
  expect(readLines(file)).toMatchObject([{ type: 'ledger.recovered', removedBytes: 14 }, { id: 'c1' }]);
  expect((await verifyLedger(file)).ok).toBe(true);
});

test('lines that a crash left behind the side file are kept', async () => {
  const file = freshFile();
  await write(file, 1, 3);
  const head = fs.readFileSync(`${file}.head`, 'utf8').replace('closed"}', 'open"}  ');
  await write(file, 4, 6);
  fs.writeFileSync(`${file}.head`, head);
  expect(await verifyLedger(file)).toMatchObject({ ok: true, last: 6 });
  await write(file, 7, 7);
  expect(readLines(file).map(({ type }) => type)).toEqual(Array.from({ length: 7 }, () => 'decision'));
  expect((await verifyLedger(file)).ok).toBe(true);
});

test('a restart does not hide that the newest lines were cut off', async () => {
  const file = freshFile();
  await write(file, 1, 5);
  fs.writeFileSync(
    file,
    fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, 3)
      .map((line) => `${line}\n`)
      .join(''),
  );
  await write(file, 6, 6);
  expect(readLines(file).map(({ seq }) => seq)).toEqual([1, 2, 3, 6, 7]);
  expect(readLines(file)[3]).toMatchObject({ type: 'ledger.recovered', lost: { first: 4, last: 5 } });
  expect((await verifyLedger(file)).problems).toMatchObject([{ line: 4, kind: 'lost' }]);
});

test('a restart does not hide that the last line was edited', async () => {
  const file = freshFile();
  await write(file, 1, 3);
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('"c3"', '"c4"'));
  await write(file, 4, 4);
  expect((await verifyLedger(file)).problems).toMatchObject([{ kind: 'edited' }]);
  expect(readLines(file)[3]).toMatchObject({ type: 'ledger.recovered', reason: 'the last line was changed' });
});

test('a restart does not hide that all files are gone', async () => {
  const file = freshFile();
  await write(file, 1, 5);
  fs.unlinkSync(file);
  await write(file, 6, 6);
  expect(readLines(file)[0]).toMatchObject({ seq: 6, type: 'ledger.recovered', lost: { first: 1, last: 5 } });
  expect((await verifyLedger(file)).problems).toMatchObject([{ line: 1, kind: 'lost' }]);
});

test('a restart without the side file says so and goes on', async () => {
  const file = freshFile();
  await write(file, 1, 20, 2000);
  fs.unlinkSync(`${file}.head`);
  await write(file, 21, 21);
  expect(readLines(file).at(-2)).toMatchObject({ type: 'ledger.recovered' });
  expect(await verifyLedger(file)).toMatchObject({ ok: true, first: 1 });
});

test('a crash at any step of a rotation leaves a ledger that verifies and goes on', async () => {
  const interesting = ['renameSync', 'unlinkSync', 'openSync', 'closeSync', 'writeSync'] as const;
  for (let step = 1; ; step += 1) {
    const file = freshFile();
    await write(file, 1, 24, 2000);
    let steps = Number.NEGATIVE_INFINITY;
    const dead = (): boolean => (steps += 1) >= step;
    const fileSystem = { ...realFileSystem };
    for (const name of interesting) {
      const real = fs[name] as (...all: unknown[]) => unknown;
      Object.assign(fileSystem, {
        [name]: (...all: unknown[]): unknown => {
          if (dead()) throw new Error('the process has ended here');
          return real(...all);
        },
      });
    }
    const ledger = await open(file, { rotateBytes: 1, keep: 2, fileSystem });
    steps = 0;
    const survived = await ledger.record(decision('rotates')).then(
      () => true,
      () => false,
    );
    const copy = freshFile();
    fs.cpSync(dirname(file), dirname(copy), { recursive: true, filter: (path) => !path.endsWith('.lock') });
    steps = Number.NEGATIVE_INFINITY;
    expect(await verifyLedger(copy), `after step ${step}`).toMatchObject({ ok: true });
    await write(copy, 100, 101);
    expect(await verifyLedger(copy), `after step ${step}`).toMatchObject({ ok: true });
    if (survived) {
      expect(step).toBeGreaterThan(5);
      return;
    }
  }
});

test('restarting reads the end of the file, not the whole of it', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 64 << 20 });
  await Promise.all(Array.from({ length: 5000 }, (_, at) => ledger.record(decision(`c${at}`))));
  await ledger.close();
  let bytes = 0;
  const readSync = ((...all: Parameters<typeof fs.readSync>) => {
    const count = fs.readSync(...all);
    bytes += count;
    return count;
  }) as typeof fs.readSync;
  await open(file, { rotateBytes: 64 << 20, fileSystem: { ...realFileSystem, readSync } });
  expect(fs.statSync(file).size).toBeGreaterThan(1_000_000);
  expect(bytes).toBeLessThan(100_000);
});
