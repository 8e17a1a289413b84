import type { ValidateFunction } from 'ajv';
import type { TSchema } from '../schema.ts';

/**
 * The validators that Ajv compiled when this was built. From source there are none; what is asked for is noted, and
 * `release/validators.ts` compiles it and puts what comes of it in place of this file.
 */
export const asked = new Map<string, TSchema>();

/** `digest`: of the schema; a validator of another schema has another one. */
export function compiledFor(digest: string, schema: TSchema): ValidateFunction | undefined {
  asked.set(digest, schema);
  return undefined;
}
