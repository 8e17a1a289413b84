import type { Type as TypeBox } from 'typebox';

/**
 * TypeBox's builders for the part of JSON Schema that this product writes.
 *
 * The types are TypeBox's own; only the few lines that make the objects are ours. TypeBox's run-time is 373 modules:
 * loading them was a fifth of the time to ready and 20 MB of memory, for what is done here. `schema.test.ts` holds
 * every schema of the product against what TypeBox makes of it.
 */
type Builders = Pick<
  typeof TypeBox,
  | 'Array'
  | 'Boolean'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'String'
  | 'Union'
  | 'Unknown'
  | 'Unsafe'
>;

type Plain = Record<string, unknown>;

/** Marks an optional property; not enumerable, so that no validator or printer sees it. TypeBox uses the same key. */
const OPTIONAL = '~optional';

function isOptional(schema: object): boolean {
  return OPTIONAL in schema;
}

function object(properties: Record<string, object>, options?: Plain): Plain {
  const required = Object.keys(properties).filter((key) => !isOptional(properties[key]!));
  return { type: 'object', ...(required.length === 0 ? {} : { required }), properties, ...options };
}

function optional(schema: object): object {
  const copy = { ...schema };
  Object.defineProperty(copy, OPTIONAL, { value: true, enumerable: false });
  return copy;
}

const builders = {
  Array: (items: object, options?: Plain) => ({ type: 'array', items, ...options }),
  Boolean: (options?: Plain) => ({ type: 'boolean', ...options }),
  Integer: (options?: Plain) => ({ type: 'integer', ...options }),
  Literal: (value: unknown, options?: Plain) => ({ type: typeof value, const: value, ...options }),
  Null: (options?: Plain) => ({ type: 'null', ...options }),
  Number: (options?: Plain) => ({ type: 'number', ...options }),
  Object: object,
  Optional: optional,
  // Keys are always text here; TypeBox writes this pattern for `Type.String()`.
  Record: (_key: object, value: object, options?: Plain) => ({
    type: 'object',
    patternProperties: { '^.*$': value },
    ...options,
  }),
  String: (options?: Plain) => ({ type: 'string', ...options }),
  Union: (anyOf: readonly object[], options?: Plain) => ({ anyOf, ...options }),
  Unknown: (options?: Plain) => ({ ...options }),
  Unsafe: (schema: Plain) => schema,
};

export const Type = builders as unknown as Builders;
export type { Static, TObject, TProperties, TSchema } from 'typebox';
