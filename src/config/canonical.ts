import type { Catalog } from './catalog.ts';
import { isNameless } from './nameless.ts';
import { childOf, entryOf, listNode, mapNode, scalarNode, stringOf } from './node.ts';
import type { Entry, MapNode, Node, Path, ScalarNode } from './node.ts';
import { quote, type Report } from './problem.ts';
import { convertServiceList, isEmpty } from './service-list.ts';
import { convertVersion1 } from './version1.ts';

/** Brings a file of any form to the canonical version 2 form: services as a map, short forms written out. */
export function canonicalFile(root: Node, catalog: Catalog, report: Report): MapNode | undefined {
  if (root.kind !== 'map') {
    report.error([], 'the file must be a map with `version` and `services`');
    return undefined;
  }
  const version = versionOf(root, report);
  const file = version === '1' ? convertVersion1(root, report) : mapNode(root.at, root.entries);
  const services = entryOf(file, 'services');
  // Problems of the conversion point into the file as written, later ones into the converted form.
  if (services?.node.kind === 'list') {
    file.entries.set('services', { ...services, node: convertServiceList(services.node, catalog, report) });
  }
  file.entries.set('version', { keyAt: entryOf(file, 'version')?.keyAt ?? file.at, node: scalarNode(file.at, '2') });
  report.root = file;
  const map = entryOf(file, 'services');
  if (map?.node.kind === 'map') file.entries.set('services', { ...map, node: canonicalServices(map.node, report) });
  canonicalPart(file, 'egress', (written) => canonicalEgress(written, report));
  canonicalPart(file, 'agents', (written) => canonicalAgents(written, report));
  shortForm(childOf(file, 'telemetry'), 'listenOn', (node) =>
    node.text === 'false' && /^off$/i.test(node.written) ? 'off' : undefined,
  );
  return file;
}

function canonicalPart(holder: MapNode, key: string, convert: (written: MapNode) => MapNode): void {
  const entry = entryOf(holder, key);
  if (entry?.node.kind === 'map') holder.entries.set(key, { ...entry, node: convert(entry.node) });
}

function canonicalEgress(written: MapNode, report: Report): MapNode {
  const egress = mapNode(written.at, written.entries);
  asList(egress, 'listenOn');
  modeAsText(egress);
  const proxy = entryOf(egress, 'upstreamProxy');
  if (stringOf(proxy?.node) !== undefined) {
    const node = mapNode(proxy!.node.at, [['url', { ...proxy!, keyAt: proxy!.node.at }]]);
    egress.entries.set('upstreamProxy', { ...proxy!, node });
  }
  canonicalPart(egress, 'upstreamProxy', (found) => {
    const copy = mapNode(found.at, found.entries);
    for (const key of ['username', 'password']) longForm(copy, key, ['egress', 'upstreamProxy', key], report);
    return copy;
  });
  return egress;
}

/** Proofs of the whole grammar that this build does not take. */
const LATER_PROOFS = ['listener', 'uid', 'kubernetes', 'aim'] as const;

function canonicalAgents(written: MapNode, report: Report): MapNode {
  const agents = mapNode(written.at, written.entries);
  for (const name of written.entries.keys()) {
    canonicalPart(agents, name, (agent) => {
      const copy = mapNode(agent.at, agent.entries);
      for (const proof of LATER_PROOFS) {
        if (!copy.entries.delete(proof)) continue;
        const message = `an agent cannot prove who it is by ${quote(proof)} in this build: write a \`token\``;
        report.error(['agents', name, proof], message, { on: 'key', kind: 'not-in-build' });
        // What is left of it is empty, or would be told to be.
        report.mute(copy.at);
      }
      longForm(copy, 'token', ['agents', name, 'token'], report);
      return copy;
    });
  }
  return agents;
}

/** Which version the file is of, by the text of its `version`; a missing one means 1, as it always has. */
function versionOf(root: MapNode, report: Report): '1' | '2' {
  const entry = entryOf(root, 'version');
  if (entry === undefined || isEmpty(entry.node) || stringOf(entry.node) === '') {
    if (entryOf(root, 'services') === undefined) return '1';
    report.error(['version'], 'the version is missing: write version: "2"', { on: 'key' });
    return '2';
  }
  const text = entry.node.kind === 'scalar' ? (entry.node.expanded ? entry.node.text : entry.node.written) : '';
  if (text === '1' || text === '2') return text;
  report.error(['version'], 'unknown configuration version: write version: "2"');
  return entryOf(root, 'services') === undefined && entryOf(root, 'listeners') !== undefined ? '1' : '2';
}

function canonicalServices(services: MapNode, report: Report): MapNode {
  const named: [string, Entry][] = [];
  for (const [name, entry] of services.entries) {
    const path = ['services', name];
    named.push([
      name,
      entry.node.kind === 'map' ? { ...entry, node: canonicalService(entry.node, path, report) } : entry,
    ]);
  }
  return mapNode(services.at, named);
}

function canonicalService(written: MapNode, path: Path, report: Report): MapNode {
  const service = mapNode(written.at, written.entries);
  renameProtocol(service, path, report);
  asList(service, 'listenOn');
  const config = entryOf(service, 'config');
  if (config !== undefined && isEmpty(config.node)) service.entries.delete('config');
  if (config?.node.kind === 'map') {
    const copy = mapNode(config.node.at, config.node.entries);
    asList(copy, 'authenticateURLsMatching');
    service.entries.set('config', { ...config, node: copy });
  }
  const credentials = entryOf(service, 'credentials');
  if (credentials?.node.kind === 'map') {
    const node = canonicalCredentials(credentials.node, [...path, 'credentials'], report);
    service.entries.set('credentials', { ...credentials, node });
  }
  modeAsText(service);
  const key = entryOf(childOf(service, 'tls'), 'key');
  if (key !== undefined && stringOf(key.node) !== undefined) {
    const provider = /-----BEGIN /.test(stringOf(key.node)!) ? 'literal' : 'file';
    const from = { ...key, node: scalarNode(key.node.at, provider) };
    const tls = entryOf(service, 'tls')!;
    const node = mapNode(tls.node.at, (tls.node as MapNode).entries);
    node.entries.set('key', {
      ...key,
      node: mapNode(key.node.at, [
        ['from', from],
        ['get', key],
      ]),
    });
    service.entries.set('tls', { ...tls, node });
  }
  return service;
}

/** `0600` is an octal number in YAML 1.1; the mode is the digits as they are written. */
function modeAsText(holder: MapNode): void {
  shortForm(holder, 'socketMode', (node) => (/^0?[0-7]{3}$/.test(node.written) ? node.written : undefined));
}

function asList(holder: MapNode, key: string): void {
  const entry = entryOf(holder, key);
  if (entry?.node.kind !== 'scalar' || entry.node.value === null) return;
  holder.entries.set(key, { ...entry, node: listNode(entry.node.at, [entry.node]) });
}

function shortForm(holder: Node | undefined, key: string, text: (node: ScalarNode) => string | undefined): void {
  const entry = entryOf(holder, key);
  if (holder?.kind !== 'map' || entry?.node.kind !== 'scalar' || typeof entry.node.value === 'string') return;
  const found = text(entry.node);
  if (found !== undefined) holder.entries.set(key, { ...entry, node: scalarNode(entry.node.at, found, entry.node) });
}

/** The strategies that `protocol: http` may name: the old word for the connector. */
const STRATEGIES = new Set(['aws', 'basic_auth', 'conjur', 'generic_http']);

function renameProtocol(service: MapNode, path: Path, report: Report): void {
  const protocol = entryOf(service, 'protocol');
  if (protocol === undefined) return;
  service.entries.delete('protocol');
  if (entryOf(service, 'connector') !== undefined) {
    return report.warn([...path, 'protocol'], '`protocol` is ignored beside `connector`', { on: 'key' });
  }
  report.warn([...path, 'protocol'], '`protocol` is the old word: write `connector`', { on: 'key' });
  if (stringOf(protocol.node) !== 'http') {
    service.entries.set('connector', protocol);
    return;
  }
  const strategy = entryOf(childOf(service, 'config'), 'authenticationStrategy');
  if (strategy === undefined || !STRATEGIES.has(stringOf(strategy.node) ?? '')) {
    const place = strategy === undefined ? ['protocol'] : ['config', 'authenticationStrategy'];
    report.error(
      [...path, ...place],
      '`protocol: http` needs `config.authenticationStrategy`: aws, basic_auth or conjur',
    );
    return;
  }
  service.entries.set('connector', strategy);
}

function canonicalCredentials(written: MapNode, path: Path, report: Report): MapNode {
  if (isNameless(written)) return withTextId(written, path, report);
  const credentials = mapNode(written.at, written.entries);
  for (const name of written.entries.keys()) longForm(credentials, name, [...path, name], report);
  return credentials;
}

/** A credential that is a plain text becomes a reference to the literal. */
function longForm(holder: MapNode, name: string, path: Path, report: Report): void {
  const entry = entryOf(holder, name);
  if (entry === undefined) return;
  const { node } = entry;
  if (node.kind === 'scalar') {
    const from = { ...entry, node: scalarNode(node.at, 'literal') };
    const get = { ...entry, node: credentialText(node, path, report) };
    const reference = mapNode(node.at, [
      ['from', from],
      ['get', get],
    ]);
    holder.entries.set(name, { ...entry, node: reference });
  } else if (node.kind === 'map') {
    holder.entries.set(name, { ...entry, node: withTextId(node, path, report) });
  }
}

/** A reference whose `get` is text, where it was a number or a boolean. */
function withTextId(reference: MapNode, path: Path, report: Report): MapNode {
  const get = entryOf(reference, 'get');
  if (get?.node.kind !== 'scalar') return reference;
  const copy = mapNode(reference.at, reference.entries);
  copy.entries.set('get', { ...get, node: credentialText(get.node, [...path, 'get'], report) });
  return copy;
}

function credentialText(node: ScalarNode, path: Path, report: Report): ScalarNode {
  if (typeof node.value === 'string') return node;
  if (node.value === null) report.warn(path, 'this credential is empty');
  else if (node.text !== node.written) {
    report.warn(path, 'this unquoted value is read as YAML 1.1 and changes: write it in quotes');
  }
  return scalarNode(node.at, node.text, node);
}
