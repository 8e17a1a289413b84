import { entryOf, type Node } from './node.ts';

/**
 * True for `credentials: {from, get}`: one fetch that brings several credentials, which the provider names.
 *
 * Two credentials that a service calls `from` and `get` cannot be told from it, so they need a third beside them, or the
 * long form.
 */
export function isNameless(credentials: Node): boolean {
  if (credentials.kind !== 'map' || credentials.entries.size !== 2 || !credentials.entries.has('get')) return false;
  return entryOf(credentials, 'from')?.node.kind === 'scalar';
}
