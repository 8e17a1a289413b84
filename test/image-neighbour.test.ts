import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { readable } from '../release/image/neighbour.ts';
import { stripped } from '../release/image/strip.ts';
import { freePorts } from '../src/cli/demo/ports.ts';
import { canary } from './canary.ts';

/** The user of the image. */
const ID = 65_532;
const EXECUTE_ONLY = 0o111;
const READABLE = 0o755;

const missing = whatIsMissing();
let folder: string | undefined;
let program: string;

function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux') return 'needs /proc';
  if (process.getuid?.() !== 0) return 'needs root to run programs as another user';
  return spawnSync('perl', ['-MPOSIX', '-e', '1']).status === 0 ? undefined : 'needs perl';
}

beforeAll(() => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), 'secretless-neighbour-'));
  chmodSync(folder, 0o711);
  program = join(folder, 'node');
  writeFileSync(program, stripped(readFileSync(process.execPath)));
});

afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** A process of the image's user that holds a secret in its memory and in its environment. Its id. */
async function holder(mode: number, secret: string, options: readonly string[] = []): Promise<number> {
  chmodSync(program, mode);
  const script = `const kept = process.env.SECRET; console.log(process.getuid(), kept.length); setInterval(() => kept, 1000)`;
  const child = spawn(program, [...options, '-e', script], {
    uid: ID,
    gid: ID,
    cwd: '/',
    env: { SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const [printed] = (await once(child.stdout, 'data')) as [Buffer];
  expect(printed.toString()).toBe(`${ID} ${secret.length}\n`);
  return child.pid!;
}

/** What a debugger of that user finds: the memory, if it can be written out. */
function dump(pid: number): Buffer | undefined {
  const file = join(folder!, 'core');
  const { status } = spawnSync('gcore', ['-o', file, String(pid)], {
    uid: ID,
    gid: ID,
    cwd: '/',
    env: { PATH: process.env['PATH'] },
  });
  if (status !== 0) return undefined;
  const core = readFileSync(`${file}.${pid}`);
  rmSync(`${file}.${pid}`);
  return core;
}

test('a neighbour of the same user reads nothing of a program that it cannot read', async (context) => {
  context.skip(missing !== undefined, missing);
  const pid = await holder(EXECUTE_ONLY, canary());
  expect(readable(pid, ID, ID)).toEqual([]);
});

test('the same neighbour reads all of a program that it can read, so that the attempts are real', async (context) => {
  context.skip(missing !== undefined, missing);
  const pid = await holder(READABLE, canary());
  expect(readable(pid, ID, ID)).toEqual(['memory', 'environment', 'map of its memory', 'open files', 'threads']);
});

test('a debugger writes out the memory of a program only where it can read the program', async (context) => {
  context.skip(missing !== undefined, missing);
  context.skip(spawnSync('gcore').error !== undefined, 'gcore is not installed');
  chmodSync(folder!, 0o777);
  onTestFinished(() => chmodSync(folder!, 0o711));
  const secret = canary();
  expect(dump(await holder(READABLE, secret))?.includes(secret)).toBe(true);
  expect(dump(await holder(EXECUTE_ONLY, secret))).toBeUndefined();
}, 60_000);

test('the signal of a neighbour opens an inspector only without the option of the image', async (context) => {
  context.skip(missing !== undefined, missing);
  const opens = async (options: readonly string[]): Promise<boolean> => {
    const [port] = await freePorts(1);
    const pid = await holder(EXECUTE_ONLY, canary(), [...options, `--inspect-port=${port}`]);
    spawnSync('kill', ['-USR1', String(pid)], { uid: ID, gid: ID });
    for (let tries = 0; tries < 20; tries += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/json/version`).catch(() => undefined);
      if (answer !== undefined) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  };
  expect(await opens([])).toBe(true);
  expect(await opens(['--disable-sigusr1'])).toBe(false);
});
