import { type Document, isScalar, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Node } from 'yaml';
import { finding, type Finding } from './finding.ts';
import { bare, keyOf, mapsOf, newTree, pairOf, textNode, textOf, valueOf } from './tree.ts';

const KEYS = {
  top: new Set(['version', 'listeners', 'handlers']),
  listener: new Set(['name', 'protocol', 'address', 'socket', 'debug', 'caCertFiles']),
  handler: new Set(['name', 'listener', 'type', 'debug', 'match', 'credentials']),
} as const;

interface Conversion {
  readonly services: YAMLMap;
  readonly listeners: readonly YAMLMap[];
  readonly listenersIn: Node | undefined;
  readonly handlersIn: Node | undefined;
  readonly used: Set<string>;
  readonly findings: Finding[];
}

/**
 * A version 1 file as one of version 2: each handler becomes a service of its name, as the reader of configurations
 * has it (`convertVersion1`). Only for files that it takes. Nodes are moved, so that their comments move with them.
 */
export function fromVersion1(document: Document): { readonly document: Document; readonly findings: Finding[] } {
  const result = newTree({ version: '2', services: {} });
  const { contents } = document;
  const conversion: Conversion = {
    services: valueOf(result.contents, 'services') as YAMLMap,
    listeners: mapsOf(valueOf(contents, 'listeners')).map(({ map }) => map),
    listenersIn: valueOf(contents, 'listeners'),
    handlersIn: valueOf(contents, 'handlers'),
    used: new Set(),
    findings: [finding('note', [], 'a version 1 file, as one of version 2')],
  };
  noteUnknown(contents, KEYS.top, 'the file', conversion);
  for (const listener of conversion.listeners) noteUnknown(listener, KEYS.listener, 'a listener', conversion);
  for (const { map } of mapsOf(valueOf(contents, 'handlers'))) addService(map, conversion);
  const above = (key: string): string | null | undefined => keyNodeOf(contents, key)?.commentBefore;
  result.commentBefore = joined(document.commentBefore, contents?.commentBefore, above('version'), above('listeners'));
  const key = keyNodeOf(result.contents, 'services');
  if (key !== undefined) key.commentBefore = joined(above('handlers'));
  if (document.comment != null) result.comment = document.comment;
  return { document: result, findings: conversion.findings };
}

function keyNodeOf(map: unknown, key: string): Scalar | undefined {
  const node = pairOf(map, key)?.key;
  return isScalar(node) ? node : undefined;
}

function noteUnknown(map: unknown, known: ReadonlySet<string>, where: string, { findings }: Conversion): void {
  if (!(map instanceof YAMLMap)) return;
  for (const pair of map.items as Pair[]) {
    if (known.has(keyOf(pair))) continue;
    findings.push(finding('warning', [], `${where} had the key ${keyOf(pair)}, which never had an effect: left out`));
  }
}

function addService(handler: YAMLMap, conversion: Conversion): void {
  const { services, listeners, used, findings } = conversion;
  const name = textOf(valueOf(handler, 'name')) ?? '';
  const wanted = textOf(valueOf(handler, 'listener'));
  const listener = listeners.find((each) => textOf(valueOf(each, 'name')) === wanted);
  if (listener === undefined || wanted === undefined) return;
  const protocol = textOf(valueOf(listener, 'protocol'));
  const http = protocol === undefined || protocol === 'http' || protocol === 'https';
  if (!http && used.has(wanted)) {
    const text = `the handler ${JSON.stringify(name)} is left out: its listener has always served its first handler only`;
    findings.push(finding('warning', ['services'], text));
    return;
  }
  const isFirst = !used.has(wanted);
  used.add(wanted);
  noteUnknown(handler, KEYS.handler, `the handler ${JSON.stringify(name)}`, conversion);
  const key = textNode(name);
  const about = isFirst ? [...listed(listener, conversion.listenersIn), ...named(listener)] : [];
  key.commentBefore = joined(...about, ...listed(handler, conversion.handlersIn), ...named(handler));
  if (handler.spaceBefore === true) key.spaceBefore = true;
  services.items.push(new Pair(key, serviceOf(handler, listener, http)));
  notePath(name, handler, listener, findings);
}

function notePath(name: string, handler: YAMLMap, listener: YAMLMap, findings: Finding[]): void {
  const path = ['services', name];
  for (const [holder, key] of [
    [handler, 'debug'],
    [listener, 'debug'],
  ] as const) {
    if (valueOf(holder, key) !== undefined) {
      findings.push(finding('note', path, '`debug` never had an effect; `secretless start --debug` has'));
    }
  }
  if (valueOf(listener, 'caCertFiles') !== undefined) {
    const text = '`caCertFiles` never had an effect; authorities to trust stand in `tls: { ca: … }` of a service';
    findings.push(finding('warning', path, text));
  }
}

function serviceOf(handler: YAMLMap, listener: YAMLMap, http: boolean): YAMLMap {
  const service = new YAMLMap();
  const word = pairOf(http ? handler : listener, http ? 'type' : 'protocol');
  const connector = textOf(word?.value) ?? '';
  put(service, 'connector', word, alike(textNode(http ? connector.replace(/^http\//, '') : connector), word));
  const address = pairOf(listener, 'address');
  const place = address ?? pairOf(listener, 'socket');
  const scheme = address === undefined ? 'unix' : 'tcp';
  put(service, 'listenOn', place, alike(textNode(`${scheme}://${textOf(place?.value) ?? ''}`), place));
  const credentials = pairOf(handler, 'credentials');
  if (credentials !== undefined) put(service, 'credentials', credentials, credentialsOf(credentials.value));
  const match = pairOf(handler, 'match');
  if (http && match !== undefined) {
    const config = new YAMLMap();
    put(config, 'authenticateURLsMatching', match, patternsOf(match.value as Node));
    put(service, 'config', undefined, config);
  }
  return service;
}

function credentialsOf(list: unknown): YAMLMap {
  const credentials = new YAMLMap();
  for (const { map: credential } of mapsOf(list)) {
    const reference = new YAMLMap();
    reference.flow = credential.flow === true;
    for (const [key, old] of [
      ['from', 'provider'],
      ['get', 'id'],
    ] as const) {
      const pair = pairOf(credential, old);
      if (pair !== undefined) put(reference, key, pair, pair.value as Node);
    }
    const name = pairOf(credential, 'name');
    const key = textNode(textOf(name?.value) ?? '');
    key.commentBefore = joined(...listed(credential, list), ...named(credential));
    credentials.items.push(new Pair(key, reference));
  }
  return credentials;
}

/** Patterns are text in version 2, where version 1 made text of everything. */
function patternsOf(list: Node): Node {
  if (!(list instanceof YAMLSeq)) return list;
  list.items = list.items.map((item: unknown) => {
    const text = textOf(item);
    if (!isScalar(item) || text === undefined || item.type !== Scalar.PLAIN) return item;
    return alike(textNode(text), new Pair(bare(''), item));
  });
  return list;
}

/** A pair with the comments of an older one. */
function put(map: YAMLMap, key: string, from: Pair | undefined, value: Node): void {
  const node = bare(key);
  const old = from?.key;
  if (isScalar(old)) {
    if (old.commentBefore != null) node.commentBefore = old.commentBefore;
    if (old.comment != null) node.comment = old.comment;
  }
  map.items.push(new Pair(node, value));
}

/** A new scalar with the comments of the one in whose place it stands. */
function alike(node: Scalar, from: Pair | undefined): Scalar {
  const old = from?.value;
  if (!isScalar(old)) return node;
  if (old.commentBefore != null) node.commentBefore = old.commentBefore;
  if (old.comment != null) node.comment = old.comment;
  return node;
}

type Comments = readonly (string | null | undefined)[];

/** Comments above an item: those of the first are those of its list. */
function listed(item: YAMLMap, list: unknown): Comments {
  const isFirst = list instanceof YAMLSeq && list.items[0] === item;
  return [isFirst ? list.commentBefore : undefined, item.commentBefore];
}

/** Comments on the name of an item, which becomes a key. */
function named(item: YAMLMap): Comments {
  const name = pairOf(item, 'name');
  const [key, value] = [name?.key, name?.value];
  return [isScalar(key) ? key.commentBefore : undefined, isScalar(value) ? value.comment : undefined];
}

function joined(...comments: readonly (string | null | undefined)[]): string | null {
  const there = comments.filter((each) => each != null);
  return there.length === 0 ? null : there.join('\n');
}
