import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLedger } from '../ledger.ts';
import type { Ledger, LedgerOptions } from '../ledger.ts';

/** The path of a ledger in a folder of its own that does not outlive the test. */
export function freshFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'state', 'ledger.jsonl');
}

export async function open(file: string, options: Partial<LedgerOptions> = {}): Promise<Ledger> {
  const ledger = await openLedger({ file, durability: 'write', rotateBytes: 1 << 20, keep: 5, ...options });
  onTestFinished(() => ledger.close().catch(() => undefined));
  return ledger;
}

export type Line = Record<string, unknown> & { readonly seq: number; readonly type: string };

/** All lines of a ledger, oldest first. */
export function readLines(file: string): Line[] {
  const folder = join(file, '..');
  const rotated = readdirSync(folder)
    .filter((name) => /\.jsonl\.\d+$/.test(name))
    .sort((a, b) => Number(b.split('.').at(-1)) - Number(a.split('.').at(-1)))
    .map((name) => join(folder, name));
  return [...rotated, file].flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line),
  );
}
