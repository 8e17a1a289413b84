import { expect, test } from 'vitest';
import type { Ledger } from './ledger.ts';
import { tailLedger } from './tail.ts';
import type { TailOptions } from './tail.ts';
import { freshFile, open } from './testdata/folder.ts';
import { decision } from './testdata/sample.ts';

async function record(ledger: Ledger, from: number, to: number): Promise<void> {
  for (let at = from; at <= to; at += 1) await ledger.record(decision(`c${at}`));
}

const seqOf = (line: string): number => (JSON.parse(line) as { seq: number }).seq;

async function seqs(file: string, options: TailOptions): Promise<number[]> {
  const found: number[] = [];
  for await (const line of tailLedger(file, options)) found.push(seqOf(line));
  return found;
}

test('the newest lines come in order, from rotated files where the current one is short', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 1500 });
  await record(ledger, 1, 10);
  const last = ledger.tip.seq;
  expect(await seqs(file, { lines: 1 })).toEqual([last]);
  expect(await seqs(file, { lines: 8 })).toEqual(Array.from({ length: 8 }, (_, at) => last - 7 + at));
  expect(await seqs(file, { lines: 0 })).toEqual([]);
  expect(await seqs(file, { lines: 1000 })).toEqual(Array.from({ length: last }, (_, at) => at + 1));
});

test('following shows each new line once, across rotations, and ends with the signal', async () => {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 4000 });
  await record(ledger, 1, 3);
  const stop = new AbortController();
  const found: number[] = [];
  for await (const line of tailLedger(file, { lines: 1, follow: true, signal: stop.signal })) {
    found.push(seqOf(line));
    if (found.length === 1) await record(ledger, 4, 12);
    if (found.at(-1) === ledger.tip.seq) stop.abort();
  }
  expect(ledger.tip.seq).toBeGreaterThan(12);
  expect(found).toEqual(Array.from({ length: ledger.tip.seq - 2 }, (_, at) => at + 3));
});

test('a ledger that is not there is an error, unless one waits for it', async () => {
  const file = freshFile();
  await expect(seqs(file, { lines: 1 })).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await seqs(file, { lines: 1, follow: true, signal: AbortSignal.abort() })).toEqual([]);
});
