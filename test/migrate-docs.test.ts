import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../src/cli/commands.ts';
import { parseArguments } from '../src/cli/parse.ts';
import { CLOUD_SQL_PROXY_FLAGS } from '../src/migrate/cloud-sql-proxy.ts';
import { commentsOf } from '../src/migrate/comments.ts';
import { SIGV4_PROXY_FLAGS } from '../src/migrate/sigv4-proxy.ts';
import { codeBlocks, codeSpans, deadLinks, document, tableRows } from './documents.ts';
import { type Ran, run } from './migrate-kit.ts';
import { temporaryFolder } from './rig.ts';

/* Every command of the pages on migration is run as it stands there, and what is shown of it is what it printed. */

const PAGES = ['cyberark', 'aws-sigv4-proxy', 'cloud-sql-auth-proxy'].map((name) =>
  document(`docs/migration/${name}.md`),
);

/** Not run: there is no Cloud SQL here. */
const ELSEWHERE = /^gcloud /;

interface Step {
  readonly line: string;
  /** What the page shows of it. */
  readonly shown: string | undefined;
}

function stepsOf(text: string): Step[] {
  const blocks = codeBlocks(text);
  return blocks.flatMap(({ language, code }, at) => {
    if (language !== 'sh') return [];
    const lines = code.trim().split('\n');
    const next = blocks[at + 1];
    const shown = next?.language === 'text' ? next.code : undefined;
    return lines.map((line, index) => ({ line, shown: index === lines.length - 1 ? shown : undefined }));
  });
}

/** The words of a line for a shell, the files of a page put into a folder. */
function wordsOf(line: string, folder: string): string[] {
  const [, ...words] = line.split(' ');
  return words.map((word) => (/^[a-z]+\.yml$/.test(word) ? join(folder, word) : word));
}

/** A command, but for `start`, whose file is checked and whose words are read. */
async function follow(line: string, folder: string): Promise<Ran> {
  const [name = '', ...rest] = wordsOf(line, folder);
  if (name !== 'start') return run(name, ...rest);
  const { command } = await COMMANDS.get('start')!();
  parseArguments(command, rest);
  return run('check', ...rest);
}

/** A page from its top, in a folder that has the file it begins with; what each command printed. */
async function walk(text: string): Promise<{ folder: string; ran: readonly (Step & Ran)[] }> {
  const folder = temporaryFolder();
  const [, name, original] = /`(\w+\.yml)`:\n\n```ya?ml\n([\s\S]*?)```/.exec(text) ?? [];
  if (name !== undefined) writeFileSync(join(folder, name), original!);
  const ran: (Step & Ran)[] = [];
  for (const step of stepsOf(text)) {
    if (ELSEWHERE.test(step.line)) continue;
    ran.push({ ...step, ...(await follow(step.line, folder)) });
  }
  return { folder, ran };
}

/** The file that a page shows as the result. */
function result(text: string): string {
  return /`secretless\.yml` is then.*:\n\n```yaml\n([\s\S]*?)```/.exec(text)![1]!;
}

function withoutComments(yaml: string): string {
  let left = yaml;
  for (const comment of commentsOf(yaml)) left = left.replace(comment, '');
  return left
    .split('\n')
    .filter((line) => line.trim() !== '')
    .join('\n');
}

describe.each(PAGES.map((page) => [page.file, page.text] as const))('%s', (file, text) => {
  test('every command works, and prints what the page shows', async () => {
    const { ran } = await walk(text);
    expect(ran.length).toBeGreaterThan(2);
    for (const { line, shown, code, out, err } of ran) {
      expect([line, code]).toEqual([line, 0]);
      if (shown !== undefined) expect(`${out}${err}`).toBe(shown);
    }
    expect(ran.some(({ shown }) => shown !== undefined)).toBe(true);
  });

  test('the file that comes out is the one it shows', async () => {
    const { folder } = await walk(text);
    const written = readFileSync(join(folder, 'secretless.yml'), 'utf8');
    const shown = result(text);
    if (shown.includes('# migrate')) expect(written).toBe(shown);
    else expect(withoutComments(written)).toBe(shown.trimEnd());
  });

  test('it leaves the original as it was, so that there is a way back', async () => {
    const { folder } = await walk(text);
    const [, name, original] = /`(\w+\.yml)`:\n\n```ya?ml\n([\s\S]*?)```/.exec(text) ?? [];
    if (name !== undefined) expect(readFileSync(join(folder, name), 'utf8')).toBe(original);
    expect(text).toContain('## How to go back');
    expect(existsSync(join(folder, 'secretless.yml'))).toBe(true);
  });

  test('its links lead somewhere', () => {
    expect(deadLinks({ file, text })).toEqual([]);
  });
});

describe('tables', () => {
  /** Long names of flags in the first column. */
  function flagsIn(text: string): string[] {
    const cells = tableRows(text, 'flag').map(([first]) => first!);
    return cells.flatMap((cell) => codeSpans(cell)).flatMap((code) => /^--([\w.-]+)$/.exec(code)?.[1] ?? []);
  }

  test.each([
    [PAGES[1]!, SIGV4_PROXY_FLAGS],
    [PAGES[2]!, CLOUD_SQL_PROXY_FLAGS],
  ])('%o has every flag that is read, and no other', ({ text }, flags) => {
    expect([...new Set(flagsIn(text))].sort()).toEqual(Object.keys(flags).sort());
  });
});
