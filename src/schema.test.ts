import { Type as TypeBox } from 'typebox';
import { afterEach, expect, test, vi } from 'vitest';

/** Everything the product validates with, built with the builders that `schema.ts` exports just now. */
async function everySchema() {
  const { CATALOG } = await import('./main.ts');
  const { emitSchema } = await import('./config/emit.ts');
  return {
    emitted: emitSchema(CATALOG),
    connectors: CATALOG.connectors.map(({ config }) => config),
    providers: CATALOG.providers.map(({ config }) => config),
  };
}

afterEach(() => {
  vi.doUnmock('./schema.ts');
  vi.resetModules();
});

test('every schema of the product is what TypeBox itself makes of it', async () => {
  const ours = JSON.stringify(await everySchema());
  vi.resetModules();
  vi.doMock('./schema.ts', () => ({ Type: TypeBox }));
  const theirs = JSON.stringify(await everySchema());
  expect(JSON.parse(ours)).toEqual(JSON.parse(theirs));
  expect(ours.length).toBeGreaterThan(10_000);
});

test('the comparison sees a builder that is wrong', async () => {
  const theirs = JSON.stringify(await everySchema());
  vi.resetModules();
  vi.doMock('./schema.ts', () => ({ Type: { ...TypeBox, Integer: TypeBox.Number } }));
  expect(JSON.stringify(await everySchema())).not.toBe(theirs);
});

test('an optional property is not required, and the mark does not print', async () => {
  const { Type } = await import('./schema.ts');
  const schema = Type.Object({ a: Type.Optional(Type.String()), b: Type.Integer() });
  expect(JSON.stringify(schema)).toBe(
    '{"type":"object","required":["b"],"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}',
  );
  expect(schema).toEqual(TypeBox.Object({ a: TypeBox.Optional(TypeBox.String()), b: TypeBox.Integer() }));
});
