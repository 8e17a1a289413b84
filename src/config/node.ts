/** Keys and list indexes from the root down. */
export type Path = readonly (string | number)[];

/** What the file says, free of YAML: every node knows its place, so that converted forms still point into the file. */
export type Node = ScalarNode | MapNode | ListNode;

export interface ScalarNode {
  readonly kind: 'scalar';
  /** Offset in the text. */
  readonly at: number;
  /** The value after YAML 1.1 resolution and `${VAR}` expansion. */
  readonly value: string | number | boolean | null;
  /** The value as the text that version 2 files have always made of it: `010` is `8`. */
  readonly text: string;
  /** As the file has it, before resolution and expansion. */
  readonly written: string;
  readonly style: 'plain' | 'quoted' | 'block';
  /** True where a `${VAR}` was replaced. */
  readonly expanded: boolean;
}

export interface Entry {
  readonly keyAt: number;
  readonly node: Node;
}

export interface MapNode {
  readonly kind: 'map';
  readonly at: number;
  readonly entries: Map<string, Entry>;
}

export interface ListNode {
  readonly kind: 'list';
  readonly at: number;
  readonly items: Node[];
}

export function scalarNode(at: number, text: string, from?: ScalarNode): ScalarNode {
  if (from !== undefined) return { ...from, value: text, text };
  return { kind: 'scalar', at, value: text, text, written: text, style: 'quoted', expanded: false };
}

export function mapNode(at: number, entries: Iterable<readonly [string, Entry]> = []): MapNode {
  return { kind: 'map', at, entries: new Map(entries) };
}

export function listNode(at: number, items: Node[]): ListNode {
  return { kind: 'list', at, items };
}

/** The entry of a map; undefined where the node is no map or has no such key. */
export function entryOf(node: Node | undefined, key: string): Entry | undefined {
  return node?.kind === 'map' ? node.entries.get(key) : undefined;
}

export function childOf(node: Node | undefined, key: string): Node | undefined {
  return entryOf(node, key)?.node;
}

/** The text of a string scalar; undefined for anything else. */
export function stringOf(node: Node | undefined): string | undefined {
  return node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
}

export function nodeAt(root: Node | undefined, path: Path): Entry | undefined {
  if (root === undefined) return undefined;
  let entry: Entry = { keyAt: root.at, node: root };
  for (const step of path) {
    const next = descend(entry.node, step);
    if (next === undefined) return undefined;
    entry = next;
  }
  return entry;
}

function descend(node: Node, step: string | number): Entry | undefined {
  if (node.kind === 'map') return node.entries.get(String(step));
  if (node.kind === 'scalar') return undefined;
  const item = node.items[Number(step)];
  return item === undefined ? undefined : { keyAt: item.at, node: item };
}

export type Plain = string | number | boolean | null | Plain[] | { [key: string]: Plain };

export function plainOf(node: Node, scalar: (node: ScalarNode) => Plain = (found) => found.value): Plain {
  if (node.kind === 'scalar') return scalar(node);
  if (node.kind === 'list') return node.items.map((item) => plainOf(item, scalar));
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, plainOf(entry.node, scalar)]));
}
