import { findConnector, type Catalog } from './catalog.ts';
import { isNameless } from './nameless.ts';
import { childOf, entryOf, mapNode, plainOf, scalarNode, stringOf } from './node.ts';
import type { MapNode, Node, Plain } from './node.ts';

/** Stands for a literal credential in the print. */
export const MASK = '[secret]';
const SECRET_OPTION = /token|secret|passw|key|pin$/i;

/**
 * The file in the canonical form, as `check --print` shows it: connectors by their own names, short forms written out,
 * `${VAR}` as it was written, literal credentials masked. It loads again.
 */
export function printable(file: MapNode, catalog: Catalog): Plain {
  const copy = mapNode(file.at, file.entries);
  const services = childOf(copy, 'services');
  if (services?.kind === 'map') {
    const shown = [...services.entries].map(
      ([name, entry]) =>
        [
          name,
          { ...entry, node: entry.node.kind === 'map' ? printableService(entry.node, catalog) : entry.node },
        ] as const,
    );
    copy.entries.set('services', { keyAt: services.at, node: mapNode(services.at, shown) });
  }
  printablePart(copy, 'egress', (egress) => {
    printablePart(egress, 'upstreamProxy', (proxy) => {
      maskKeys(proxy, ['username', 'password']);
      maskUserOf(proxy, 'url');
    });
  });
  printablePart(copy, 'agents', (agents) => {
    for (const name of agents.entries.keys()) printablePart(agents, name, (agent) => maskKeys(agent, ['token']));
  });
  const plain = plainOf(copy, (node) => {
    if (node.expanded) return node.written;
    return typeof node.value === 'string' ? node.value.replaceAll('${', () => '$${') : node.value;
  });
  maskOptions((plain as Record<string, Plain>)['providers']);
  return plain;
}

/** Shows a copy of the map at `key` after `change`; whatever else stands there is masked, as it may be a secret out of place. */
function printablePart(holder: MapNode, key: string, change: (copy: MapNode) => void): void {
  const entry = entryOf(holder, key);
  if (entry === undefined) return;
  const node = entry.node.kind === 'map' ? mapNode(entry.node.at, entry.node.entries) : scalarNode(entry.node.at, MASK);
  if (node.kind === 'map') change(node);
  holder.entries.set(key, { ...entry, node });
}

function maskKeys(holder: MapNode, keys: readonly string[]): void {
  for (const key of keys) {
    const entry = entryOf(holder, key);
    if (entry === undefined) continue;
    const node = entry.node.kind === 'map' ? maskOne(entry.node) : scalarNode(entry.node.at, MASK);
    holder.entries.set(key, { ...entry, node });
  }
}

/** A URL with a user in it is refused, and shown all the same: its password is not. */
function maskUserOf(holder: MapNode, key: string): void {
  const entry = entryOf(holder, key);
  if (entry?.node.kind !== 'scalar' || !entry.node.written.includes('@')) return;
  holder.entries.set(key, { ...entry, node: scalarNode(entry.node.at, MASK) });
}

function printableService(written: MapNode, catalog: Catalog): MapNode {
  const service = mapNode(written.at, written.entries);
  const connector = entryOf(service, 'connector');
  const word = stringOf(connector?.node);
  const found = word === undefined ? undefined : findConnector(catalog, word);
  if (connector !== undefined && found?.in === 'build') {
    service.entries.set('connector', { ...connector, node: scalarNode(connector.node.at, found.connector.name) });
  }
  maskUserOf(service, 'target');
  const strategy = childOf(childOf(service, 'config'), 'authenticationStrategy');
  if (strategy !== undefined) {
    const config = entryOf(service, 'config')!;
    const node = mapNode(config.node.at, (config.node as MapNode).entries);
    node.entries.delete('authenticationStrategy');
    service.entries.set('config', { ...config, node });
  }
  const credentials = entryOf(service, 'credentials');
  if (credentials !== undefined) {
    service.entries.set('credentials', { ...credentials, node: maskCredentials(credentials.node) });
  }
  const tls = entryOf(service, 'tls');
  const key = entryOf(tls?.node, 'key');
  if (tls?.node.kind === 'map' && key !== undefined) {
    const node = mapNode(tls.node.at, tls.node.entries);
    node.entries.set('key', {
      ...key,
      node: key.node.kind === 'map' ? maskOne(key.node) : scalarNode(key.node.at, MASK),
    });
    service.entries.set('tls', { ...tls, node });
  }
  return service;
}

function maskCredentials(credentials: Node): Node {
  if (credentials.kind !== 'map') return scalarNode(credentials.at, MASK);
  return isNameless(credentials) ? maskOne(credentials) : maskAll(credentials);
}

function maskAll(credentials: MapNode): MapNode {
  const masked = mapNode(credentials.at);
  for (const [name, entry] of credentials.entries) {
    const node = entry.node.kind === 'map' ? maskOne(entry.node) : scalarNode(entry.node.at, MASK);
    masked.entries.set(name, { ...entry, node });
  }
  return masked;
}

/** Shows where a credential comes from; everything but a plain reference to a store is masked. */
function maskOne(credential: MapNode): MapNode {
  const from = stringOf(childOf(credential, 'from'));
  const masked = mapNode(credential.at);
  for (const [key, entry] of credential.entries) {
    const shown =
      (key === 'from' || (key === 'get' && from !== undefined && from !== 'literal')) && entry.node.kind === 'scalar';
    masked.entries.set(key, shown ? entry : { ...entry, node: scalarNode(entry.node.at, MASK) });
  }
  return masked;
}

function maskOptions(value: Plain | undefined): void {
  if (value === null || typeof value !== 'object') return;
  for (const [key, option] of Object.entries(value)) {
    // The path of a file with a secret is none.
    const isSecret = SECRET_OPTION.test(key) && !key.endsWith('File');
    if (typeof option === 'string' && isSecret) (value as Record<string, Plain>)[key] = MASK;
    else maskOptions(option);
  }
}
