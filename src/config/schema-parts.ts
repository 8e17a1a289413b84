import { Type } from '../schema.ts';
import type { Static, TObject, TProperties, TSchema } from '../schema.ts';
import { DURATION_PATTERN, SIZE_PATTERN } from '../units.ts';

/**
 * The grammar, once. `canonical` is what validation sees after the short forms were written out (a list for every
 * `listenOn`, `{from, get}` for every credential); `written` is what people and editors see, short forms included.
 */
export type View = 'canonical' | 'written';

/** The words of the catalog that the written view offers in an editor. */
export interface Words {
  readonly connectors: readonly string[];
  readonly providers: readonly string[];
}

export function strict<Properties extends TProperties>(
  properties: Properties,
  description?: string,
): TObject<Properties> {
  return Type.Object(properties, {
    additionalProperties: false,
    ...(description === undefined ? {} : { description }),
  });
}

export function mapOf<Schema extends TSchema>(schema: Schema, options: object = {}) {
  return Type.Unsafe<Record<string, Static<Schema>>>({ type: 'object', additionalProperties: schema, ...options });
}

/** In the written view the short forms stand beside the canonical one. */
export function orShort<Schema extends TSchema>(view: View, canonical: Schema, ...short: TSchema[]): Schema {
  return view === 'canonical' ? canonical : (Type.Union([canonical, ...short]) as TSchema as Schema);
}

/** A text that editors complete from `words`, any other text allowed where `open`. */
export function word(view: View, words: readonly string[], open: boolean, description: string) {
  if (view === 'canonical' || words.length === 0) return Type.String({ description });
  const closed = { type: 'string', enum: [...words] };
  return Type.Unsafe<string>({ description, ...(open ? { anyOf: [closed, { type: 'string' }] } : closed) });
}

export function duration(description: string) {
  return Type.String({ pattern: DURATION_PATTERN, description, examples: ['5s', '500ms', '5m'] });
}

export function size(description: string) {
  return Type.Unsafe<string | number>({
    type: ['string', 'integer'],
    pattern: SIZE_PATTERN,
    minimum: 0,
    description,
    examples: ['32KiB', '50MiB'],
  });
}

export function names(description: string, examples: readonly string[]) {
  return Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description, examples: [[...examples]] });
}

export const SCALARS = [Type.Number(), Type.Boolean(), Type.Null()] as const;

export function credential(view: View, words: Words) {
  const get = 'What to fetch: the provider says how it is written';
  return strict(
    {
      from: word(view, words.providers, true, 'Provider, or a name from top-level `providers`'),
      get: orShort(view, Type.String({ description: get }), ...SCALARS),
    },
    'Where the credential comes from; a plain text is the credential itself',
  );
}

/** The canonical view lets an empty list through: which services need no address is not for a schema to say. */
export function listenOn(view: View) {
  return Type.Array(Type.String({ minLength: 1 }), {
    ...(view === 'canonical' ? {} : { minItems: 1 }),
    description: 'Addresses accepted on',
    examples: [['tcp://127.0.0.1:8080']],
  });
}

export function socketMode(view: View) {
  const description = 'Mode of its Unix sockets, octal';
  return orShort(view, Type.String({ pattern: '^0?[0-7]{3}$', description, examples: ['0600'] }), Type.Integer());
}
