import type { CatalogConnector } from './catalog.ts';
import type { Context } from './context.ts';
import { childOf, nodeAt, type Path } from './node.ts';
import type { Service } from './schema.ts';
import type { Loose } from './validate.ts';

/** Keys of `config` that every HTTP service has and the core itself reads. */
export const HTTP_KEYS = ['authenticateURLsMatching', 'forceSSL', 'authenticationStrategy'] as const;

/** Credentials that say where a connector of another kind goes, and how it does TLS: the names that they mostly have. */
const PLACE = /^(host|port|address|url)$/;
const TLS = /^(ssl|tls)/;

/** Refuses what only HTTP services have, each key with what takes its place. */
export function refuseHttpKeys(
  written: Loose<Service>,
  kind: string,
  connector: CatalogConnector | undefined,
  path: Path,
  { report, options }: Context,
): void {
  const refuse = (keys: Path, instead: string): void => {
    const message = `\`${keys.join('.')}\` is for services of HTTP connectors: ${instead}`;
    report.error([...path, ...keys], message, { on: 'key' });
  };
  const word = written.connector ?? 'the connector';
  const isRelay = kind === 'relay';
  const named = (names: RegExp): string => {
    const known = connector?.credentials.map(({ name }) => name).filter((name) => names.test(name)) ?? [];
    return known.length === 0 ? '' : ` (${known.join(', ')})`;
  };
  const goesNowhere = isRelay && connector !== undefined && named(PLACE) === '';
  const place = goesNowhere
    ? `${word} has no upstream of its own`
    : `${word} is told where to go by its credentials${named(PLACE)}`;
  const tls =
    isRelay && named(TLS) === ''
      ? `${word} protects what it carries itself`
      : `${word} takes its TLS settings as credentials${named(TLS)}`;
  const oneUpstream = isRelay
    ? `${word} decides what becomes of each connection`
    : 'whatever connects here goes to the one upstream of the service';
  if (written.target !== undefined) refuse(['target'], place);
  if (written.unmatched !== undefined) refuse(['unmatched'], oneUpstream);
  if (written.tls !== undefined) refuse(['tls'], tls);
  if (written.http2 !== undefined) refuse(['http2'], `${word} speaks a protocol of its own`);
  if (written.limits?.body !== undefined)
    refuse(
      ['limits', 'body'],
      isRelay ? `a connection of ${word} has no request bodies` : 'a stream has no request bodies',
    );
  const config = nodeAt(options.tree, [...path, 'config'])?.node;
  if (childOf(config, 'authenticateURLsMatching') !== undefined) {
    refuse(['config', 'authenticateURLsMatching'], oneUpstream);
  }
  if (childOf(config, 'forceSSL') !== undefined) refuse(['config', 'forceSSL'], tls);
  if (childOf(config, 'authenticationStrategy') !== undefined) {
    refuse(['config', 'authenticationStrategy'], 'the connector says how it authenticates');
  }
}
