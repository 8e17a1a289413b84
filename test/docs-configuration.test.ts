import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../src/config/problem.ts';
import { CATALOG, readConfig } from '../src/main.ts';
import { configurationReference, REFERENCE_FILE, referenceRows } from '../release/configuration-reference.ts';
import { keysOf, typeOf } from '../release/reference/keys.ts';
import { root } from './documents.ts';

describe('the configuration reference', () => {
  test('is what the schema makes it: `npm run docs` writes it anew', async () => {
    expect(readFileSync(REFERENCE_FILE, 'utf8')).toBe(await configurationReference());
  });

  const rows = [...referenceRows()].flatMap(([part, own]) => own.map((row) => ({ part, ...row })));

  test('has a meaning, a default and an example for every key', () => {
    const bare = rows.filter(({ meaning, defaultText, example }) => [meaning, defaultText, example].includes(''));
    expect(bare.map(({ part, path }) => `${part} ${path}`)).toEqual([]);
    expect(rows.length).toBeGreaterThan(150);
  });

  test('tells of every connector and provider of the catalog', () => {
    const parts = [...referenceRows().keys()];
    for (const { name } of CATALOG.connectors) expect(parts).toContain(`connector ${name}`);
    for (const { name } of CATALOG.providers) expect(parts).toContain(`provider ${name}`);
  });

  test('takes its defaults from a file that is silent', () => {
    const told = new Map(
      referenceRows()
        .get('')!
        .map(({ path, defaultText }) => [path, defaultText]),
    );
    expect(told.get('limits.drain')).toBe('`25s`');
    expect(told.get('services.<name>.socketMode')).toBe('`"0600"`');
    expect(told.get('egress.mode')).toBe('`proxy`');
  });

  test('tells of the keys that every HTTP connector has', () => {
    const keys = referenceRows()
      .get('every HTTP connector')!
      .map(({ path }) => path);
    expect(keys).toEqual(['authenticateURLsMatching', 'forceSSL']);
  });

  test('the file that shows what no example needs loads without an error', () => {
    const { problems } = readConfig(join(root, 'docs/every-key.yml'), {
      HOME: '/nowhere',
      SECRETLESS_HOME: '/nowhere',
    });
    expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([]);
  });
});

describe('keys of a schema', () => {
  test('are listed with what stands below them, also in lists, maps and alternatives', () => {
    const schema = {
      type: 'object',
      required: ['a'],
      properties: {
        a: { type: 'array', items: { type: 'object', properties: { b: { type: 'string', description: 'a word' } } } },
        c: { type: 'object', additionalProperties: { type: 'integer', maximum: 9 } },
        d: { anyOf: [{ type: 'object', properties: { e: { type: 'boolean' } } }, { const: 'off' }] },
      },
    };
    expect(keysOf(schema).map(({ path, type }) => [path, type])).toEqual([
      ['a', 'list of maps'],
      ['a[].b', 'text'],
      ['c', 'map of whole number, 0 to 9'],
      ['c.<name>', 'whole number, 0 to 9'],
      ['d', '`off`, or map'],
      ['d.e', '`true`, `false`'],
    ]);
    expect(keysOf(schema).map(({ required }) => required)).toEqual([true, false, false, false, false, false]);
  });

  test('a credential is one word, not what stands below it', () => {
    const credential = { type: 'object', required: ['from', 'get'], properties: { from: {}, get: {} } };
    expect(typeOf({ anyOf: [credential, { type: 'string' }, { type: 'null' }] })).toBe('credential');
    expect(keysOf({ type: 'object', properties: { key: credential } })).toHaveLength(1);
  });
});
