import { expect, test } from 'vitest';
import { COMMANDS } from './commands.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

test('help lists every command, and each carries the name it is called by', async () => {
  const io = recordedIo();
  expect(await runCli(['help'], io)).toBe(0);
  for (const name of COMMANDS.keys()) expect(io.out()).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
});

test('help of one command is what its --help prints', async () => {
  const [one, other] = [recordedIo(), recordedIo()];
  await runCli(['help', 'stop'], one);
  await runCli(['stop', '--help'], other);
  expect(one.out()).toContain('--no-wait');
  expect(one.out()).toBe(other.out());
});

test('help of an unknown command is a usage error', async () => {
  const io = recordedIo();
  expect(await runCli(['help', 'sttop'], io)).toBe(64);
  expect(io.err()).toContain('did you mean stop?');
});
