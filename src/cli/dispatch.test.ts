import { expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { defineCommand } from './command.ts';
import type { LoadCommand } from './commands.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const echo = defineCommand({
  name: 'echo',
  summary: 'say it back',
  usage: '[word] [options]',
  options: {
    file: { type: 'string', short: 'f', value: 'path', meaning: 'the file' },
    watch: { type: 'boolean', meaning: 'reload on change' },
    header: { type: 'string', multiple: true, meaning: 'one header' },
    json: { type: 'boolean', meaning: 'JSON' },
  },
  positionals: 1,
  async run(args, io) {
    const { file, header = [] } = args.values;
    if (file === 'config') throw new SidecarError('config-invalid', { detail: 's.yml:1:1' });
    if (file === 'internal') throw new SidecarError('not-running');
    if (file === 'bug') throw new TypeError('a bug');
    io.stdout.write(JSON.stringify({ file, header, watch: args.values.watch, words: args.positionals }));
    return 0;
  },
});

const commands = new Map<string, LoadCommand>([
  ['echo', async () => ({ command: echo })],
  ['start', async () => ({ command: { ...echo, name: 'start' } })],
]);

async function run(...words: string[]) {
  const io = recordedIo();
  const code = await runCli(words, io, commands);
  return { code, out: io.out(), err: io.err() };
}

test('a command gets its options and arguments', async () => {
  expect(await run('echo', 'w', '-f', 'x', '--watch', '--header', 'a', '--header=b')).toEqual({
    code: 0,
    out: '{"file":"x","header":["a","b"],"watch":true,"words":["w"]}',
    err: '',
  });
});

test('a long option may have one dash', async () => {
  expect((await run('echo', '-watch', '-file=x')).out).toContain('"file":"x","header":[],"watch":true');
});

test('the flags of the broker run start', async () => {
  expect(await run('-f', 'x', '-graceful-exit')).toEqual({
    code: 0,
    out: '{"file":"x","header":[],"words":[]}',
    err: 'secretless: -graceful-exit has no effect: every end is graceful\n',
  });
});

test.each([
  [['ehco'], 'unknown command ehco (did you mean echo?)'],
  [['echo', '--fiel', 'x'], 'unknown option --fiel (did you mean --file?)'],
  [['echo', '--zzzzzzzz'], 'unknown option --zzzzzzzz\n'],
  [['echo', '--file'], "Option '-f, --file <value>' argument missing"],
  [['echo', '--watch=yes'], 'does not take an argument'],
  [['echo', 'a', 'b'], 'at most 1 arguments, "b" is one more'],
  [[], 'which command?'],
])('%j is a usage error', async (words, text) => {
  const { code, err, out } = await run(...words);
  expect({ code, out }).toEqual({ code: 64, out: '' });
  expect(err).toContain(text);
});

test.each([
  ['config', 78, 's.yml:1:1'],
  ['internal', 70, 'start one with'],
  ['bug', 70, 'a bug'],
])('a failure of kind %s ends with %i', async (kind, code, text) => {
  const ran = await run('echo', '-f', kind);
  expect(ran.code).toBe(code);
  expect(ran.err).toContain(text);
  expect(ran.err).not.toContain('    at ');
});

test('a machine gets the error as JSON', async () => {
  const { err } = await run('echo', '--json', '-f', 'internal');
  expect(JSON.parse(err)).toMatchObject({ error: { code: 'not-running' } });
});

test('help of a command shows its options', async () => {
  const { code, out } = await run('echo', '--help');
  expect(code).toBe(0);
  expect(out).toContain('secretless echo [word] [options]\nsay it back\n');
  expect(out).toMatch(/-f, --file <path> +the file/);
});
