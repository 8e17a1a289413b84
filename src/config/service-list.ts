import { connectorWords, findConnector, type Catalog } from './catalog.ts';
import { nearest } from './nearest.ts';
import { childOf, entryOf, mapNode, scalarNode, stringOf } from './node.ts';
import type { Entry, ListNode, MapNode, Node, Path } from './node.ts';
import { quote, type Report } from './problem.ts';

/** Ways to authenticate that are parts of the generic HTTP connector: the key of its `config` each one stands for. */
const GENERIC_PARTS: Readonly<Record<string, string>> = {
  headers: 'headers',
  oauth1: 'oauth1',
  queryParams: 'queryParams',
};

/** Converts services written as a list to the map form. */
export function convertServiceList(list: ListNode, catalog: Catalog, report: Report): MapNode {
  const services = mapNode(list.at);
  list.items.forEach((item, at) => {
    const path = ['services', at];
    if (item.kind !== 'map') return report.error(path, 'a service must be a map');
    const name = entryOf(item, 'name');
    const text = stringOf(name?.node);
    if (name === undefined || text === undefined || text === '') {
      return report.error(
        path,
        name === undefined ? 'the key "name" is missing' : 'the name must be text: write it in quotes',
      );
    }
    if (services.entries.has(text))
      return report.error([...path, 'name'], `the service ${quote(text)} is written twice`);
    services.entries.set(text, { keyAt: name.node.at, node: convertService(item, path, catalog, report) });
  });
  return services;
}

function convertService(item: MapNode, path: Path, catalog: Catalog, report: Report): MapNode {
  const service = mapNode(item.at, item.entries);
  service.entries.delete('name');
  service.entries.delete('authentication');
  const credentials = entryOf(item, 'credentials');
  if (credentials?.node.kind === 'list') {
    const node = convertCredentials(credentials.node, [...path, 'credentials'], report);
    service.entries.set('credentials', { ...credentials, node });
  }
  const authentication = entryOf(item, 'authentication');
  if (authentication !== undefined) applyAuthentication(service, authentication, path, catalog, report);
  return service;
}

function applyAuthentication(service: MapNode, entry: Entry, path: Path, catalog: Catalog, report: Report): void {
  const base = [...path, 'authentication'];
  const [method, ...more] = entry.node.kind === 'list' ? entry.node.items : [];
  if (method?.kind !== 'map') return report.error(base, 'must be a list with one map of `type` and `config`');
  if (more.length > 0) return report.error([...base, 1], 'one service authenticates in one way: make a second service');
  for (const key of method.entries.keys()) {
    if (key === 'type' || key === 'config') continue;
    report.error([...base, 0, key], `unknown key ${quote(key)}`, {
      on: 'key',
      suggestion: nearest(key, ['type', 'config']),
    });
  }
  const type = entryOf(method, 'type');
  const word = stringOf(type?.node);
  if (type?.node.kind !== 'scalar' || word === undefined)
    return report.error([...base, 0], 'the key "type" is missing');
  const part = Object.hasOwn(GENERIC_PARTS, word) ? GENERIC_PARTS[word] : undefined;
  const connector = part === undefined ? word : 'generic_http';
  if (findConnector(catalog, connector).in === 'nowhere') {
    const known = [...connectorWords(catalog), ...Object.keys(GENERIC_PARTS)];
    const message = `the authentication type ${quote(type.node.written)} is not supported; supported now: ${known.join(', ')}`;
    return report.error([...base, 0, 'type'], message, { suggestion: nearest(word, known) });
  }
  const written = stringOf(childOf(service, 'connector'));
  if (
    written !== undefined &&
    written !== 'http' &&
    written !== 'generic_http' &&
    !sameConnector(catalog, written, connector)
  ) {
    return report.error([...base, 0, 'type'], 'the connector and the authentication type disagree');
  }
  service.entries.set('connector', { ...type, node: scalarNode(type.node.at, connector, type.node) });
  const config = entryOf(method, 'config');
  if (config?.node.kind === 'map') mergeConfig(service, config, part, base, report);
  else if (config !== undefined && !isEmpty(config.node)) report.error([...base, 0, 'config'], 'must be a map');
}

function sameConnector(catalog: Catalog, a: string, b: string): boolean {
  const [one, other] = [findConnector(catalog, a), findConnector(catalog, b)];
  return a === b || (one.in === 'build' && other.in === 'build' && one.connector === other.connector);
}

export function isEmpty(node: Node): boolean {
  return node.kind === 'scalar' && node.value === null && node.style === 'plain';
}

/** Keys that belong to `config` itself, whatever way of authentication they are written under. */
const CORE_KEYS = new Set(['authenticateURLsMatching', 'forceSSL', 'credentialValidations']);

function mergeConfig(service: MapNode, added: Entry, part: string | undefined, base: Path, report: Report): void {
  const present = entryOf(service, 'config');
  if (present !== undefined && present.node.kind !== 'map' && !isEmpty(present.node)) return;
  const config = mapNode(present?.node.at ?? added.node.at, present?.node.kind === 'map' ? present.node.entries : []);
  for (const [key, entry] of (added.node as MapNode).entries) {
    const inPart = part !== undefined && key !== part && !CORE_KEYS.has(key);
    if (inPart && !config.entries.has(part)) config.entries.set(part, { ...added, node: mapNode(added.node.at) });
    const holder = inPart ? config.entries.get(part)!.node : config;
    if (holder.kind !== 'map' || holder.entries.has(key)) {
      report.error([...base, 0, 'config', key], `the key ${quote(key)} is written twice`, { on: 'key' });
    } else holder.entries.set(key, entry);
  }
  service.entries.set('config', { keyAt: present?.keyAt ?? added.keyAt, node: config });
}

function convertCredentials(list: ListNode, path: Path, report: Report): MapNode {
  const credentials = mapNode(list.at);
  list.items.forEach((item, at) => {
    const place = [...path, at];
    const name = entryOf(item, 'name');
    const text = stringOf(name?.node);
    if (item.kind !== 'map' || name === undefined || text === undefined || text === '') {
      return report.error(place, 'a credential of a list is a map with `name`, `provider` and `get`');
    }
    if (credentials.entries.has(text))
      return report.error([...place, 'name'], `the credential ${quote(text)} is written twice`);
    credentials.entries.set(text, { keyAt: name.node.at, node: convertCredential(item, place, report) });
  });
  return credentials;
}

/** `provider` names the store and `get` or `from` the id; without `provider`, `from` and `get` are as in the map form. */
function convertCredential(item: MapNode, path: Path, report: Report): MapNode {
  const provider = entryOf(item, 'provider');
  const credential = mapNode(item.at, item.entries);
  credential.entries.delete('name');
  if (provider === undefined) return credential;
  credential.entries.delete('provider');
  const from = entryOf(item, 'from');
  if (from !== undefined && entryOf(item, 'get') !== undefined) {
    report.error([...path, 'from'], 'with `provider`, write the id once: as `get` or as `from`', { on: 'key' });
  } else if (from !== undefined) credential.entries.set('get', from);
  credential.entries.set('from', provider);
  return credential;
}
