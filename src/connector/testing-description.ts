import { Ajv } from 'ajv';
import type { Describe } from './connector.ts';
import type { ConformanceCheck, ConnectorSample } from './testing.ts';

/** Characters of a sample credential at least, so that finding it somewhere is no accident. */
const SAMPLE_LENGTH_MIN = 8;

/** What can be seen without opening the connector. */
export function descriptionChecks(connector: Describe, sample: ConnectorSample): readonly ConformanceCheck[] {
  return [
    { name: 'its name, aliases and summary have the form of the catalog', run: () => checkWords(connector) },
    {
      name: 'its credentials are described and the sample provides them',
      run: () => checkCredentials(connector, sample),
    },
    { name: 'its schema refuses unknown keys at every level', run: () => checkStrictness(connector, sample) },
    { name: 'its schema and check() accept the sample', run: () => checkSample(connector, sample) },
  ];
}

function checkWords({ name, aliases = [], summary }: Describe): void {
  if (!/^[a-z][a-z\d]*(-[a-z\d]+)*$/.test(name)) throw new Error(`name "${name}" is not a kebab-case word`);
  for (const alias of aliases) {
    if (!/^[a-z][a-z\d_-]*$/.test(alias)) throw new Error(`alias "${alias}" is not a lower-case word`);
  }
  if (new Set([name, ...aliases]).size !== aliases.length + 1)
    throw new Error('a name stands twice among name and aliases');
  if (summary.trim() === '' || summary.includes('\n')) throw new Error('summary is not one line');
}

function checkCredentials({ credentials, otherCredentials }: Describe, sample: ConnectorSample): void {
  const known = credentials.map((spec) => spec.name);
  if (new Set(known).size !== known.length) throw new Error('a credential is described twice');
  for (const { name, meaning, example, required } of credentials) {
    if (meaning === '' || example === '') throw new Error(`credential "${name}" lacks a meaning or an example`);
    if (required && !Object.hasOwn(sample.credentials, name)) throw new Error(`the sample lacks credential "${name}"`);
  }
  for (const [name, value] of Object.entries(sample.credentials)) {
    if (otherCredentials === undefined && !known.includes(name))
      throw new Error(`the sample has unknown credential "${name}"`);
    if (value.length < SAMPLE_LENGTH_MIN) {
      throw new Error(`the sample's credential "${name}" is shorter than ${SAMPLE_LENGTH_MIN} characters`);
    }
  }
}

function checkStrictness({ config }: Describe, sample: ConnectorSample): void {
  const open = openLevel(config, 'config');
  if (open !== undefined) throw new Error(`${open} accepts keys that it does not name`);
  const extended = { ...(sample.config as object), surelyUnknown: 1 };
  if (new Ajv({ strict: false }).compile(config)(extended))
    throw new Error('config accepts keys that it does not name');
}

/** Path of the first schema node that lets unknown keys through. A map with free names has a schema for its values. */
function openLevel(node: unknown, path: string): string | undefined {
  if (typeof node !== 'object' || node === null) return undefined;
  const schema = node as Record<string, unknown>;
  if (Object.keys(schema).length === 0) return path;
  const isObject = schema['type'] === 'object' || schema['properties'] !== undefined;
  const closed = schema['additionalProperties'] === false || schema['unevaluatedProperties'] === false;
  const isMap = schema['properties'] === undefined && hasValueSchema(schema);
  if (isObject && !closed && !isMap) return path;
  const children: [string, unknown][] = [];
  for (const key of ['properties', 'patternProperties']) {
    for (const [name, child] of Object.entries(schema[key] ?? {})) children.push([`${path}.${name}`, child]);
  }
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    const branches = (schema[key] ?? []) as unknown[];
    // Of an intersection only the whole can be closed.
    if (key !== 'allOf' || !closed) branches.forEach((child, at) => children.push([`${path}.${key}[${at}]`, child]));
  }
  for (const key of ['items', 'additionalProperties'])
    if (schema[key] !== undefined) children.push([`${path}[]`, schema[key]]);
  for (const [childPath, child] of children) {
    const found = openLevel(child, childPath);
    if (found !== undefined) return found;
  }
  return undefined;
}

function hasValueSchema(schema: Record<string, unknown>): boolean {
  return schema['patternProperties'] !== undefined || typeof schema['additionalProperties'] === 'object';
}

function checkSample(connector: Describe, sample: ConnectorSample): void {
  const ajv = new Ajv({ strict: false, allErrors: true });
  const validate = ajv.compile(connector.config);
  if (!validate(sample.config)) throw new Error(`the schema refuses the sample: ${ajv.errorsText(validate.errors)}`);
  const problems = connector.check?.(sample.config, Object.keys(sample.credentials)) ?? [];
  if (problems.length > 0)
    throw new Error(`check() refuses the sample: ${problems.map(({ message }) => message).join('; ')}`);
}
