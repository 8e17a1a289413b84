import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formsOf, sweep } from './sweep.ts';

// Built here and not by canary(): these leaks are on purpose.
const SECRET = `planted${'0123456789abcdef'}/+" ä`;

function sweepOf(content: string | Buffer): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'sweep-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'artefact'), content);
  return sweep([SECRET], folder).hits.map(({ form }) => form);
}

test('the sweep finds a planted secret in each of its forms', () => {
  for (const [form, needle] of formsOf(SECRET)) {
    expect(sweepOf(Buffer.concat([Buffer.from('before '), needle, Buffer.from(' after')])), form).toContain(form);
  }
});

test('the sweep finds a secret inside a longer text that was encoded as base64, at each alignment', () => {
  for (const prefix of ['', 'u', 'us', 'use', 'user:']) {
    expect(sweepOf(Buffer.from(`${prefix}${SECRET}:tail`).toString('base64'))).not.toEqual([]);
    expect(sweepOf(Buffer.from(`${prefix}${SECRET}:tail`).toString('base64url'))).not.toEqual([]);
  }
});

test('the sweep finds nothing where nothing is', () => {
  expect(sweepOf(Buffer.from('planted0123456789abcdeX and its base64 cGxhbnRlZDAxMjM'))).toEqual([]);
});

test('many canaries are found one by one in one pass', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sweep-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const planted = ['planted-aaaa-0001', 'planted-bbbb-0002-"longer', 'planted-cccc-0003'];
  writeFileSync(join(folder, 'none'), 'planted-, planted-aaaa-0002 and planted-dddd');
  writeFileSync(join(folder, 'one'), `x${planted[1]}`);
  writeFileSync(join(folder, 'other'), Buffer.from(`ab${planted[2]}`).toString('base64'));
  const hits = sweep(planted, folder).hits.map(({ file }) => file);
  expect(new Set(hits)).toEqual(new Set(['one', 'other']));
});
