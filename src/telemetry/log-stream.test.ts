import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { fdStream } from './log-stream.ts';

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test('a line is in the file when write returns', () => {
  const folder = mkdtempSync(join(tmpdir(), 'log-'));
  const fd = openSync(join(folder, 'log'), 'w');
  onTestFinished(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  fdStream(fd, false).write('one\n');
  expect(readFileSync(join(folder, 'log'), 'utf8')).toBe('one\n');
});

test('a reader that went away ends logging and nothing else', () => {
  let calls = 0;
  const stream = fdStream(2, false, () => {
    calls += 1;
    throw systemError('EPIPE');
  });
  stream.write('one\n');
  stream.write('two\n');
  expect(calls).toBe(1);
});

test('a pipe that takes a few bytes at a time gets the whole line', () => {
  const taken: string[] = [];
  let turn = 0;
  const stream = fdStream(2, false, (_fd, bytes) => {
    turn += 1;
    if (turn % 2 === 0) throw systemError('EAGAIN');
    taken.push(Buffer.from(bytes.subarray(0, 3)).toString());
    return Math.min(3, bytes.length);
  });
  stream.write('abcdefgh\n');
  expect(taken.join('')).toBe('abcdefgh\n');
});

test('a full disk drops whole lines, and the first that gets through tells how many', () => {
  let full = true;
  let written = '';
  const stream = fdStream(2, false, (_fd, bytes) => {
    if (full) throw systemError('ENOSPC');
    written += Buffer.from(bytes).toString();
    return bytes.length;
  });
  stream.write('one\n');
  stream.write('two\n');
  full = false;
  stream.write('three\n');
  stream.write('four\n');
  expect(written).toBe('{"level":"warn","message":"log lines dropped","dropped":2}\nthree\nfour\n');
});

test('a line that was cut is finished before the next', () => {
  let room = 4;
  let written = '';
  const stream = fdStream(2, false, (_fd, bytes) => {
    if (room === 0) throw systemError('ENOSPC');
    const part = Buffer.from(bytes.subarray(0, room)).toString();
    room -= part.length;
    written += part;
    return part.length;
  });
  stream.write('abcdefgh\n');
  expect(written).toBe('abcd');
  room = 1000;
  stream.write('next\n');
  expect(written).toMatch(/^abcdefgh\n(\{.*\}\n)?next\n$/);
});

test('no line is lost when the process exits at once, and a closed pipe does not kill it', async () => {
  const script = `
    import { openLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
    const log = openLog({ level: 'info' });
    for (let at = 0; at < 2000; at += 1) log.info({ at, filler: 'x'.repeat(100) }, 'line');
    process.exit(7);`;
  const arguments_ = ['--conditions=secretless-source', '--input-type=module', '-e', script];
  const child = spawn(process.execPath, arguments_, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(7);
  expect(text.trimEnd().split('\n')).toHaveLength(2000);

  const deaf = spawn(process.execPath, arguments_, { stdio: ['ignore', 'ignore', 'pipe'] });
  deaf.stderr.destroy();
  expect(await once(deaf, 'close')).toEqual([7, null]);
});
