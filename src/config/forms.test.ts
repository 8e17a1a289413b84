import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { emitSchema } from './emit.ts';
import { load, ownCatalog, wholeCatalog } from './testdata/catalogs.ts';

const testdata = join(import.meta.dirname, 'testdata');

function texts(folder: string): [string, string][] {
  return readdirSync(join(testdata, folder))
    .filter((name) => name.endsWith('.yml'))
    .sort()
    .map((name) => [name, readFileSync(join(testdata, folder, name), 'utf8')]);
}

describe.each(['forms', 'corpus'])('every file of testdata/%s', (folder) => {
  test.each(texts(folder))('%s loads where the build has what it names', (file, text) => {
    const { config, problems } = load(text, { file, catalog: wholeCatalog });
    expect(problems.filter((problem) => problem.severity === 'error')).toEqual([]);
    expect(config?.services.length).toBeGreaterThan(0);
  });

  test.each(texts(folder))('%s has no other error in a small build', (file, text) => {
    const { config, problems, normalized } = load(text, { file, catalog: ownCatalog });
    const found = problems.filter((problem) => problem.severity === 'error');
    expect(found.filter((problem) => problem.kind !== 'not-in-build')).toEqual([]);
    expect(normalized).toBeDefined();
    expect(config === undefined).toBe(found.length > 0);
  });

  test.each(texts(folder))('%s loads again from its print', (file, text) => {
    const first = load(text, { file, catalog: wholeCatalog });
    const again = load(JSON.stringify(first.normalized), { file, catalog: wholeCatalog });
    expect(again.normalized).toEqual(first.normalized);
    expect(again.config?.services.map(({ name, listenOn, match }) => ({ name, listenOn, match }))).toEqual(
      first.config?.services.map(({ name, listenOn, match }) => ({ name, listenOn, match })),
    );
  });

  test.each(texts(folder))('%s is accepted by the schema for editors', (_, text) => {
    const validator = new Ajv({ strict: false, allErrors: true }).compile(emitSchema(wholeCatalog));
    validator(parse(text));
    expect(validator.errors ?? []).toEqual([]);
  });
});

test('the schema for editors refuses an unknown key and an unknown connector', () => {
  const validator = new Ajv({ strict: false }).compile(emitSchema(ownCatalog));
  const service = { connector: 'http', listenOn: 'tcp://127.0.0.1:1', credentials: { a: 'b' } };
  expect(validator({ version: '2', services: { api: service } })).toBe(true);
  expect(validator({ version: '2', services: { api: { ...service, listenon: 'x' } } })).toBe(false);
  expect(validator({ version: '2', services: { api: { ...service, connector: 'htp' } } })).toBe(false);
  expect(validator({ version: '2', services: { api: { ...service, config: { header: {} } } } })).toBe(false);
  expect(validator({ version: '2', services: [{ name: 'api', ...service }] })).toBe(true);
  expect(validator({ version: '2', identity: {}, services: { api: service } })).toBe(false);
});
