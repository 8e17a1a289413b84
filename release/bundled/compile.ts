/** In place of `src/config/compile.ts`: a single executable has all validators, and no compiler. */
export function compile(): never {
  throw new Error('a schema has no validator in this build');
}
