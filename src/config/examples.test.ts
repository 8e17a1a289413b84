import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { examplesCatalog, load } from './testdata/catalogs.ts';

const folder = join(import.meta.dirname, '../../config/examples');
const names = readdirSync(folder).filter((name) => name.endsWith('.yml'));

test.each(names)('the example %s loads, and its canonical form is the golden one', async (name) => {
  const text = readFileSync(join(folder, name), 'utf8');
  expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../secretless.schema.json');
  const { config, problems, normalized } = load(text, { file: name, catalog: examplesCatalog });
  expect(problems.filter((problem) => problem.severity === 'error')).toEqual([]);
  expect(config).toBeDefined();
  const golden = join(import.meta.dirname, 'testdata/golden', name.replace('.yml', '.golden'));
  await expect(`${JSON.stringify(normalized, null, 2)}\n`).toMatchFileSnapshot(golden);
});
