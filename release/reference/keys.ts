import { DURATION_PATTERN, SIZE_PATTERN } from '../../src/units.ts';

/** The part of JSON Schema that the grammar is written in. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly description?: string;
}

/** One key of the configuration. */
export interface Key {
  /** With dots between; `<name>` where the writer chooses, `[]` for an item of a list. */
  readonly path: string;
  /** In words, Markdown. */
  readonly type: string;
  readonly required: boolean;
  /** Empty where the schema does not say. */
  readonly meaning: string;
}

/** Every key of an object schema and below, in the order of the schema. */
export function keysOf(schema: Schema, path = ''): Key[] {
  return objectsOf(schema).flatMap((object) => [...namedKeys(object, path), ...freeKeys(object, path)]);
}

function namedKeys({ properties = {}, required = [] }: Schema, path: string): Key[] {
  return Object.entries(properties).flatMap(([name, value]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const key = { path: at, type: typeOf(value), required: required.includes(name), meaning: meaningOf(value) };
    return [key, ...below(value, at)];
  });
}

/** Keys whose names the writer chooses: listed themselves, so that each level of a path has a row. */
function freeKeys({ additionalProperties, patternProperties = {} }: Schema, path: string): Key[] {
  const value = typeof additionalProperties === 'object' ? additionalProperties : Object.values(patternProperties)[0];
  if (value === undefined) return [];
  const at = `${path}.<name>`;
  return [{ path: at, type: typeOf(value), required: false, meaning: meaningOf(value) }, ...below(value, at)];
}

function below(value: Schema, path: string): Key[] {
  if (isCredential(value) || isCredentials(value)) return [];
  return [
    ...keysOf(value, path),
    ...alternatives(value).flatMap(({ items }) => (items ? keysOf(items, `${path}[]`) : [])),
  ];
}

function alternatives(schema: Schema): readonly Schema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

function objectsOf(schema: Schema): readonly Schema[] {
  return alternatives(schema).filter(
    ({ type }) => type === 'object' || (Array.isArray(type) && type.includes('object')),
  );
}

/** What says where a secret comes from: told once, not at each place where one may stand. */
function isCredential(schema: Schema): boolean {
  return objectsOf(schema).some(({ required = [] }) => required.includes('from') && required.includes('get'));
}

/** The secrets of a service: a map of them, or one that brings them all. */
function isCredentials(schema: Schema): boolean {
  return 'if' in schema && schema.type === 'object';
}

function meaningOf(schema: Schema): string {
  const described = [schema, ...alternatives(schema)].find(({ description }) => description !== undefined);
  return described?.description ?? '';
}

/** The type in words: `text`, `duration`, `` `allow` or `deny` ``, `list of text, or text`. */
export function typeOf(schema: Schema): string {
  if (isCredentials(schema)) return 'map of credentials, or one';
  if (isCredential(schema)) return 'credential';
  const words = new Set(alternatives(schema).flatMap(wordsOf));
  const literals = [...words].filter((word) => word.startsWith('`'));
  const others = [...words].filter((word) => !word.startsWith('`'));
  return [...(literals.length === 0 ? [] : [literals.join(', ')]), ...others].join(', or ');
}

function wordsOf(schema: Schema): string[] {
  const { type, pattern, items } = schema;
  if ('const' in schema) return [literal(schema.const)];
  if (schema.enum !== undefined) return schema.enum.map(literal);
  if (pattern === DURATION_PATTERN) return ['duration'];
  if (pattern === SIZE_PATTERN) return ['size'];
  switch (type) {
    case 'array':
      return [items === undefined ? 'list' : `list of ${itemsWord(items)}`];
    case 'object':
      return [schema.properties === undefined ? `map${valuesWord(schema)}` : 'map'];
    case 'integer':
      return [`whole number${range(schema)}`];
    case 'number':
      return ['number'];
    case 'boolean':
      return ['`true`, `false`'];
    case 'null':
      return [];
    case 'string':
      return ['text'];
    case undefined:
    default:
      return Array.isArray(type) ? (type as string[]).flatMap((each) => wordsOf({ type: each })) : ['any'];
  }
}

function itemsWord(items: Schema): string {
  const word = typeOf(items);
  return word === 'map' ? 'maps' : word;
}

function valuesWord({ additionalProperties, patternProperties = {} }: Schema): string {
  const value = typeof additionalProperties === 'object' ? additionalProperties : Object.values(patternProperties)[0];
  return value === undefined ? '' : ` of ${itemsWord(value)}`;
}

function literal(value: unknown): string {
  return `\`${value === '2' ? "'2'" : String(value)}\``;
}

function range({ minimum, maximum }: Schema): string {
  if (maximum === undefined) return '';
  return `, ${minimum ?? 0} to ${maximum.toLocaleString('en')}`;
}
