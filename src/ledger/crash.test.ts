import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { freshFile, open, readLines } from './testdata/folder.ts';
import { decision } from './testdata/sample.ts';
import { verifyLedger } from './verify.ts';

const writer = new URL('testdata/writer.ts', import.meta.url).pathname;

interface Writer {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly stderr: () => string;
  /** Resolves when a line that `matches` has been printed. */
  until(matches: (line: string, count: number) => boolean): Promise<void>;
  /** Ends it and waits until all it printed has arrived. */
  kill(): Promise<void>;
}

function startWriter(file: string, ...more: string[]): Writer {
  const child = spawn(process.execPath, [writer, file, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let stderr = '';
  const watchers = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    for (const watcher of watchers) watcher();
  });
  const ended = once(child, 'close');
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    child,
    lines,
    stderr: () => stderr,
    until: (matches) =>
      new Promise((resolve, reject) => {
        let seen = 0;
        const watcher = (): void => {
          for (; seen < lines.length; seen += 1) {
            if (!matches(lines[seen]!, seen + 1)) continue;
            watchers.delete(watcher);
            resolve();
            return;
          }
        };
        watchers.add(watcher);
        void ended.then(() => reject(new Error(`the writer ended: ${stderr}`)));
        watcher();
      }),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

const recorded = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => (line.startsWith('recorded ') ? [line.slice('recorded '.length)] : []));

test('kill -9 at 30 random instants: every event that record vouched for is there, and the chain verifies', async () => {
  const file = freshFile();
  const vouched: string[] = [];
  for (let round = 0; round < 30; round += 1) {
    const started = startWriter(file, '20000');
    const instant = 1 + Math.floor(Math.random() * 400);
    await started.until((_, count) => count >= instant);
    await started.kill();
    vouched.push(...recorded(started.lines));
    expect(await verifyLedger(file), `round ${round}`).toMatchObject({ ok: true, problems: [] });
  }
  await (await open(file, { keep: 1000 })).close();
  expect(await verifyLedger(file)).toMatchObject({ ok: true, tornBytes: 0 });
  const ids = readLines(file).flatMap(({ type, id }) => (type === 'decision' ? [id as string] : []));
  const present = new Set(ids);
  expect(ids).toHaveLength(present.size);
  expect(vouched.filter((id) => !present.has(id))).toEqual([]);
  expect(vouched.length).toBeGreaterThan(1000);
}, 120_000);

const canLimit = process.platform === 'linux' && fs.existsSync('/usr/bin/prlimit');

test.skipIf(!canLimit)(
  'a file that the system lets grow no further refuses uses, and recovers when it may grow again',
  async () => {
    const file = freshFile();
    const started = startWriter(file, '100000000', '2');
    const limit = (bytes: string): void => {
      execFileSync('prlimit', ['--pid', `${started.child.pid}`, `--fsize=${bytes}:unlimited`]);
    };
    await started.until((line) => line.startsWith('recorded '));
    // Not a multiple of the line's length, so that the last write is a short one.
    limit(`${fs.statSync(file).size + 5555}`);
    await started.until((line) => line.startsWith('health false'));
    expect(started.lines.find((line) => line.startsWith('health false'))).toMatch(/EFBIG/);
    expect(fs.readFileSync(file, 'utf8').endsWith('\n')).toBe(true);
    limit('unlimited');
    await started.until((line) => line.startsWith('health true'));
    const before = started.lines.length;
    await started.until((line, count) => count > before && line.startsWith('recorded '));
    await started.kill();
    const lines = readLines(file);
    expect(lines.find(({ type }) => type === 'ledger.recovered')?.['reason']).toMatch(/EFBIG/);
    expect(await verifyLedger(file)).toMatchObject({ ok: true });
    const present = new Set(lines.map(({ id }) => id));
    expect(recorded(started.lines).filter((id) => !present.has(id))).toEqual([]);
  },
  30_000,
);

test('a second process on the same file is refused and told who has it', async () => {
  const file = freshFile();
  const first = startWriter(file);
  await first.until((line) => line.startsWith('recorded '));
  const second = startWriter(file);
  const [code] = (await once(second.child, 'close')) as [number];
  expect(code).toBe(78);
  expect(second.stderr()).toContain(`process ${first.child.pid} writes this ledger`);
  await first.kill();
  const ledger = await open(file);
  await ledger.record(decision('c1'));
  await ledger.close();
  expect((await verifyLedger(file)).ok).toBe(true);
});
