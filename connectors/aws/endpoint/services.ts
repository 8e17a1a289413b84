import { EC2, JSON, QUERY, REST_JSON, REST_XML } from './service-table.ts';

/** How a service names its operations and writes its errors. */
export type Protocol = 'json' | 'rest-json' | 'query' | 'rest-xml' | 'ec2';

/** One endpoint of a service. */
export interface ServiceEndpoint {
  /** What stands before the region in a host name: `runtime.sagemaker`. No two services share one. */
  readonly prefix: string;
  /** Signing name: `sagemaker`. */
  readonly service: string;
  readonly dualStackOnly: boolean;
  /** What stands after `AWS_ENDPOINT_URL_`: one name for each SDK client that uses the endpoint. */
  readonly variables: readonly string[];
}

interface Catalog {
  readonly byPrefix: ReadonlyMap<string, ServiceEndpoint>;
  readonly byService: ReadonlyMap<string, readonly ServiceEndpoint[]>;
  readonly protocols: ReadonlyMap<string, readonly Protocol[]>;
}

const TABLES: readonly (readonly [Protocol, string])[] = [
  ['json', JSON],
  ['rest-json', REST_JSON],
  ['query', QUERY],
  ['rest-xml', REST_XML],
  ['ec2', EC2],
];

let catalog: Catalog | undefined;

/** Endpoints that are signed under a name; none for an unknown name. */
export function endpointsOf(service: string): readonly ServiceEndpoint[] {
  return read().byService.get(service) ?? [];
}

export function endpointOfPrefix(prefix: string): ServiceEndpoint | undefined {
  return read().byPrefix.get(prefix);
}

/** Protocols in use behind a signing name; none for an unknown name. */
export function protocolsOf(service: string): readonly Protocol[] {
  return read().protocols.get(service) ?? [];
}

export function allEndpoints(): Iterable<ServiceEndpoint> {
  return read().byPrefix.values();
}

/** Read once, at the first use: most sidecars never meet AWS. */
function read(): Catalog {
  if (catalog !== undefined) return catalog;
  const byPrefix = new Map<string, ServiceEndpoint>();
  const protocols = new Map<string, Protocol[]>();
  for (const [protocol, table] of TABLES) {
    for (const word of table.trim().split(/\s+/)) {
      const endpoint = endpointOf(word);
      const { prefix, service } = endpoint;
      const known = byPrefix.get(prefix);
      const variables = [...new Set([...(known?.variables ?? []), ...endpoint.variables])];
      byPrefix.set(prefix, { ...endpoint, variables });
      const spoken = protocols.get(service) ?? [];
      if (!spoken.includes(protocol)) protocols.set(service, [...spoken, protocol]);
    }
  }
  const byService = new Map<string, ServiceEndpoint[]>();
  for (const endpoint of byPrefix.values()) {
    byService.set(endpoint.service, [...(byService.get(endpoint.service) ?? []), endpoint]);
  }
  catalog = { byPrefix, byService, protocols };
  return catalog;
}

function endpointOf(word: string): ServiceEndpoint {
  const [, dual, prefix, service, names] = /^(~?)([^@=]+)(?:@([^=]+))?(?:=(.+))?$/.exec(word)!;
  return {
    prefix: prefix!,
    service: service ?? prefix!,
    dualStackOnly: dual === '~',
    variables: names?.split('+') ?? [prefix!.toUpperCase().replace(/[.-]/g, '_')],
  };
}
