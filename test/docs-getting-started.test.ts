import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatProblem } from '../src/config/problem.ts';
import { readConfig } from '../src/main.ts';
import { document, root } from './documents.ts';
import { INSTEAD } from './getting-started-checks.ts';
import { followPage, looksLike, pageBlocks, type PageBlock, type PageRun } from './getting-started-kit.ts';
import { temporaryFolder } from './rig.ts';

/**
 * A new user follows each page to the letter: what a page says to run is run, in an empty folder with an empty home, and
 * prints what the page shows. What cannot run here is a skip with the page's own reason, and what is checked in its place.
 */
const PAGES = [
  ...readdirSync(join(root, 'docs/getting-started'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/getting-started/${name}`),
  'config/examples/compose/README.md',
];

function runs({ language, notRun }: PageBlock): boolean {
  return language === 'sh' && notRun === undefined;
}

function firstLine({ code }: PageBlock): string {
  return code.split('\n')[0]!;
}

/** Errors of a configuration, with a value for each variable that it names, as `run` loads it. */
function errorsOf({ code }: PageBlock): string[] {
  const names = [...code.matchAll(/(?<!\$)\$\{(\w+)\}/g)].map(([, name]) => name!);
  const values: Readonly<Record<string, string>> = { SIDECAR_ADDRESS: '127.0.0.1', API_URL: 'https://api.example.com' };
  const env = Object.fromEntries(names.map((name) => [name, values[name] ?? '/somewhere']));
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'secretless.yml'), code);
  const { problems } = readConfig(join(folder, 'secretless.yml'), { HOME: folder, ...env }, 'program');
  return problems.filter(({ severity }) => severity === 'error').map(formatProblem);
}

test('a configuration with an error is found', () => {
  const block = { language: 'yaml', line: 1, code: "version: '2'\nservices: { a: { connector: htp } }\n" };
  expect(errorsOf(block).join()).toContain('"credentials" is missing');
});

describe.each(PAGES)('%s', (file) => {
  const blocks = pageBlocks(document(file).text);
  let run: PageRun | undefined;

  beforeAll(async () => {
    if (blocks.some(runs)) run = await followPage(document(file).text);
  }, 180_000);

  afterAll(() => run?.clean());

  test('each block is run, written to the file that is named, or told why not', () => {
    const loose = blocks.filter((block) => !runs(block) && block.file === undefined && block.notRun === undefined);
    expect(loose.map(({ line, code }) => `${line}: ${code.slice(0, 60)}`)).toEqual([]);
  });

  for (const block of blocks.filter(({ language }) => language === 'yaml')) {
    test(`line ${block.line} loads without an error: ${block.file}`, () => {
      expect(errorsOf(block)).toEqual([]);
    });
  }

  for (const [at, block] of blocks.filter(runs).entries()) {
    test(`line ${block.line} runs${block.output === undefined ? '' : ' and prints what is shown'}: ${firstLine(block)}`, () => {
      const own = run!.blocks.filter(runs)[at]!;
      const printed = run!.printed.get(block.line);
      expect(printed, `the page ended before it, code ${run!.code}: ${run!.stderr.slice(-2000)}`).toBeDefined();
      if (own.output !== undefined && !looksLike(printed!, own.output)) expect(printed).toBe(own.output);
    });
  }

  test.skipIf(!blocks.some(runs))('all of it ends well', () => {
    expect({ code: run!.code, stderr: run!.stderr.slice(-2000) }).toMatchObject({ code: 0 });
  });

  const checked = new Set<string>();
  for (const block of blocks.filter(({ notRun }) => notRun !== undefined)) {
    const { reason, instead } = block.notRun!;
    test.skip(`line ${block.line} is not run, ${reason}: ${firstLine(block)}`, () => undefined);
    // One check may stand in for several commands of a page.
    if (checked.has(instead)) continue;
    checked.add(instead);
    test(`line ${block.line}, instead: ${instead}`, async (ctx) => {
      const missing = await INSTEAD[instead]!({ blocks, block });
      if (missing !== undefined) ctx.skip(missing);
    }, 120_000);
  }
});

test('every check that stands in for a command is named by a page, and each has one', () => {
  const named = PAGES.flatMap((file) => pageBlocks(document(file).text).flatMap(({ notRun }) => notRun?.instead ?? []));
  expect([...new Set(named)].sort()).toEqual(Object.keys(INSTEAD).sort());
});

test('every image of ours that a page names is that of this version', () => {
  const { version } = JSON.parse(document('package.json').text) as { version: string };
  const tags = PAGES.flatMap((file) => document(file).text.match(/secretless-sidecar:[\w.]+/g) ?? []);
  expect(new Set(tags)).toEqual(new Set([`secretless-sidecar:${version}`]));
});

describe('following a page', () => {
  test('files, commands, what they print and what is not run are told apart', () => {
    const page = [
      'Write `a.yml`:\n\n```yaml\na: 1\n```\n',
      '```sh\nb\n```\n\nIt prints:\n\n```text\nc\n```\n',
      '<!-- not run: it costs money; instead: nothing -->\n\n```sh\nd\n```\n',
      '```json\ne\n```\n',
    ].join('\n');
    expect(pageBlocks(page)).toEqual([
      { language: 'yaml', code: 'a: 1\n', line: 4, file: 'a.yml' },
      { language: 'sh', code: 'b\n', line: 8, output: 'c\n' },
      { language: 'sh', code: 'd\n', line: 20, notRun: { reason: 'it costs money', instead: 'nothing' } },
      { language: 'json', code: 'e\n', line: 24 },
    ]);
  });

  test('what is shown must be what is printed, but for what is left out', () => {
    expect(looksLike('one\ntwo\n', 'one\ntwo\n')).toBe(true);
    expect(looksLike('one 1.5 ms\ntwo', 'one … ms\ntwo')).toBe(true);
    expect(looksLike('one\n2\n3\ntwo', 'one\n…\ntwo')).toBe(true);
    expect(looksLike('one\ntwo', 'one\n…\ntwo')).toBe(true);
    expect(looksLike('one\nthree', 'one\ntwo')).toBe(false);
    expect(looksLike('one\ntwo\nthree', 'one\ntwo')).toBe(false);
    expect(looksLike('a.c', 'abc')).toBe(false);
    expect(looksLike('abc', 'a.c')).toBe(false);
  });
});

test('a page whose commands fail, or print something else, is found', async () => {
  const text = '# x\n\n```sh\necho one\n```\n\n```text\ntwo\n```\n\n```sh\nfalse\n```\n\n```sh\necho never\n```\n';
  const run = await followPage(text);
  try {
    expect(run.code).toBe(1);
    expect([...run.printed]).toEqual([
      [4, 'one'],
      [12, ''],
    ]);
    expect(looksLike(run.printed.get(4)!, run.blocks[0]!.output!)).toBe(false);
  } finally {
    run.clean();
  }
});
