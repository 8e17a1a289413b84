import type { ErrorObject } from 'ajv';
import type { TSchema } from '../schema.ts';
import { checkOf, placeOf } from './check-schema.ts';
import { nearest } from './nearest.ts';
import { childOf, plainOf, scalarNode, type Node, type Path, type Plain, type ScalarNode } from './node.ts';
import { quote, type Report } from './problem.ts';

/** What is left of a value after the parts that do not fit were taken out: anything may be missing. */
export type Loose<Value> = Value extends readonly (infer Item)[]
  ? readonly (Loose<Item> | undefined)[]
  : Value extends object
    ? { readonly [Key in keyof Value]?: Loose<Value[Key]> | undefined }
    : Value;

export interface ValidateOptions {
  /** Unquoted scalars become text where text is asked for, as version 2 files expect of `config`. */
  readonly scalarsAsText?: boolean;
  /** Keys of the topmost map that somebody else reads: what a typing error may have meant. */
  readonly otherKeys?: readonly string[];
}

export interface Validated {
  readonly valid: boolean;
  /** The value without what does not fit. */
  readonly value: Plain;
}

/** Checks a node against a schema and reports each misfit at its place under `path`. May put text in place of scalars. */
export function validate(
  parent: { node: Node },
  schema: TSchema,
  path: Path,
  report: Report,
  options: ValidateOptions = {},
): Validated {
  const check = checkOf(schema);
  let value = plainOf(parent.node);
  let errors = check(value);
  const repaired = errors.filter((error) => repair(parent, error, path, report, options));
  if (repaired.length > 0) {
    value = plainOf(parent.node);
    errors = check(value);
  }
  if (errors.length === 0) return { valid: true, value };
  for (const error of errors) reportError(error, path, report, parent.node, options.otherKeys ?? []);
  for (const error of errors) value = prune(value, pathOf(error));
  return { valid: false, value };
}

/** To what has to go: the value, or the key of it that nobody knows. */
function pathOf(error: ErrorObject): string[] {
  const path = placeOf(error);
  const { additionalProperty } = error.params as { additionalProperty?: string };
  return additionalProperty === undefined ? path : [...path, additionalProperty];
}

/** Puts a scalar in the form that the schema asks for, where that changes nothing but its type. */
function repair(
  parent: { node: Node },
  error: ErrorObject,
  base: Path,
  report: Report,
  { scalarsAsText = false }: ValidateOptions,
): boolean {
  if (error.keyword !== 'type') return false;
  const path = pathOf(error);
  const wanted = String((error.params as { type: unknown }).type);
  let done = false;
  parent.node = replaceAt(parent.node, path, (found) => {
    if (
      wanted.split(',').includes('string') &&
      scalarsAsText &&
      typeof found.value !== 'string' &&
      found.value !== null
    ) {
      if (found.text !== found.written) {
        report.warn([...base, ...path], 'this unquoted value is read as YAML 1.1 and changes: write it in quotes');
      }
      done = true;
      return scalarNode(found.at, found.text, found);
    }
    if (!found.expanded || found.style !== 'plain') return found;
    const value = typedText(found.text, wanted);
    if (value === undefined) return found;
    done = true;
    return { ...found, value };
  });
  return done;
}

/** A number or boolean out of an environment variable, for `${VAR}` where the grammar asks for one. */
function typedText(text: string, wanted: string): number | boolean | undefined {
  if (wanted === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if ((wanted === 'integer' || wanted === 'number') && /^(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  return undefined;
}

function replaceAt(node: Node, path: readonly string[], change: (node: ScalarNode) => ScalarNode): Node {
  const [step, ...rest] = path;
  if (step === undefined) return node.kind === 'scalar' ? change(node) : node;
  if (node.kind === 'list') {
    node.items[Number(step)] = replaceAt(node.items[Number(step)]!, rest, change);
  } else if (node.kind === 'map') {
    const entry = node.entries.get(step)!;
    node.entries.set(step, { ...entry, node: replaceAt(entry.node, rest, change) });
  }
  return node;
}

/** The value without what stands at `path`; an item of a list leaves a gap, so that the others keep their places. */
function prune(value: Plain, path: readonly string[]): Plain {
  if (value === null || typeof value !== 'object' || path.length === 0) return value;
  let holder: Plain | undefined = value;
  for (const step of path.slice(0, -1)) {
    holder = (holder as Record<string, Plain>)[step];
    if (holder === null || typeof holder !== 'object') return value;
  }
  const last = path.at(-1)!;
  if (Array.isArray(holder)) (holder as (Plain | undefined)[])[Number(last)] = undefined;
  else delete holder[last];
  return value;
}

interface Described {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly { readonly const?: unknown }[];
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  array: 'a list',
  null: 'empty',
};

function reportError(error: ErrorObject, base: Path, report: Report, root: Node, otherKeys: readonly string[]): void {
  const path = [...base, ...pathOf(error)];
  const schema = (error.parentSchema ?? {}) as Described;
  const params = error.params as Readonly<Record<string, unknown>>;
  const consequence = error.keyword !== 'additionalProperties' && error.keyword !== 'required' && report.refused(path);
  if (consequence) return;
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(path.at(-1));
      const others = error.instancePath === '' ? otherKeys : [];
      const suggestion = nearest(key, [...Object.keys(schema.properties ?? {}), ...others]);
      return report.error(path, `unknown key ${quote(key)}`, { on: 'key', suggestion });
    }
    case 'required':
      return report.error(path, `the key ${quote(String(params['missingProperty']))} is missing`, { on: 'key' });
    case 'type':
      return report.error(path, typeMessage(error, schema, nodeUnder(root, pathOf(error))));
    default:
      return reportMisfit(error, path, schema, report, root);
  }
}

function reportMisfit(error: ErrorObject, path: Path, schema: Described, report: Report, root: Node): void {
  const params = error.params as Readonly<Record<string, unknown>>;
  const choices = choicesOf(schema);
  if (choices !== undefined) {
    const found = nodeUnder(root, pathOf(error));
    const written = found?.kind === 'scalar' ? found.written : '';
    return report.error(path, `must be one of ${choices.join(', ')}`, { suggestion: nearest(written, choices) });
  }
  report.error(path, misfitMessage(error.keyword, params['limit'], schema));
}

function misfitMessage(keyword: string, limit: unknown, schema: Described): string {
  const bound = String(limit);
  switch (keyword) {
    case 'minProperties':
    case 'minItems':
      return limit === 1 ? 'must not be empty' : `must hold at least ${bound}`;
    case 'maxItems':
    case 'maxProperties':
      return `must hold at most ${bound}`;
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${bound} characters`;
    case 'maxLength':
      return `must have at most ${bound} characters`;
    case 'minimum':
      return `must be at least ${bound}`;
    case 'maximum':
      return `must be at most ${bound}`;
    case 'uniqueItems':
      return 'must not name anything twice';
    case 'pattern':
      return `has the wrong form${like(schema)}`;
    default:
      return 'has none of the forms that are accepted here';
  }
}

function typeMessage(error: ErrorObject, schema: Described, found: Node | undefined): string {
  const wanted = [(error.params as { type: unknown }).type].flat().map((type) => TYPES[String(type)] ?? String(type));
  const asText = wanted[0] === 'text' && found?.kind === 'scalar' && found.value !== null;
  return `must be ${wanted.join(' or ')}${asText ? ': write it in quotes' : ''}${like(schema)}`;
}

function like(schema: Described): string {
  const examples = (schema.examples ?? []).filter((example) => typeof example === 'string');
  return examples.length === 0 ? '' : `, like ${examples.join(' or ')}`;
}

function choicesOf(schema: Described): string[] | undefined {
  if (schema.enum !== undefined) return schema.enum.map(String);
  const constants = schema.anyOf?.map((branch) => branch.const);
  return constants?.every((constant) => typeof constant === 'string') === true ? constants : undefined;
}

function nodeUnder(root: Node, path: readonly string[]): Node | undefined {
  let node: Node | undefined = root;
  for (const step of path) node = node?.kind === 'list' ? node.items[Number(step)] : childOf(node, step);
  return node;
}
