import { Type } from '../schema.ts';
import { connectorWords, providerWords, type Catalog } from './catalog.ts';
import { grammar, listService, version1 } from './schema.ts';
import type { HTTP_KEYS } from './http-keys.ts';

/** The JSON Schema (draft 7) of the written grammar for editors: the words of the catalog, each connector's `config`. */
export function emitSchema(catalog: Catalog): object {
  const words = { connectors: connectorWords(catalog), providers: providerWords(catalog) };
  const written = grammar('written', words);
  const services = written.properties.services as unknown as { additionalProperties: ServiceSchema };
  const mapForm = { ...services, additionalProperties: withProtocol(services.additionalProperties, catalog) };
  const listForm = Type.Array(listService(words));
  const { type, properties, required } = written;
  const version2 = {
    type,
    additionalProperties: false,
    required,
    properties: {
      ...properties,
      services: { if: { type: 'array' }, then: listForm, else: mapForm },
      providers: { ...properties.providers, additionalProperties: providerSchema(catalog) },
    },
    // Of `egress` alone a file may consist that only lets origins pass.
    if: { required: ['egress'] },
    then: {},
    else: { required: ['services'], properties: { services: { minProperties: 1, minItems: 1 } } },
  };
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Secretless Sidecar configuration',
    if: { required: ['handlers'] },
    then: version1,
    else: version2,
  };
  return JSON.parse(JSON.stringify(schema)) as object;
}

interface ServiceSchema {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly required: readonly string[];
}

/** A service with the old word for its connector, and the `config` that each connector takes. */
function withProtocol(service: ServiceSchema, catalog: Catalog): object {
  // Only what other services lead through, or what is reached through `egress`, may do without an address.
  const without = catalog.connectors.filter((one) => one.via !== undefined || one.reaches !== undefined);
  const words = connectorWords({ ...catalog, connectors: without });
  const addressed = { anyOf: [{ required: ['listenOn'] }, { required: ['target'] }] };
  const mayGoWithout = { properties: { connector: { enum: words } }, required: ['connector'] };
  const protocol = { type: 'string', description: 'Old word for `connector`', deprecated: true };
  return {
    ...service,
    properties: { ...service.properties, protocol },
    required: service.required.filter((key) => key !== 'connector'),
    anyOf: [{ required: ['connector'] }, { required: ['protocol'] }],
    allOf: [
      words.length === 0 ? addressed : { if: mayGoWithout, else: addressed },
      ...catalog.connectors.map((connector) => configBranch(connector)),
    ],
  };
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
}

const PATTERN = {
  type: 'string',
  description: 'A pattern of URLs, in the syntax of RE2',
  examples: ['^https://api\\.example\\.com/'],
};
const HTTP_PROPERTIES: Readonly<Record<(typeof HTTP_KEYS)[number], object>> = {
  authenticateURLsMatching: {
    anyOf: [PATTERN, { type: 'array', items: PATTERN, minItems: 1 }],
    description: 'Forward-proxy mode: the URLs that get the credential',
  },
  forceSSL: { type: 'boolean', description: 'Turns http:// requests into https' },
  authenticationStrategy: { type: 'string', description: 'Old: only beside `protocol: http`' },
};

/** What a service of another kind may not have. */
const NOT_HTTP = { target: false, unmatched: false, http2: false, tls: false, limits: { properties: { body: false } } };

function configBranch({ name, aliases = [], kind, config }: Catalog['connectors'][number]): object {
  const own = config as ObjectSchema;
  const isHttp = kind === 'http';
  const merged = isHttp ? { ...own, properties: { ...own.properties, ...HTTP_PROPERTIES } } : own;
  const properties = { config: { anyOf: [merged, { type: 'null' }] } };
  return {
    if: { properties: { connector: { enum: [name, ...aliases] } }, required: ['connector'] },
    then: { properties: isHttp ? properties : { ...properties, ...NOT_HTTP } },
  };
}

function providerSchema(catalog: Catalog): object {
  return {
    type: 'object',
    required: ['type'],
    properties: { type: { enum: providerWords(catalog), description: 'Kind of provider' } },
    allOf: catalog.providers.map(({ name, config }) => {
      const own = config as ObjectSchema;
      const typed = { ...own, properties: { ...own.properties, type: { const: name } } };
      return { if: { properties: { type: { const: name } }, required: ['type'] }, then: typed };
    }),
  };
}
