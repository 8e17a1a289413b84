import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sl-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const FOR_RUN = {
  connector: 'http',
  target: 'https://api.example.com',
  credentials: { token: { from: 'env', get: 'TOKEN' } },
  config: { headers: { Authorization: 'Bearer {{ .token }}' } },
};

async function check(file: object): Promise<{ code: number; told: string }> {
  const path = join(folder, 'secretless.yml');
  writeFileSync(path, JSON.stringify(file));
  const io = recordedIo({ env: { SECRETLESS_HOME: folder } });
  const code = await runCli(['check', '-f', path], io);
  return { code, told: io.err() };
}

test('a file that only `run` can use is good, and says what `start` misses', async () => {
  const { code, told } = await check({ version: '2', services: { api: FOR_RUN } });
  expect(told).toMatch(/warning: .*listenOn.*; only `secretless run` does without/);
  expect(code).toBe(0);
});

test('what `run` cannot use either is wrong', async () => {
  const { code, told } = await check({ version: '2', services: { api: { ...FOR_RUN, targe: 1 } } });
  expect(told).toContain('error: ');
  expect(told).not.toContain('does without');
  expect(code).toBe(78);
});
