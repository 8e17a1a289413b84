/** One step of a JSON Patch (RFC 6902). */
export type Operation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** A key as a part of a JSON Pointer (RFC 6901 section 3). */
export function pointerPart(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Appends to the list at `path`, and makes it where there is none. */
export function appended(
  path: string,
  present: readonly unknown[] | undefined,
  values: readonly unknown[],
): Operation[] {
  if (values.length === 0) return [];
  if (present === undefined) return [{ op: 'add', path, value: values }];
  return values.map((value) => ({ op: 'add', path: `${path}/-`, value }));
}

/** Puts `value` before all others of the list at `path`. */
export function prepended(path: string, present: readonly unknown[] | undefined, value: unknown): Operation {
  return present === undefined ? { op: 'add', path, value: [value] } : { op: 'add', path: `${path}/0`, value };
}
