import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CATALOG } from '../src/main.ts';
import { codeSpans, document, root, tableRows } from './documents.ts';

const index = document('docs/README.md').text;

/** Pages that the index must lead to, relative to it. */
function pages(): string[] {
  const below = (folder: string, depth: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, folder, entry.name, 'README.md')))
      .map(({ name }) => `${depth}${folder}/${name}/README.md`);
  const own = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.md'),
  );
  return [
    ...own.filter((name) => name !== 'README.md'),
    ...['connectors', 'src/providers', 'charts'].flatMap((folder) => below(folder, '../')),
  ];
}

function missingIn(text: string): string[] {
  const links = new Set([...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) => target));
  return pages().filter((page) => !links.has(page));
}

test('the index leads to every page, and to the page of every connector, provider and chart', () => {
  expect(missingIn(index)).toEqual([]);
  expect(pages()).toEqual(expect.arrayContaining(['getting-started/laptop.md', '../connectors/aws/README.md']));
});

test('a page that the index forgets is found', () => {
  expect(missingIn(index.replace('(operations.md)', '(gone.md)'))).toEqual(['operations.md']);
  expect(missingIn(index.replace('(../connectors/ssh/README.md)', ''))).toEqual(['../connectors/ssh/README.md']);
});

test('its tables name what this build ships, and nothing else', () => {
  const named = (first: string): string[] => tableRows(index, first).map(([name]) => codeSpans(name!)[0]!);
  expect(named('connector').sort()).toEqual(CATALOG.connectors.map(({ name }) => name).sort());
  expect(named('provider').sort()).toEqual(CATALOG.providers.map(({ name }) => name).sort());
});
