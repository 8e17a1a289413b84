import { hash } from 'node:crypto';
import type { ErrorObject } from 'ajv';
import type { Static, TSchema } from '../schema.ts';
import { compile } from './compile.ts';
import { compiledFor } from './compiled.ts';

/** Gives everything about a value that its schema does not allow; nothing of the branches of a union that failed. */
export type Check = (value: unknown) => readonly ErrorObject[];

const checks = new WeakMap<object, Check>();

/** The check of a schema: one that the build has compiled, or else by Ajv, which takes a quarter of a cold start. */
export function checkOf(schema: TSchema): Check {
  const known = checks.get(schema);
  if (known !== undefined) return known;
  const validator = compiledFor(digestOf(schema), schema) ?? compile(schema);
  const check: Check = (value) => {
    if (validator(value)) return [];
    const errors = withoutBranches(validator.errors ?? []);
    // They hold the value, which may be large.
    validator.errors = null;
    return errors;
  };
  checks.set(schema, check);
  return check;
}

/** Whether a value is what its schema describes. */
export function guardOf<Schema extends TSchema>(schema: Schema): (value: unknown) => value is Static<Schema> {
  const check = checkOf(schema);
  return (value): value is Static<Schema> => check(value).length === 0;
}

/** Of the schema as written: the order of its keys is the order of the errors. */
export function digestOf(schema: TSchema): string {
  return hash('sha256', JSON.stringify(schema), 'hex');
}

/** Keys and indexes that lead to the value that an error is about. */
export function placeOf({ instancePath }: ErrorObject): string[] {
  const steps = instancePath === '' ? [] : instancePath.slice(1).split('/');
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Errors inside the branches of an `anyOf` say nothing beside the one of the `anyOf` itself. */
function withoutBranches(errors: readonly ErrorObject[]): ErrorObject[] {
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf');
  return errors.filter(
    (error) =>
      error.keyword !== 'if' &&
      !unions.some(
        (union) =>
          error !== union &&
          error.schemaPath.startsWith(`${union.schemaPath}/`) &&
          error.instancePath.startsWith(union.instancePath),
      ),
  );
}
