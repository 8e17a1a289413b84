import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { freshFile, open } from './testdata/folder.ts';
import { closed, decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

/** A closed ledger of four files. */
async function rotatedLedger(): Promise<string> {
  const file = freshFile();
  const ledger = await open(file, { rotateBytes: 3000, keep: 3 });
  for (let at = 0; at < 60; at += 1) {
    await ledger.record(decision(`c${at}`));
    ledger.note(closed(`c${at}`));
  }
  await ledger.close();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, files: { length: 4 } });
  return file;
}

interface Snapshot {
  readonly file: string;
  readonly contents: ReadonlyMap<string, Buffer>;
}

function snapshot(file: string): Snapshot {
  const folder = dirname(file);
  return { file, contents: new Map(fs.readdirSync(folder).map((name) => [name, fs.readFileSync(join(folder, name))])) };
}

function restore({ file, contents }: Snapshot): void {
  const folder = dirname(file);
  for (const name of fs.readdirSync(folder)) if (!contents.has(name)) fs.unlinkSync(join(folder, name));
  for (const [name, bytes] of contents) fs.writeFileSync(join(folder, name), bytes);
}

const kinds = ['byte', 'delete', 'swap', 'repeat', 'insert', 'tail', 'oldest', 'file', 'exchange', 'head'] as const;
type Mutation = { kind: (typeof kinds)[number]; a: number; b: number; value: number; forged: string };

const mutations: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom(...kinds),
  a: fc.nat(),
  b: fc.nat(),
  value: fc.integer({ min: 0, max: 255 }),
  forged: fc.string({ maxLength: 40 }),
});

/** False where the files came out as they were. */
function mutate({ file, contents }: Snapshot, { kind, a, b, value, forged }: Mutation): boolean {
  const folder = dirname(file);
  const names = [...contents.keys()].filter((name) => /\.jsonl(\.\d)?$/.test(name)).sort();
  const name = names[a % names.length]!;
  const path = join(folder, name);
  const lines = contents.get(name)!.toString().split('\n').slice(0, -1);
  const [from, to] = [b % lines.length, (b >>> 8) % lines.length];
  const put = (changed: readonly string[]): boolean => {
    const text = changed.map((line) => `${line}\n`).join('');
    fs.writeFileSync(path, text);
    return text !== contents.get(name)!.toString();
  };
  switch (kind) {
    case 'byte':
    case 'head': {
      const target = kind === 'head' ? `${file}.head` : path;
      const bytes = fs.readFileSync(target);
      const changed = bytes[b % bytes.length] !== value;
      bytes[b % bytes.length] = value;
      fs.writeFileSync(target, bytes);
      return changed;
    }
    case 'delete':
      return put(lines.toSpliced(from, 1));
    case 'swap':
      return put(lines.with(from, lines[to]!).with(to, lines[from]!));
    case 'repeat':
      return put(lines.toSpliced(to, 0, lines[from]!));
    case 'insert':
      return put(lines.toSpliced(b % (lines.length + 1), 0, value < 128 ? forged : forge(lines[from]!)));
    case 'tail': {
      const current = contents.get(names[0]!)!.toString().split('\n').slice(0, -1);
      fs.writeFileSync(
        file,
        current
          .slice(0, b % current.length)
          .map((line) => `${line}\n`)
          .join(''),
      );
      return true;
    }
    case 'oldest':
      fs.unlinkSync(join(folder, names.at(-1)!));
      return true;
    case 'file':
      fs.unlinkSync(path);
      return true;
    case 'exchange': {
      const other = names[b % names.length]!;
      fs.writeFileSync(path, contents.get(other)!);
      fs.writeFileSync(join(folder, other), contents.get(name)!);
      return other !== name;
    }
  }
  return kind satisfies never;
}

/** A line that would stand well behind the given one, but for its hash. */
function forge(line: string): string {
  const seq = (JSON.parse(line) as { seq: number }).seq;
  return line.replace(`"seq":${seq}`, `"seq":${seq + 1}`);
}

test('each of 1,000 random changes to a rotated ledger is found', async () => {
  const before = snapshot(await rotatedLedger());
  const tried = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(mutations, async (mutation) => {
      restore(before);
      fc.pre(mutate(before, mutation));
      tried.set(mutation.kind, (tried.get(mutation.kind) ?? 0) + 1);
      const report = await verifyLedger(before.file);
      expect(report.ok).toBe(false);
      expect(report.problems[0]!.message).not.toBe('');
    }),
    { numRuns: 1000, maxSkipsPerRun: 10 },
  );
  expect([...tried.keys()].sort()).toEqual([...kinds].sort());
  restore(before);
  expect(await verifyLedger(before.file)).toMatchObject({ ok: true });
}, 120_000);

async function smallLedger(count = 5): Promise<{ file: string; lines: string[]; write: (lines: string[]) => void }> {
  const file = freshFile();
  const ledger = await open(file);
  for (let at = 1; at <= count; at += 1) await ledger.record(decision(`c${at}`));
  await ledger.close();
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return { file, lines, write: (changed) => fs.writeFileSync(file, changed.map((line) => `${line}\n`).join('')) };
}

test('the report names the place and what is wrong there', async () => {
  const { file, lines, write } = await smallLedger();
  const cases: [string[], object][] = [
    [
      lines.with(1, lines[1]!.replace('GET', 'PUT')),
      { line: 3, kind: 'edited', message: /line 2 is not the one that line 3 follows/ },
    ],
    [lines.toSpliced(2, 1), { line: 3, kind: 'missing', message: /lines 3 to 3 are missing/ }],
    [lines.toSpliced(2, 0, lines[1]!), { line: 3, kind: 'order', message: /line 2 stands behind line 2/ }],
    [lines.slice(0, 3), { line: 0, kind: 'missing', message: /the newest lines, 4 to 5, are missing/ }],
    [lines.slice(2), { line: 1, kind: 'missing', message: /the oldest lines, 1 to 2, are missing/ }],
    [
      lines.with(4, lines[4]!.replace('GET', 'PUT')),
      { line: 5, kind: 'edited', message: /not the one that the side file names/ },
    ],
    [lines.with(2, 'x'), { line: 3, kind: 'edited', message: /not a line of a ledger/ }],
  ];
  for (const [changed, { message, ...place }] of cases as [string[], { message: RegExp }][]) {
    write(changed);
    const problem = (await verifyLedger(file)).problems[0]!;
    expect(problem).toMatchObject({ file, ...place });
    expect(problem.message).toMatch(message);
  }
  write(lines);
  expect(await verifyLedger(file)).toMatchObject({ ok: true, problems: [] });
});

test('nothing can be added to a closed ledger, not even a line that continues the chain or half of one', async () => {
  const { file, lines } = await smallLedger();
  const longer = await smallLedger(6);
  fs.appendFileSync(file, `${longer.lines[5]!}\n`);
  expect((await verifyLedger(file)).ok).toBe(false);
  fs.writeFileSync(file, `${lines.join('\n')}\n${longer.lines[5]!.slice(0, 60)}`);
  expect((await verifyLedger(file)).problems).toMatchObject([{ line: 6, kind: 'unfinished' }]);
});

test('lines that somebody cut off at the beginning are missing, not removed by rotation', async () => {
  const { file, lines, write } = await smallLedger();
  expect(await verifyLedger(file)).not.toHaveProperty('removed');
  write(lines.slice(2));
  expect(await verifyLedger(file)).not.toHaveProperty('removed');
});

test('a ledger without its side file does not verify', async () => {
  const { file } = await smallLedger();
  fs.unlinkSync(`${file}.head`);
  expect((await verifyLedger(file)).problems).toMatchObject([{ kind: 'head' }]);
});

test('where there is no ledger, that is said', async () => {
  const report = await verifyLedger(freshFile());
  expect(report).toMatchObject({ ok: false, files: [], lines: 0 });
});
