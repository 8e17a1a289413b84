import { Document, isMap, isPair, isScalar, isSeq, parseDocument, Scalar, visit } from 'yaml';
import type { LineCounter, Node, ScalarTag, Pair, YAMLMap } from 'yaml';
import { resolveScalar } from '../config/scalar.ts';

/** A key without a value stays one: without this it would become an empty text. */
const EMPTY: ScalarTag = {
  tag: 'tag:yaml.org,2002:null',
  default: true,
  identify: (value) => value === null,
  test: /^$/,
  resolve: () => new Scalar(null),
  stringify: () => '',
};

/** Every scalar is text as it was written: what `yes` or `010` means is for the reader of configurations to say. */
const AS_WRITTEN = { schema: 'failsafe', customTags: [EMPTY] as ScalarTag[], merge: false } as const;

/** YAML with its comments, in its order. Only for text that the reader of configurations has taken. */
export function parseTree(text: string, lineCounter?: LineCounter): Document {
  return parseDocument(text, {
    ...AS_WRITTEN,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
    ...(lineCounter === undefined ? {} : { lineCounter }),
  });
}

/** A tree of maps, lists and texts; a text that would be read as something else is quoted. */
export function newTree(value: unknown): Document {
  const document = new Document(value, AS_WRITTEN);
  visit(document, {
    Scalar: (key, node) => {
      if (key !== 'key' && node.type === undefined && typeof node.value === 'string') node.type = styleOf(node.value);
    },
  });
  return document;
}

/** A number or a word that must not be quoted. */
export function bare(text: string): Scalar {
  const node = new Scalar(text);
  node.type = Scalar.PLAIN;
  return node;
}

export function textNode(text: string): Scalar {
  const node = new Scalar(text);
  node.type = styleOf(text);
  return node;
}

function styleOf(text: string): Scalar.Type {
  if (resolveScalar(text).value !== text) return Scalar.QUOTE_SINGLE;
  return /^[\w/][\w./:@-]*$/.test(text) && !text.endsWith(':') ? Scalar.PLAIN : Scalar.QUOTE_SINGLE;
}

export function treeText(document: Document): string {
  return document.toString({ lineWidth: 0 });
}

/** A text as the reader of configurations takes it; undefined for what is no scalar. */
export function textOf(node: unknown): string | undefined {
  if (!isScalar(node) || typeof node.value !== 'string') return undefined;
  return node.type === Scalar.PLAIN || node.type === undefined ? resolveScalar(node.value).text : node.value;
}

export function keyOf(pair: Pair): string {
  const { key } = pair;
  return isScalar(key) && typeof key.value === 'string' ? key.value : '';
}

export function pairOf(map: unknown, key: string): Pair | undefined {
  return isMap(map) ? map.items.find((pair) => keyOf(pair) === key) : undefined;
}

export function valueOf(map: unknown, key: string): Node | undefined {
  return (pairOf(map, key)?.value as Node | null | undefined) ?? undefined;
}

/** Maps of a list, with their places in it. */
export function mapsOf(node: unknown): { readonly map: YAMLMap; readonly at: number }[] {
  if (!isSeq(node)) return [];
  return node.items.flatMap((map, at) => (isMap(map) ? [{ map, at }] : []));
}

export function removePair(map: YAMLMap, pair: Pair): void {
  map.items = map.items.filter((other) => other !== pair);
}

/** Puts a line of comment above the deepest node of a path that is there. */
export function comment(document: Document, path: readonly (string | number)[], text: string): void {
  const place = commentedAt(document, path);
  place.commentBefore = place.commentBefore == null ? text : `${place.commentBefore}\n${text}`;
}

function commentedAt(document: Document, path: readonly (string | number)[]): { commentBefore?: string | null } {
  let place: { commentBefore?: string | null } = document;
  let node: unknown = document.contents;
  for (const step of path) {
    // Inside `{ … }` a comment would tear the line apart: it stands above.
    if ((isMap(node) || isSeq(node)) && node.flow === true && place !== document) break;
    const next: unknown = isMap(node) ? pairOf(node, String(step)) : isSeq(node) ? node.items[Number(step)] : undefined;
    if (next === undefined) break;
    if (isPair(next)) {
      if (!isScalar(next.key)) break;
      place = next.key;
      node = next.value;
    } else {
      place = next as Node;
      node = next;
    }
  }
  return place;
}
