import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { emitSchema } from './emit.ts';
import { errors, load, ownCatalog, warnings } from './testdata/catalogs.ts';

/** A whole file of one stream service: `service` begins on line 8. */
function stream(service = '', credentials = '{ host: db.internal }', listenOn = 'tcp://127.0.0.1:5432'): string {
  return `version: "2"
services:
  orders-db:
    connector: pg
    listenOn: ${listenOn}
    credentials:
      ${credentials}
${service.replace(/^(?=.)/gm, '    ')}
`;
}

describe('a stream service', () => {
  test('needs no target, rests as long as it likes, and has as many connections as its listener', () => {
    const { config, problems } = load(stream());
    expect(problems).toEqual([]);
    expect(config?.services[0]).toMatchObject({
      name: 'orders-db',
      connector: 'postgres',
      match: [],
      tls: {},
      timeouts: { connectSeconds: 5, headersSeconds: 30, idleSeconds: 0, credentialSeconds: 10 },
      limits: { upstreamConnections: Infinity },
    });
    expect(config?.services[0]).not.toHaveProperty('target');
  });

  test('keeps the times and the limit that are written', () => {
    const timeouts = 'timeouts: { connect: 1s, headers: 2s, idle: 8h, credential: 3s }';
    const { config } = load(stream(`${timeouts}\nlimits: { connections: 7 }\ncache: 1m\nagent: checkout`));
    expect(config?.services[0]).toMatchObject({
      agent: 'checkout',
      timeouts: { connectSeconds: 1, headersSeconds: 2, idleSeconds: 8 * 3600, credentialSeconds: 3 },
      limits: { upstreamConnections: 7 },
      cacheSeconds: 60,
    });
  });

  test('may say that there is no idle limit, which of an HTTP service is refused', () => {
    expect(load(stream('timeouts: { idle: 0s }')).config?.services[0]?.timeouts.idleSeconds).toBe(0);
    const http = `version: "2"\nservices: { a: { connector: http, listenOn: "tcp://127.0.0.1:1", target: "https://x.y", credentials: { token: x }, timeouts: { idle: 0s } } }`;
    expect(errors(http)).toEqual([expect.stringContaining('must be at least 1ms')]);
  });

  test.each([
    [
      'target: postgres://db.internal/orders',
      '8:5 `target` is for services of HTTP connectors: pg is told where to go by its credentials (host, port)',
    ],
    [
      'unmatched: pass',
      '8:5 `unmatched` is for services of HTTP connectors: whatever connects here goes to the one upstream of the service',
    ],
    [
      'tls: { ca: /etc/no-such-file.pem }',
      '8:5 `tls` is for services of HTTP connectors: pg takes its TLS settings as credentials (sslmode, sslkey)',
    ],
    ['limits: { body: 1MiB }', '8:15 `limits.body` is for services of HTTP connectors: a stream has no request bodies'],
    [
      'config: { forceSSL: true }',
      '8:15 `config.forceSSL` is for services of HTTP connectors: pg takes its TLS settings as credentials (sslmode, sslkey)',
    ],
    [
      'config: { authenticateURLsMatching: ["^http://a"] }',
      '8:15 `config.authenticateURLsMatching` is for services of HTTP connectors: whatever connects here goes to the one upstream of the service',
    ],
    [
      'config: { authenticationStrategy: basic_auth }',
      '8:15 `config.authenticationStrategy` is for services of HTTP connectors: the connector says how it authenticates',
    ],
  ])('refuses %s once, and says what takes its place', (service, message) => {
    expect(errors(stream(service))).toEqual([message]);
  });

  test('of a connector that this build lacks is told the same, without the names of its credentials', () => {
    const { problems } = load(stream('tls: { servername: x.y }').replace('pg', 'mysql'));
    expect(problems.map(({ message, kind }) => [message, kind])).toEqual([
      ['connector "mysql" is not in this build', 'not-in-build'],
      ['`tls` is for services of HTTP connectors: mysql takes its TLS settings as credentials', undefined],
    ]);
  });

  test('is offered none of the keys of HTTP by the schema for editors', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(ownCatalog));
    const accepted = (service: string) => validate(parse(stream(service)));
    expect(accepted('timeouts: { idle: 1h }\nlimits: { connections: 3 }\nconfig: { database: orders }')).toBe(true);
    for (const service of ['target: https://a.b', 'unmatched: deny', 'tls: {}', 'limits: { body: 1 }']) {
      expect([service, accepted(service)]).toEqual([service, false]);
    }
  });
});

describe('the listeners of a stream service', () => {
  const other = (connector: string, more = '') =>
    `  web: { connector: ${connector}, listenOn: "tcp://127.0.0.1:5432", credentials: { host: x, token: y }${more} }\n`;

  test('may be several', () => {
    const { config, problems } = load(stream('', undefined, '[tcp://127.0.0.1:5432, unix:///run/.s.PGSQL.5432]'));
    expect(problems).toEqual([]);
    expect(config?.services[0]?.listenOn).toHaveLength(2);
  });

  test('are shared with nobody, and nothing else is said of an address that would be', () => {
    const taken = expect.stringContaining('the address is taken by service "orders-db": only HTTP services share one');
    expect(
      errors(stream('agent: checkout\nsocketMode: "0600"') + other('pg', ', agent: web, socketMode: "0660"')),
    ).toEqual([taken]);
    expect(errors(stream('agent: checkout') + other('http', ', target: "https://a.b", agent: web'))).toEqual([taken]);
  });
});

describe('what a connector says of its service', () => {
  test('stops the service, or lets it start with a warning, at the credential that it is about', () => {
    const wrong = stream('', 'host: db.internal\n      sslmode: verify_full');
    expect(errors(wrong)).toEqual(['8:16 must be one of disable, require, verify-full']);
    const weak = load(stream('', 'host: db.internal\n      sslmode: require'));
    expect(weak.config).toBeDefined();
    expect(weak.problems).toMatchObject([
      { severity: 'warning', path: 'services.orders-db.credentials.sslmode', line: 8, column: 16 },
    ]);
    expect(errors(stream('', 'host: db.internal\n      sslmode: verify-full'))).toEqual([]);
  });

  test('is said at its `config`, or at the service where there is none', () => {
    const missing = 'the credential that says where to go is missing';
    expect(errors(stream('config: { database: a }', '{ port: 1 }'))).toEqual([`8:13 ${missing}`]);
    expect(errors(stream('', '{ port: 1 }'))).toEqual([`3:3 ${missing}`]);
  });

  test('rests on the values in the file, whatever the literal store is called, and on no other', () => {
    const top = 'providers: { plain: { type: literal } }\n';
    const credentials = (from: string) => `{ host: x, sslmode: { from: ${from}, get: wrong } }`;
    expect(errors(stream('', credentials('literal')))).toHaveLength(1);
    expect(errors(stream('', credentials('plain')) + top)).toHaveLength(1);
    expect(load(stream('', credentials('env'))).problems).toEqual([]);
    expect(load(stream('', '{ host: x, sslmode: "[secret]" }')).problems).toEqual([]);
    const filled = stream('', '{ host: x, sslmode: "${MODE}" }');
    expect(warnings(filled, { environment: { MODE: 'require' } })).toHaveLength(1);
    expect(errors(filled, { environment: { MODE: 'canary-5f1e' } }).join()).not.toContain('canary');
  });
});
