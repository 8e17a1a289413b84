import type { Connector, ConfigProblem, CredentialSpec } from '../connector/connector.ts';
import type { Provider } from '../providers/provider.ts';
import type { TSchema } from '../schema.ts';

/** What configuration must know of a connector; a `Connector` fits. */
export interface CatalogConnector extends Pick<
  Connector,
  'name' | 'aliases' | 'config' | 'otherCredentials' | 'otherCredentialsMultiline'
> {
  readonly kind: string;
  readonly routes?: boolean;
  reaches?(config: never, host: string): boolean;
  readonly sharesListeners?: boolean;
  via?(config: never): string | undefined;
  readonly credentials: readonly CredentialSpec[];
  check?(
    config: never,
    credentialNames: readonly string[],
    literals?: Readonly<Record<string, string>>,
  ): readonly ConfigProblem[];
}

export type CatalogProvider = Pick<Provider<TSchema>, 'name' | 'config' | 'fields' | 'checkId'>;

/** The explicit list of what this build ships. */
export interface Catalog {
  readonly connectors: readonly CatalogConnector[];
  readonly providers: readonly CatalogProvider[];
}

/** Connectors that version 2 files name, and the kind each one is of: a build may come without some. */
const KNOWN_CONNECTORS: Readonly<Record<string, string>> = {
  aws: 'http',
  basic_auth: 'http',
  conjur: 'http',
  generic_http: 'http',
  mssql: 'stream',
  mysql: 'stream',
  pg: 'stream',
  ssh: 'relay',
  'ssh-agent': 'relay',
};

const KNOWN_PROVIDERS: ReadonlySet<string> = new Set([
  'aws',
  'conjur',
  'env',
  'file',
  'keychain',
  'kubernetes',
  'literal',
  'vault',
]);

export type FoundConnector =
  | { readonly in: 'build'; readonly connector: CatalogConnector; readonly kind: string }
  | { readonly in: 'elsewhere'; readonly kind: string }
  | { readonly in: 'nowhere' };

export function findConnector(catalog: Catalog, word: string): FoundConnector {
  const connector = catalog.connectors.find(({ name, aliases = [] }) => name === word || aliases.includes(word));
  if (connector !== undefined) return { in: 'build', connector, kind: connector.kind };
  const kind = Object.hasOwn(KNOWN_CONNECTORS, word) ? KNOWN_CONNECTORS[word] : undefined;
  return kind === undefined ? { in: 'nowhere' } : { in: 'elsewhere', kind };
}

export type FoundProvider =
  | { readonly in: 'build'; readonly provider: CatalogProvider }
  | { readonly in: 'elsewhere' }
  | { readonly in: 'nowhere' };

export function findProvider(catalog: Catalog, word: string): FoundProvider {
  const provider = catalog.providers.find(({ name }) => name === word);
  if (provider !== undefined) return { in: 'build', provider };
  return { in: KNOWN_PROVIDERS.has(word) ? 'elsewhere' : 'nowhere' };
}

export function connectorWords(catalog: Catalog): string[] {
  return catalog.connectors.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
}

export function providerWords(catalog: Catalog): string[] {
  return catalog.providers.map(({ name }) => name);
}
