import { Type } from '../../schema.ts';
import type { Catalog, CatalogConnector } from '../catalog.ts';
import { loadConfig, type LoadOptions, type LoadResult } from '../load.ts';

/** Stand-ins for the tests of this folder: the same words and shapes as the parts they stand for. */
const templates = Type.Unsafe<Record<string, string>>({ type: 'object', additionalProperties: { type: 'string' } });
const text = Type.String();

const http: CatalogConnector = {
  name: 'http',
  aliases: ['generic_http'],
  kind: 'http',
  config: Type.Object(
    {
      headers: Type.Optional(templates),
      queryParams: Type.Optional(templates),
      oauth1: Type.Optional(
        Type.Object(
          { consumer_key: text, consumer_secret: text, token: text, token_secret: text },
          { additionalProperties: false },
        ),
      ),
      credentialValidations: Type.Optional(templates),
    },
    { additionalProperties: false },
  ),
  credentials: [],
  otherCredentials: 'a value that templates name',
  check(config: { headers?: Record<string, string> }, names) {
    return Object.entries(config.headers ?? {}).flatMap(([header, template]) => {
      const wanted = /\{\{ \.(\w+) \}\}/.exec(template)?.[1];
      if (wanted === undefined || names.includes(wanted)) return [];
      return [{ path: ['headers', header], message: 'the template names a credential that is not there' }];
    });
  },
};

const basicAuth: CatalogConnector = {
  name: 'basic-auth',
  aliases: ['basic_auth'],
  kind: 'http',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [
    { name: 'username', required: true, meaning: 'the user', example: 'jo' },
    { name: 'password', required: true, meaning: 'the password', example: 'x' },
  ],
};

const router: CatalogConnector = {
  name: 'router',
  kind: 'http',
  routes: true,
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [{ name: 'key', required: true, meaning: 'the key', example: 'x' }],
};

const aws: CatalogConnector = {
  name: 'aws',
  kind: 'http',
  routes: true,
  reaches: (_: never, host: string) => host.endsWith('.aws.test'),
  config: Type.Object({ region: Type.Optional(text) }, { additionalProperties: false }),
  credentials: [
    { name: 'accessKeyId', required: true, meaning: 'the id', example: 'AKIA' },
    { name: 'secretAccessKey', required: true, meaning: 'the secret', example: 'x' },
    { name: 'sessionToken', required: false, meaning: 'the token', example: 'x' },
  ],
};

const SSL_MODES = ['disable', 'require', 'verify-full'];

const postgres: CatalogConnector = {
  name: 'postgres',
  aliases: ['pg'],
  kind: 'stream',
  config: Type.Object({ database: Type.Optional(text) }, { additionalProperties: false }),
  credentials: [
    { name: 'host', required: false, meaning: 'the host', example: 'db.internal' },
    { name: 'port', required: false, meaning: 'the port', example: '5432' },
    { name: 'password', required: false, meaning: 'the password', example: 'x' },
    { name: 'sslmode', required: false, meaning: 'how TLS is done', example: 'verify-full' },
    { name: 'sslkey', required: false, meaning: 'the client key', example: '-----BEGIN', multiline: true },
  ],
  otherCredentials: 'an option of the login',
  check(_config: object, names, literals = {}) {
    if (!names.includes('host')) return [{ path: [], message: 'the credential that says where to go is missing' }];
    const { sslmode } = literals;
    if (sslmode === undefined || sslmode === 'verify-full') return [];
    const about = { path: [], credential: 'sslmode' };
    if (!SSL_MODES.includes(sslmode)) return [{ ...about, message: `must be one of ${SSL_MODES.join(', ')}` }];
    return [{ ...about, severity: 'warning', message: `\`sslmode: ${sslmode}\` does not verify the server` }];
  },
};

function standIn(name: string, kind: string): CatalogConnector {
  const config = Type.Object({}, { additionalProperties: false });
  const key = { name: 'privateKey', required: false, meaning: 'the key', example: '-----BEGIN', multiline: true };
  return { name, kind, config, credentials: [key], otherCredentials: 'an option of the protocol' };
}

const ssh: CatalogConnector = {
  name: 'ssh',
  kind: 'relay',
  sharesListeners: true,
  config: Type.Object(
    { via: Type.Optional(text), users: Type.Optional(Type.Array(text)) },
    { additionalProperties: false },
  ),
  via: (config: { via?: string }) => config.via,
  credentials: [
    { name: 'address', required: true, meaning: 'the address', example: 'build.internal:22' },
    { name: 'privateKey', required: false, meaning: 'the key', example: '-----BEGIN', multiline: true },
  ],
  otherCredentials: 'an option of the protocol',
};

const sshAgent: CatalogConnector = {
  ...standIn('ssh-agent', 'relay'),
  config: Type.Object(
    { users: Type.Optional(Type.Array(text)), unbound: Type.Optional(text) },
    { additionalProperties: false },
  ),
};

const open = Type.Object({}, { additionalProperties: false });
const providers = [
  { name: 'literal', config: open },
  { name: 'env', config: open, checkId: (id: string) => (/^\w+$/.test(id) ? undefined : 'not the name of a variable') },
  { name: 'file', config: open },
  {
    name: 'keychain',
    config: open,
    checkId: (id: string) => (/^[^#]+#[^#]+$/.test(id) ? undefined : 'write service#account'),
  },
  {
    name: 'exec',
    config: Type.Object(
      {
        command: Type.Optional(Type.Array(text)),
        timeoutSeconds: Type.Optional(Type.Integer()),
        token: Type.Optional(text),
      },
      { additionalProperties: false },
    ),
  },
];

const sts = {
  name: 'aws-sts',
  fields: ['accessKeyId', 'secretAccessKey', 'sessionToken'],
  config: Type.Object(
    { region: Type.Optional(text), sessionName: Type.Optional(text) },
    { additionalProperties: false },
  ),
};

/** What the examples name. */
export const examplesCatalog: Catalog = {
  connectors: [http, basicAuth, postgres, router, aws, ssh, sshAgent],
  providers: [...providers, sts],
};

export const ownCatalog: Catalog = { connectors: [http, basicAuth, postgres, router], providers };

export const wholeCatalog: Catalog = {
  connectors: [
    http,
    basicAuth,
    postgres,
    standIn('mysql', 'stream'),
    standIn('mssql', 'stream'),
    standIn('aws', 'http'),
    standIn('conjur', 'http'),
    ssh,
    standIn('ssh-agent', 'relay'),
  ],
  providers: [...providers, ...['kubernetes', 'vault', 'aws', 'conjur'].map((name) => ({ name, config: open }))],
};

export function load(source: string, options: Partial<LoadOptions> = {}): LoadResult {
  return loadConfig(source, { file: 's.yml', environment: {}, home: '/state', catalog: ownCatalog, ...options });
}

/** `line:column message` of every error. */
export function errors(source: string, options: Partial<LoadOptions> = {}): string[] {
  return shown(load(source, options), 'error');
}

export function warnings(source: string, options: Partial<LoadOptions> = {}): string[] {
  return shown(load(source, options), 'warning');
}

export function shown(result: LoadResult, severity: 'error' | 'warning'): string[] {
  return result.problems
    .filter((problem) => problem.severity === severity)
    .map((problem) => `${problem.line}:${problem.column} ${problem.message}`);
}

/** A whole file of one reverse service; each part may be replaced. */
export function file(parts: { service?: string; top?: string; credentials?: string; listenOn?: string } = {}): string {
  return `version: "2"
services:
  api:
    connector: http
    listenOn: ${parts.listenOn ?? 'tcp://127.0.0.1:8081'}
    target: https://api.example.com
    credentials: ${parts.credentials ?? '{ token: { from: env, get: TOKEN } }'}
    config: { headers: { Authorization: "Bearer {{ .token }}" } }
${(parts.service ?? '').replace(/^(?=.)/gm, '    ')}
${parts.top ?? ''}`;
}
