import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connectors } from '../connectors/index.ts';
import { emitSchema } from '../src/config/emit.ts';
import { formatProblem } from '../src/config/problem.ts';
import { CATALOG, readConfig } from '../src/main.ts';
import { providers } from '../src/providers/index.ts';
import { codeBlocks, codeSpans, document, documents, root, section, tableRows } from './documents.ts';
import { temporaryFolder } from './rig.ts';

const readme = document('README.md').text;
const whole = codeBlocks(readme).find(({ code }) => /^services:/m.test(code))!.code;

function load(yaml: string, env: Record<string, string> = {}) {
  const folder = temporaryFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, yaml);
  return readConfig(file, { HOME: folder, SECRETLESS_HOME: folder, ...env });
}

function errorsOf(yaml: string): string[] {
  return load(yaml)
    .problems.filter(({ severity }) => severity === 'error')
    .map((problem) => formatProblem(problem).replace(/^.*?:/, ''));
}

/** A block of a document as a whole file: what it leaves out is added. */
function completed(code: string): string {
  if (/^services:/m.test(code)) return /^version:/m.test(code) ? code : `version: '2'\n${code}`;
  if (!/^credentials:/m.test(code)) return `${whole}\n${code}`;
  const inService = code.replace(/^(?=.)/gm, '    ');
  return `version: '2'
services:
  documented:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://api.example.com
    config: { headers: { X-Documented: 'yes' } }
${inService}`;
}

describe('configuration in the documents', () => {
  // Those of the pages to follow are loaded where they are followed, in the surroundings that the page has by then.
  const read = documents().filter(({ file }) => !file.startsWith('docs/getting-started/'));
  const blocks = read.flatMap(({ file, text }) =>
    codeBlocks(text)
      .filter(({ language }) => language === 'yaml')
      .map(({ code, line }) => [`${file}:${line}`, code] as const),
  );

  test.each(blocks)('the block at %s loads without an error', (_, code) => {
    expect(errorsOf(completed(code))).toEqual([]);
  });

  test('the first of the README is whole as it stands, in ten lines', () => {
    expect(errorsOf(whole)).toEqual([]);
    expect(whole.trim().split('\n')).toHaveLength(10);
  });

  test('a block that does not load is found, in each of the three forms', () => {
    expect(errorsOf(completed(whole.replace('connector: http', 'connector: htp')))).toHaveLength(1);
    expect(errorsOf(completed('rules: [{ id: a, effect: alow }]'))).toHaveLength(1);
    expect(errorsOf(completed('credentials:\n  token: { from: fil, get: /x }'))).toHaveLength(1);
  });
});

describe('the tables of the README', () => {
  const configuration = section(readme, '## Configuration');

  test('every connector of the catalog is there with its other words and its README, and no other', () => {
    const told = tableRows(configuration, 'connector').map(([name, also]) => [name, codeSpans(also!)]);
    const shipped = connectors.map(({ name, aliases = [] }) => [
      `[\`${name}\`](connectors/${name}/README.md)`,
      [...aliases],
    ]);
    expect(told.sort()).toEqual(shipped.sort());
  });

  test('every provider of the catalog is there with its README, and no other', () => {
    const told = tableRows(configuration, 'provider').map(([name]) => name!);
    expect(told.sort()).toEqual(providers.map(({ name }) => `[\`${name}\`](src/providers/${name}/README.md)`).sort());
  });

  test.each(['connectors', 'src/providers'])('every folder of %s has a README that the README links', (folder) => {
    const folders = readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'testdata')
      .map(({ name }) => name);
    expect(folders.length).toBeGreaterThan(0);
    for (const name of folders) expect(readme).toContain(`](${folder}/${name}/README.md)`);
  });
});

describe('the schema for editors', () => {
  test('is what the catalog makes it: `npm run build` writes it anew', () => {
    const text = readFileSync(join(root, 'config/secretless.schema.json'), 'utf8');
    expect(text).toBe(`${JSON.stringify(emitSchema(CATALOG), null, 2)}\n`);
  });

  const examples = [
    ...readdirSync(join(root, 'config/examples'))
      .filter((name) => name.endsWith('.yml'))
      .map((name) => [`config/examples/${name}`, '../'] as const),
    ...connectors.map(({ name }) => [`connectors/${name}/example.yml`, '../../config/'] as const),
    ['config/demo.yml', './'] as const,
  ];

  test.each(examples)('%s names it', (file, up) => {
    const [first] = readFileSync(join(root, file), 'utf8').split('\n');
    expect(first).toBe(`# yaml-language-server: $schema=${up}secretless.schema.json`);
  });

  test.each(examples.filter(([file]) => file !== 'config/demo.yml'))('%s loads without an error', (file) => {
    const { problems } = readConfig(join(root, file), { HOME: '/nowhere', SECRETLESS_HOME: '/nowhere' });
    expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([]);
  });
});
