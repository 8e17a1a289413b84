import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ErrorObject, ValidateFunction } from 'ajv';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { askedSchemas, compiledModule } from '../release/validators.ts';
import { checkOf, digestOf } from '../src/config/check-schema.ts';
import { compile } from '../src/config/compile.ts';
import { asked } from '../src/config/compiled.ts';
import { loadConfig } from '../src/config/load.ts';
import { CATALOG } from '../src/main.ts';
import { Type, type TSchema } from '../src/schema.ts';

/** The validators that a build compiles: they are all that it needs, and find what Ajv finds at run time. */

const ROOT = resolve(import.meta.dirname, '..');
const texts = ['config', 'config/examples', 'docs', 'src/config/testdata/forms', 'src/config/testdata/corpus'].flatMap(
  (folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.yml'))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
);

const place = mkdtempSync(join(tmpdir(), 'sl-validators-'));
const schemas = new Map(askedSchemas());
let compiledFor: (digest: string) => ValidateFunction | undefined;

/** As a build loads it. */
function load(text: string): typeof compiledFor {
  const file = join(mkdtempSync(join(place, 'module-')), 'compiled.mjs');
  writeFileSync(file, text);
  return (createRequire(import.meta.url)(file) as { compiledFor: typeof compiledFor }).compiledFor;
}

beforeAll(() => {
  symlinkSync(join(ROOT, 'node_modules'), join(place, 'node_modules'));
  compiledFor = load(compiledModule(schemas));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name));
}

test('every schema of the catalog is among those that a build compiles, and of the grammar both forms', () => {
  for (const { name, config } of [...CATALOG.connectors, ...CATALOG.providers]) {
    expect(compiledFor(digestOf(config)), name).toBeTypeOf('function');
  }
  const topmost = [...schemas.values()].map((schema) =>
    Object.keys((schema as { properties?: object }).properties ?? {}),
  );
  expect(topmost.filter((keys) => keys.includes('services'))).toHaveLength(1);
  expect(topmost.filter((keys) => keys.includes('handlers'))).toHaveLength(1);
});

test('no file that is shipped asks for a validator that a build does not compile', () => {
  expect(texts.length).toBeGreaterThan(30);
  const options = { file: 'f.yml', environment: {}, home: '/state', catalog: CATALOG };
  for (const text of texts) loadConfig(text, options);
  expect([...asked.keys()].filter((digest) => !schemas.has(digest))).toEqual([]);
  // The look sees what is asked for.
  const another = Type.Object({ another: Type.Boolean() });
  checkOf(another);
  expect([...asked.keys()].filter((digest) => !schemas.has(digest))).toEqual([digestOf(another)]);
});

test('nobody asks but those that a build listens to', () => {
  const asking = sources('src').filter((file) => readFileSync(join(ROOT, file), 'utf8').includes('/check-schema.ts'));
  // While it is loaded, or at each reading of a file.
  expect(asking.filter((file) => !file.startsWith('src/injector/'))).toEqual(['src/config/validate.ts']);
  for (const file of asking.filter((name) => name.startsWith('src/injector/'))) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    const calls = text.match(/\b(?:checkOf|guardOf)\(/g);
    expect(text.match(/^const \w+ = (?:checkOf|guardOf)\(/gm), file).toHaveLength(calls!.length);
  }
});

test('a validator is only found for the very schema that it was compiled of', () => {
  const [digest, schema] = [...schemas][0]!;
  expect(digestOf(structuredClone(schema))).toBe(digest);
  expect(compiledFor(digestOf({ ...schema, minProperties: 1 }))).toBeUndefined();
  expect(compiledFor(digestOf(Object.fromEntries(Object.entries(schema).reverse())))).toBeUndefined();
  expect(compiledFor('toString')).toBeUndefined();
});

test('a schema that its digest does not say whole is not compiled', () => {
  const unsaid = { type: 'number', maximum: Infinity } as TSchema;
  expect(() => compiledModule(new Map([[digestOf(unsaid), unsaid]]))).toThrow('a schema is not JSON');
});

const keywords = new Set<string>();

/** A validator keeps its errors until it is called again. */
function errorsOf(validator: ValidateFunction, value: unknown): ErrorObject[] | null | undefined {
  return validator(value) ? null : structuredClone(validator.errors);
}

interface Keywords {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly items?: Keywords;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Keywords>>;
  readonly patternProperties?: Readonly<Record<string, Keywords>>;
  readonly additionalProperties?: boolean | Keywords;
  readonly anyOf?: readonly Keywords[];
  readonly oneOf?: readonly Keywords[];
  readonly examples?: readonly unknown[];
}

const text = fc.constantFrom('', 'a', 'a b', '2', '5s', '32KiB', 'tcp://127.0.0.1:1', '*', '𝒳', 'x'.repeat(5000));
const number = fc.constantFrom(-1, 0, 1, 1.5, 80, 1e6, 1e12, NaN);
const anything = fc.oneof(text, number, fc.constantFrom<unknown>(null, true, [], {}, [''], ['a', 'a'], [{}, {}]));
const name = fc.constantFrom('a', 'b', 'x/y~z', '', 'constructor', 'no name');

/** Values that are mostly as a schema says, so that what is wrong is wrong deep within. */
function valuesOf(schema: Keywords): fc.Arbitrary<unknown> {
  return fc.oneof({ arbitrary: likeOf(schema), weight: 15 }, { arbitrary: anything, weight: 1 });
}

function likeOf(schema: Keywords): fc.Arbitrary<unknown> {
  const { type, items, enum: choices, examples = [] } = schema;
  if ('const' in schema) return fc.constant(schema.const);
  if (choices !== undefined) return fc.constantFrom(...choices);
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches !== undefined) return fc.oneof(...branches.map(valuesOf));
  if (Array.isArray(type)) return fc.oneof(...type.map((one: string) => likeOf({ ...schema, type: one })));
  if (type === 'array') return listsOf(items === undefined ? anything : valuesOf(items), schema);
  if (type === 'object') return mapsOf(schema);
  if (type === 'string') return examples.length === 0 ? text : fc.oneof(text, fc.constantFrom(...examples));
  if (type === 'boolean') return fc.boolean();
  return type === undefined ? anything : number;
}

function listsOf(items: fc.Arbitrary<unknown>, { maxItems }: Keywords): fc.Arbitrary<unknown> {
  const short = fc.array(items, { maxLength: 2 });
  if (maxItems === undefined) return short;
  const long = items.map((item) => Array.from({ length: maxItems + 1 }, () => item));
  return fc.oneof({ arbitrary: short, weight: 7 }, { arbitrary: long, weight: 1 });
}

function mapsOf({ properties = {}, patternProperties = {}, additionalProperties }: Keywords): fc.Arbitrary<object> {
  const known = Object.entries(properties).map(([key, schema]) => [key, valuesOf(schema)] as const);
  const others = Object.values(patternProperties);
  if (typeof additionalProperties === 'object') others.push(additionalProperties);
  const named = others.map((schema) => fc.dictionary(name, valuesOf(schema), { maxKeys: 2 }));
  const strange = fc.oneof(
    { arbitrary: fc.constant({}), weight: 15 },
    { arbitrary: fc.dictionary(name, text), weight: 1 },
  );
  return fc
    .tuple(fc.record(Object.fromEntries(known), { requiredKeys: [] }), strange, ...named)
    .map((maps) => Object.assign({}, ...maps) as object);
}

const CHECKING = [
  ...['type', 'const', 'enum', 'required', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems'],
  ...['maxItems', 'uniqueItems', 'minProperties', 'maxProperties', 'propertyNames', 'additionalProperties'],
  ...['anyOf', 'oneOf', 'not', 'if', 'exclusiveMinimum', 'exclusiveMaximum'],
];

test.each(
  [...schemas].map(
    ([digest, schema]) =>
      [Object.keys((schema as { properties?: object }).properties ?? {}).join() || digest, digest, schema] as const,
  ),
)(
  'the validator of { %s } finds what Ajv finds at run time',
  (_, digest, schema) => {
    const built = compiledFor(digest)!;
    const atRunTime = compile(schema);
    const same = (value: unknown): void => {
      const found = errorsOf(built, value);
      expect(found).toEqual(errorsOf(atRunTime, value));
      for (const { keyword } of found ?? []) keywords.add(keyword);
    };
    for (const written of texts) same(parse(written));
    fc.assert(fc.property(valuesOf(schema as Keywords), same), { numRuns: 500 });
  },
  60_000,
);

test('the values were wrong in every way that the schemas know', () => {
  const written = JSON.stringify([...schemas.values()]);
  const known = CHECKING.filter((keyword) => written.includes(`"${keyword}":`));
  expect(known.filter((keyword) => !keywords.has(keyword))).toEqual([]);
});
