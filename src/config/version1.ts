import { childOf, entryOf, listNode, mapNode, scalarNode, stringOf } from './node.ts';
import type { Entry, ListNode, MapNode, Node } from './node.ts';
import { quote, type Report } from './problem.ts';
import { version1 } from './schema.ts';
import { validate } from './validate.ts';

/**
 * Converts a version 1 file (`listeners` and `handlers`) to the version 2 form. A handler becomes a service of its
 * name; a listener that is not HTTP serves its first handler only, as it always did.
 */
export function convertVersion1(root: MapNode, report: Report): MapNode {
  report.warn([], 'a version 1 file: read as version 2, as `secretless check --print` shows it');
  for (const key of ['listeners', 'handlers']) {
    const node = childOf(root, key);
    if (node === undefined || (node.kind === 'list' && node.items.length === 0)) {
      report.error([key], `${key} cannot be blank`, { on: 'key' });
    }
  }
  const holder = { node: mapNode(root.at, root.entries) as Node };
  for (const key of ['listeners', 'handlers']) {
    if (childOf(root, key) === undefined) {
      (holder.node as MapNode).entries.set(key, { keyAt: root.at, node: listNode(root.at, []) });
    }
  }
  validate(holder, version1, [], report, { scalarsAsText: true });
  const listeners = itemsOf(childOf(holder.node, 'listeners'));
  const handlers = itemsOf(childOf(holder.node, 'handlers'));
  const services = mapNode(childOf(root, 'handlers')?.at ?? root.at);
  const used = new Set<string>();
  handlers.forEach((handler, at) => {
    const listener = listeners.find(
      (found) => stringOf(childOf(found, 'name')) === stringOf(childOf(handler, 'listener')),
    );
    if (listener === undefined) return report.error(['handlers', at], 'has no associated listener');
    addService(services, handler, listener, at, used, report);
  });
  checkListeners(listeners, handlers, report);
  const version = { keyAt: root.at, node: scalarNode(root.at, '2') };
  return mapNode(root.at, [
    ['version', version],
    ['services', { keyAt: services.at, node: services }],
  ]);
}

function itemsOf(node: Node | undefined): MapNode[] {
  return node?.kind === 'list' ? node.items.filter((item) => item.kind === 'map') : [];
}

function checkListeners(listeners: readonly MapNode[], handlers: readonly MapNode[], report: Report): void {
  const seen = new Set<string>();
  listeners.forEach((listener, at) => {
    const path = ['listeners', at];
    const name = stringOf(childOf(listener, 'name'));
    if (name !== undefined && seen.has(name))
      report.error([...path, 'name'], `the listener ${quote(name)} is written twice`);
    if (name !== undefined) seen.add(name);
    const handled = handlers.some((handler) => stringOf(childOf(handler, 'listener')) === name);
    if (!handled) report.error(path, 'has no associated handler');
    const address = entryOf(listener, 'address');
    const socket = entryOf(listener, 'socket');
    if (address === undefined && socket === undefined) report.error(path, 'address or socket is required');
    if (address !== undefined && socket !== undefined)
      report.error(path, 'only one of address or socket must be provided');
    if (entryOf(listener, 'caCertFiles') !== undefined) {
      report.warn(
        [...path, 'caCertFiles'],
        'has never had an effect: name the authorities in `tls.ca` of a version 2 service',
      );
    }
  });
}

function addService(
  services: MapNode,
  handler: MapNode,
  listener: MapNode,
  at: number,
  used: Set<string>,
  report: Report,
): void {
  const name = stringOf(childOf(handler, 'name'));
  const listenerName = stringOf(childOf(listener, 'name')) ?? '';
  const protocol = stringOf(childOf(listener, 'protocol'));
  const http = protocol === undefined || protocol === 'http' || protocol === 'https';
  if (!http && used.has(listenerName)) {
    return report.warn(['handlers', at], `ignored: the listener ${quote(listenerName)} serves its first handler only`);
  }
  used.add(listenerName);
  if (name === undefined) return;
  if (services.entries.has(name)) {
    return report.error(['handlers', at, 'name'], `the handler ${quote(name)} is written twice`);
  }
  const keyAt = entryOf(handler, 'name')!.node.at;
  services.entries.set(name, { keyAt, node: serviceNode(handler, listener, http, at, report) });
}

function serviceNode(handler: MapNode, listener: MapNode, http: boolean, at: number, report: Report): MapNode {
  const service = mapNode(handler.at);
  const word = http ? entryOf(handler, 'type') : entryOf(listener, 'protocol');
  const connector = stringOf(word?.node);
  if (word !== undefined && connector !== undefined && word.node.kind === 'scalar') {
    const node = scalarNode(word.node.at, http ? connector.replace(/^http\//, '') : connector, word.node);
    service.entries.set('connector', { ...word, node });
  } else if (http) {
    report.error(['handlers', at], 'type is required where the protocol of the listener is http');
  }
  const address = entryOf(listener, 'address') ?? entryOf(listener, 'socket');
  const place = stringOf(address?.node);
  if (address?.node.kind === 'scalar' && place !== undefined) {
    const text = entryOf(listener, 'address') === undefined ? `unix://${place}` : `tcp://${place}`;
    service.entries.set('listenOn', { ...address, node: scalarNode(address.node.at, text, address.node) });
  }
  const match = entryOf(handler, 'match');
  if (http && match !== undefined) {
    const config = mapNode(match.node.at, [['authenticateURLsMatching', match]]);
    service.entries.set('config', { ...match, node: config });
  }
  const credentials = entryOf(handler, 'credentials');
  if (credentials?.node.kind === 'list') {
    service.entries.set('credentials', { ...credentials, node: credentialsNode(credentials.node, at, report) });
  }
  return service;
}

function credentialsNode(list: ListNode, handler: number, report: Report): MapNode {
  const credentials = mapNode(list.at);
  list.items.forEach((item, at) => {
    const name = stringOf(childOf(item, 'name'));
    const provider = entryOf(item, 'provider');
    const id = entryOf(item, 'id');
    if (name === undefined || provider === undefined || id === undefined) return;
    if (credentials.entries.has(name)) {
      const path = ['handlers', handler, 'credentials', at, 'name'];
      return report.error(path, `the credential ${quote(name)} is written twice`);
    }
    const entries: [string, Entry][] = [
      ['from', provider],
      ['get', id],
    ];
    credentials.entries.set(name, { keyAt: entryOf(item, 'name')!.node.at, node: mapNode(item.at, entries) });
  });
  return credentials;
}
