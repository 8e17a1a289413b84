import { isLoopback } from './address.ts';
import { connectorWords, findConnector, type CatalogConnector } from './catalog.ts';
import type { CredentialReference, ServiceConfig, Target } from './config.ts';
import type { Context } from './context.ts';
import { buildCredentials, literalsOf } from './credentials.ts';
import { HTTP_KEYS, refuseHttpKeys } from './http-keys.ts';
import { buildMatch, type Match } from './match.ts';
import { isNameless } from './nameless.ts';
import { nearest } from './nearest.ts';
import { mapNode, nodeAt, type Node, type Path } from './node.ts';
import { quote } from './problem.ts';
import type { Service } from './schema.ts';
import { buildListenOn, buildSocketMode } from './listening.ts';
import { durationAt, sizeAt } from './settings.ts';
import { parseTarget } from './target.ts';
import { buildTls } from './tls.ts';
import { validate, type Loose } from './validate.ts';

type WrittenService = Loose<Service>;

/** A service with what only the file knows: which of its settings were written. */
export interface BuiltService {
  readonly service: ServiceConfig;
  /** `http`, `stream` or `relay`; undefined where the connector is unknown. */
  readonly kind: string | undefined;
  /** True where the connector itself finds out where a request goes. */
  readonly routes: boolean;
  /** Of one that `routes`: whether requests for a host are its own; undefined where it is reached by its address alone. */
  readonly reaches: ((host: string) => boolean) | undefined;
  /** True where the connector finds out which of several services of an address is meant. */
  readonly sharesListeners: boolean;
  /** Name of the service that this one's upstream is reached through. */
  readonly via: string | undefined;
  readonly written: { readonly unmatched: boolean; readonly agent: boolean; readonly socketMode: boolean };
}

const NAME_LENGTH_MAX = 128;
/** What policy and ledger write in place of a service. */
const NO_SERVICE = '-';

/** Checks one service of the canonical form; whatever is wrong is reported and left out. */
export function buildService(name: string, written: WrittenService, context: Context): BuiltService {
  const path: Path = ['services', name];
  const { report } = context;
  if (name === NO_SERVICE) report.error(path, 'this name stands for no service: choose another', { on: 'key' });
  if (name.length > NAME_LENGTH_MAX) report.error(path, 'the name of the service is too long', { on: 'key' });
  const { connector, kind } = buildConnector(written.connector, path, context);
  const listenOn = buildListenOn(written.listenOn, [...path, 'listenOn'], context);
  const credentials = buildCredentials(written.credentials, connector, [...path, 'credentials'], context);
  const elsewhere = kind !== undefined && kind !== 'http';
  if (elsewhere) refuseHttpKeys(written, kind, connector, path, context);
  const target = elsewhere ? undefined : buildTarget(written, path, context);
  const match = buildMatch(written.config !== undefined, kind, path, context);
  const { config, via } = buildConfig(connector, credentials, path, context);
  const routes = connector?.routes === true && written.target === undefined && !match.written;
  if (routes) checkRouting(written, path, context);
  else if (kind === 'http') checkDirection(written, match, target, path, context);
  const service: ServiceConfig = {
    name,
    connector: connector?.name ?? written.connector ?? '',
    listenOn,
    agent: written.agent ?? 'local',
    credentials,
    config,
    ...(target === undefined ? {} : { target }),
    match: match.patterns,
    ...(match.forceSSL === undefined ? {} : { forceSSL: match.forceSSL }),
    unmatched: written.unmatched ?? 'deny',
    http2: written.http2 ?? 'auto',
    tls: elsewhere ? {} : buildTls(written.tls, [...path, 'tls'], context),
    ...buildQuantities(written, elsewhere, path, context),
    socketMode: buildSocketMode(written.socketMode, [...path, 'socketMode'], context),
  };
  return {
    service,
    kind,
    routes,
    reaches:
      routes && connector.reaches !== undefined ? (host) => connector.reaches!(config as never, host) : undefined,
    sharesListeners: connector?.sharesListeners === true,
    via,
    written: {
      unmatched: written.unmatched !== undefined,
      agent: written.agent !== undefined,
      socketMode: written.socketMode !== undefined,
    },
  };
}

/** `rests`: its connections may say nothing for hours, as those of a pool do. */
function buildQuantities(
  { timeouts, limits, cache }: WrittenService,
  rests: boolean,
  path: Path,
  context: Context,
): Pick<ServiceConfig, 'timeouts' | 'limits' | 'cacheSeconds'> {
  const timeout = (key: 'connect' | 'headers' | 'idle' | 'credential', seconds: number, atLeast = 0.001) =>
    durationAt(timeouts?.[key], [...path, 'timeouts', key], seconds, context, { atLeast });
  const bodyBytes = sizeAt(limits?.body, [...path, 'limits', 'body'], undefined, context);
  return {
    timeouts: {
      connectSeconds: timeout('connect', 5),
      headersSeconds: timeout('headers', 30),
      idleSeconds: rests ? timeout('idle', 0, 0) : timeout('idle', 300),
      credentialSeconds: timeout('credential', 10),
    },
    limits: {
      upstreamConnections: limits?.connections ?? (rests ? Infinity : 256),
      ...(bodyBytes === undefined ? {} : { bodyBytes }),
    },
    cacheSeconds: durationAt(cache, [...path, 'cache'], 0, context),
  };
}

function buildConnector(
  word: string | undefined,
  path: Path,
  { report, options }: Context,
): { connector?: CatalogConnector; kind: string | undefined } {
  if (word === undefined) return { kind: undefined };
  const found = findConnector(options.catalog, word);
  switch (found.in) {
    case 'build':
      return { connector: found.connector, kind: found.kind };
    case 'elsewhere':
      report.error([...path, 'connector'], `connector ${quote(word)} is not in this build`, { kind: 'not-in-build' });
      return { kind: found.kind };
    case 'nowhere': {
      const suggestion = nearest(word, connectorWords(options.catalog));
      report.error([...path, 'connector'], `unknown connector ${quote(word)}`, { suggestion });
      return { kind: undefined };
    }
    default:
      return found satisfies never;
  }
}

function buildTarget(written: WrittenService, path: Path, { report }: Context): Target | undefined {
  if (written.target === undefined) return undefined;
  const parsed = parseTarget(written.target);
  if ('problem' in parsed) {
    report.error([...path, 'target'], parsed.problem);
    return undefined;
  }
  const { origin } = parsed.target;
  if (origin.scheme === 'http' && !isLoopback(origin.host)) {
    report.warn([...path, 'target'], 'the credential travels in clear: use https');
  }
  if (origin.scheme === 'http' && written.tls !== undefined) {
    report.warn([...path, 'tls'], 'has no effect with an http target', { on: 'key' });
  }
  return parsed.target;
}

/** The connector's own part of `config`, checked against its schema. */
function buildConfig(
  connector: CatalogConnector | undefined,
  credentials: Readonly<Record<string, CredentialReference>>,
  path: Path,
  context: Context,
): { readonly config: unknown; readonly via?: string | undefined } {
  if (connector === undefined) return { config: {} };
  const { report, options } = context;
  const isHttp = connector.kind === 'http';
  const base = [...path, 'config'];
  const node = nodeAt(options.tree, base)?.node;
  const own = mapNode(node?.at ?? 0, node?.kind === 'map' ? node.entries : []);
  // Where they do not belong they have been refused.
  for (const key of HTTP_KEYS) own.entries.delete(key);
  const holder: { node: Node } = { node: own };
  const { valid, value } = validate(holder, connector.config, base, report, {
    scalarsAsText: true,
    otherKeys: isHttp ? HTTP_KEYS : [],
  });
  if (!valid) return { config: value };
  const found = nodeAt(options.tree, [...path, 'credentials'])?.node;
  const written = found?.kind === 'map' && !isNameless(found) ? [...found.entries.keys()] : [];
  // Without names in the file they are those that the provider brings.
  const names = written.length > 0 ? written : Object.keys(credentials);
  for (const problem of connector.check?.(value as never, names, literalsOf(credentials, context)) ?? []) {
    const place = problem.credential === undefined ? base : [...path, 'credentials', problem.credential];
    if (problem.severity === 'warning') report.warn([...place, ...problem.path], problem.message);
    else report.error([...place, ...problem.path], problem.message);
  }
  return { config: value, via: connector.via?.(value as never) };
}

/** Whatever comes to the address and is for no other service is for this one. */
function checkRouting(written: WrittenService, path: Path, { report }: Context): void {
  if (written.unmatched === undefined) return;
  const message = `\`unmatched\` has no effect: ${written.connector ?? 'the connector'} decides on every request itself`;
  report.error([...path, 'unmatched'], message, { on: 'key' });
}

function checkDirection(
  written: WrittenService,
  match: Match,
  target: Target | undefined,
  path: Path,
  { report }: Context,
): void {
  if (written.target === undefined) {
    if (!match.written) {
      const message = 'an HTTP service needs a `target`, or `authenticateURLsMatching` in its config';
      report.error(path, message, { on: 'key' });
    } else if (!match.forceSSLWritten) {
      const message = '`forceSSL` is not written: http:// requests get the credential only for loopback upstreams';
      report.warn([...path, 'config'], message, { on: 'key' });
    }
    return;
  }
  if (match.written) {
    const message = '`target` and `authenticateURLsMatching` exclude each other: make two services';
    report.error([...path, 'config', 'authenticateURLsMatching'], message, { on: 'key' });
  }
  if (written.unmatched !== undefined) {
    report.error([...path, 'unmatched'], '`unmatched` is for services without a `target`', { on: 'key' });
  }
  if (match.forceSSL === true && target?.origin.scheme === 'http') {
    report.error([...path, 'config', 'forceSSL'], '`forceSSL: true` needs an https target');
  }
}
