import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CannotAsk, confirm } from './confirm.ts';
import { startRelay } from './testdata/rig.ts';

async function script(text: string): Promise<{ folder: string; program: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'sl-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'ask'), text);
  return { folder, program: ['/bin/sh', join(folder, 'ask'), folder] };
}

const forever = new AbortController().signal;

test.each([
  ['exit 0', true],
  ['exit 1', false],
  ['kill -9 $$', false],
])('a program that does `%s` says %s', async (text, yes) => {
  const { program } = await script(text);
  expect(await confirm({ program, question: 'May it?', seconds: 5 }, forever)).toBe(yes);
});

test('the question is the last argument, on one line, and no variable of the sidecar goes with it', async () => {
  process.env['SL_CONFIRM_SECRET'] = 'canary';
  onTestFinished(() => void delete process.env['SL_CONFIRM_SECRET']);
  const { folder, program } = await script('env > "$1/env"; printf %s "$2" > "$1/question"; printf %s $# > "$1/count"');
  const question = `May it; $(reboot)?\u202e\nYes\0${'x'.repeat(5000)}`;
  expect(await confirm({ program, question, seconds: 5 }, forever)).toBe(true);
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  expect(read('question')).toMatch(/^May it; \$\(reboot\)\? Yes x+$/);
  expect(read('question').length).toBeLessThanOrEqual(1000);
  expect(read('count')).toBe('2');
  expect(read('env')).toContain('SSH_ASKPASS_PROMPT=confirm');
  expect(read('env')).not.toContain('canary');
});

test('an answer that comes late is a no, and what was started is killed', async () => {
  const { folder, program } = await script('(sleep 1; touch "$1/late") & sleep 5');
  const begun = performance.now();
  expect(await confirm({ program, question: 'May it?', seconds: 0.2 }, forever)).toBe(false);
  expect(performance.now() - begun).toBeLessThan(900);
  await pause(1200);
  expect(existsSync(join(folder, 'late'))).toBe(false);
});

test('a connection that is over asks nobody any more', async () => {
  const { folder, program } = await script('touch "$1/asked"; sleep 5');
  const abort = new AbortController();
  const asked = confirm({ program, question: 'May it?', seconds: 5 }, abort.signal);
  await vi.waitFor(() => expect(existsSync(join(folder, 'asked'))).toBe(true));
  abort.abort();
  expect(await asked).toBe(false);
  expect(await confirm({ program, question: 'May it?', seconds: 5 }, abort.signal)).toBe(false);
});

test('a program that is not there cannot be asked', async () => {
  for (const program of [['/nowhere/ask'], [], ['a\0b']]) {
    await expect(confirm({ program, question: 'May it?', seconds: 5 }, forever)).rejects.toThrow(CannotAsk);
  }
});

test('to a connector a program that cannot be run is a no, told to the operator', async () => {
  const rig = await startRelay();
  const agent = await rig.connect();
  await agent.hears('toy\n');
  expect(await agent.ask('confirm /bin/true')).toBe('ok true');
  expect(await agent.ask('confirm /bin/false')).toBe('ok false');
  expect(await agent.ask('confirm /nowhere/ask')).toBe('ok false');
  expect(rig.logged.join('')).toContain('a confirmation is taken as a no');
});

test('no more than four questions of a service wait at a time', async () => {
  const rig = await startRelay();
  const { program } = await script('sleep 2');
  const line = `confirm ${program.join(' ')}`;
  const waiting = await Promise.all(Array.from({ length: 4 }, () => rig.connect()));
  for (const agent of waiting) agent.send(`${line}\n`);
  await pause(100);
  const late = await rig.connect();
  await late.hears('toy\n');
  const begun = performance.now();
  expect(await late.ask('confirm /bin/true')).toBe('ok false');
  expect(performance.now() - begun).toBeLessThan(300);
  for (const agent of waiting) await agent.hears('ok false\n');
  expect(await late.ask('confirm /bin/true')).toBe('ok true');
});
