/** Applies a JSON Patch as RFC 6902 says, to a copy; throws where a step cannot be done. For what the webhook answers. */
export function applyPatch(document: unknown, operations: readonly Step[]): unknown {
  let root = structuredClone(document);
  for (const operation of operations) root = apply(root, operation);
  return root;
}

export interface Step {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

function apply(root: unknown, { op, path, value }: Step): unknown {
  if (path === '') throw new Error('the whole document is not replaced here');
  if (!path.startsWith('/')) throw new Error(`no JSON Pointer: ${path}`);
  const parts = path
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const key = parts.pop()!;
  const parent = parts.reduce((at, part) => child(at, part), root);
  if (Array.isArray(parent)) applyToList(parent, op, key, value);
  else applyToObject(parent, op, key, value);
  return root;
}

function child(at: unknown, part: string): unknown {
  if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) throw new Error(`nothing at ${part}`);
  return (at as Record<string, unknown>)[part];
}

function applyToList(list: unknown[], op: string, key: string, value: unknown): void {
  // RFC 6902 section 4.1: an index is no larger than the length; RFC 6901 section 4: no leading zeros.
  const index = key === '-' ? list.length : /^(0|[1-9][0-9]*)$/.test(key) ? Number(key) : -1;
  if (op === 'add' && index >= 0 && index <= list.length) list.splice(index, 0, structuredClone(value));
  else if (op === 'replace' && index >= 0 && index < list.length) list[index] = structuredClone(value);
  else throw new Error(`${op} cannot be done at ${key} of a list of ${list.length}`);
}

function applyToObject(parent: unknown, op: string, key: string, value: unknown): void {
  if (typeof parent !== 'object' || parent === null) throw new Error(`nothing to hold ${key}`);
  if (op === 'replace' && !Object.hasOwn(parent, key)) throw new Error(`nothing to replace at ${key}`);
  if (op !== 'add' && op !== 'replace') throw new Error(`${op} is not known`);
  (parent as Record<string, unknown>)[key] = structuredClone(value);
}
