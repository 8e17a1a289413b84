import { describe, expect, test } from 'vitest';
import type { DecisionEvent } from './event.ts';
import { Folding } from './fold.ts';
import { freshFile, open, readLines } from './testdata/folder.ts';
import { closed, decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

const denied = (at: number, more: Partial<DecisionEvent> = {}): DecisionEvent =>
  decision(`c1-${at}`, { result: 'deny', reason: 'policy-denied: no rule', credentials: undefined, ...more });

/** Lines written of `count` events at one instant, and what is due a second later. */
async function fold(
  count: number,
  make: (at: number) => DecisionEvent,
): Promise<{ written: number; counts: unknown[] }> {
  const folding = new Folding();
  let written = 0;
  const write = (): Promise<void> => ((written += 1), Promise.resolve());
  for (let at = 0; at < count; at += 1) await folding.take(make(at), 5000, write);
  expect(folding.due(5999)).toEqual([]);
  return { written, counts: folding.due(6000).map((event) => event.count) };
}

describe('of refusals in one second', () => {
  test('the first twenty have a line each and the others one together', async () => {
    expect(await fold(20, denied)).toEqual({ written: 20, counts: [] });
    expect(await fold(21, denied)).toEqual({ written: 20, counts: [1] });
    expect(await fold(5000, denied)).toEqual({ written: 20, counts: [4980] });
    expect(await fold(25, (at) => denied(at, { result: 'error' }))).toEqual({ written: 20, counts: [5] });
  });

  test('method, path and upstream make no difference, since the client chooses them', async () => {
    const make = (at: number) => denied(at, { method: `M${at}`, path: `/${at}`, upstream: `https://${at}.test` });
    expect(await fold(100, make)).toEqual({ written: 20, counts: [80] });
  });

  test.each<[string, (at: number) => Partial<DecisionEvent>]>([
    ['connection', (at) => ({ id: `c${at}-1` })],
    ['service', (at) => ({ service: `s${at}` })],
    ['rule', (at) => ({ rule: `r${at}` })],
    ['reason', (at) => ({ reason: `r${at}` })],
    ['principal', (at) => ({ principal: { agent: `a${at}`, attested: 'listener' } })],
  ])('those of another %s are another kind', async (_, more) => {
    expect(await fold(100, (at) => denied(at, more(at)))).toEqual({ written: 100, counts: [] });
  });

  test('what is allowed and what is no decision is never folded', async () => {
    expect(await fold(1000, (at) => decision(`c1-${at}`))).toEqual({ written: 1000, counts: [] });
    expect(await fold(1000, () => closed('c1') as never)).toEqual({ written: 1000, counts: [] });
  });

  test('the kinds watched are bounded: those beyond get a line each', async () => {
    const make = (at: number) => denied(at, at < 10_000 ? { rule: `r${at}` } : { rule: 'one more' });
    expect(await fold(10_100, make)).toEqual({ written: 10_100, counts: [] });
  });

  test('a clock that was put back ends the second', () => {
    const folding = new Folding();
    for (let at = 0; at < 30; at += 1) void folding.take(denied(at), 5000, () => Promise.resolve());
    expect(folding.due(4000).map(({ count }) => count)).toEqual([10]);
  });
});

describe('in the ledger', () => {
  test('a flood of refusals leaves the uses before it in the files', async () => {
    const file = freshFile();
    let nowMs = Date.UTC(2026, 0, 1);
    const ledger = await open(file, { rotateBytes: 100_000, keep: 1, now: () => nowMs });
    await ledger.record(decision('use'));
    for (let at = 0; at < 20_000; at += 1) {
      nowMs += at % 1000 === 0 ? 250 : 0;
      await ledger.record(denied(at, { path: `/${'x'.repeat(30_000)}` }));
    }
    await ledger.close();
    const lines = readLines(file);
    expect(lines[0]).toMatchObject({ seq: 1, id: 'use', result: 'allow' });
    const refusals = lines.filter(({ result }) => result === 'deny').map(({ count }) => (count ?? 1) as number);
    expect(refusals.reduce((sum, count) => sum + count, 0)).toBe(20_000);
    expect(refusals.length).toBeLessThan(200);
    expect(await verifyLedger(file)).toMatchObject({ ok: true });
  });

  test('the line of the others names the last of them and how many they are, and comes when the second is over', async () => {
    const file = freshFile();
    let nowMs = Date.UTC(2026, 0, 1);
    const ledger = await open(file, { now: () => nowMs });
    for (let at = 1; at <= 25; at += 1) await ledger.record(denied(at));
    expect(readLines(file)).toHaveLength(20);
    nowMs += 1000;
    await ledger.record(denied(26));
    const [others, next] = readLines(file).slice(20);
    expect(others).toMatchObject({ type: 'decision', id: 'c1-25', result: 'deny', count: 5, rule: 'read-orders' });
    expect(next).toMatchObject({ id: 'c1-26' });
    expect(next).not.toHaveProperty('count');
  });

  test('it comes also where nothing else happens', async () => {
    const file = freshFile();
    const ledger = await open(file);
    for (let at = 1; at <= 25; at += 1) await ledger.record(denied(at));
    await expect.poll(() => readLines(file).at(-1)?.['count'], { timeout: 5000 }).toBe(5);
  });

  test('a flush and a close write what is folded until then', async () => {
    const file = freshFile();
    const ledger = await open(file, { now: () => 0 });
    for (let at = 1; at <= 25; at += 1) await ledger.record(denied(at));
    await ledger.flush();
    expect(readLines(file).at(-1)).toMatchObject({ id: 'c1-25', count: 5 });
    await ledger.record(denied(26));
    await ledger.close();
    expect(readLines(file).at(-1)).toMatchObject({ id: 'c1-26', count: 1 });
    expect(await verifyLedger(file)).toMatchObject({ ok: true, lines: 22 });
  });

  test('a first that could not be recorded stands for no other', async () => {
    const folding = new Folding();
    await expect(folding.take(denied(0), 0, () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    let written = 0;
    for (let at = 1; at <= 30; at += 1) await folding.take(denied(at), 0, async () => void (written += 1));
    expect(written).toBe(20);
  });

  test('a folded refusal waits for the first of its kind and for nothing else', async () => {
    const folding = new Folding();
    let tellFirst = (): void => undefined;
    const first = new Promise<void>((resolve) => (tellFirst = resolve));
    let isDone = false;
    for (let at = 0; at < 20; at += 1) void folding.take(denied(at), 0, () => (at === 0 ? first : Promise.resolve()));
    const folded = folding.take(denied(20), 0, () => Promise.reject(new Error('written'))).then(() => (isDone = true));
    await Promise.resolve();
    expect(isDone).toBe(false);
    tellFirst();
    await folded;
  });
});
