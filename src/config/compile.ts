import { createRequire } from 'node:module';
import type { Ajv, Options, ValidateFunction } from 'ajv';
import type { TSchema } from '../schema.ts';

/** The schemas are code of ours, checked by tests: leaving out the meta-schema and the optimiser halves the time. */
export const AJV_OPTIONS = {
  ...{ strict: true, strictTypes: false, allowUnionTypes: true, allErrors: true, verbose: true },
  ...{ meta: false, validateSchema: false, code: { optimize: false }, logger: false },
} as const satisfies Options;

let ajv: Ajv | undefined;

/** Compiles a validator of a schema that the build has none of. Ajv is loaded for the first. */
export function compile(schema: TSchema): ValidateFunction {
  if (ajv === undefined) {
    const loaded = createRequire(import.meta.url)('ajv') as { readonly Ajv: typeof Ajv };
    ajv = new loaded.Ajv(AJV_OPTIONS);
  }
  return ajv.compile(schema);
}
