import { describe, expect, test } from 'vitest';
import type { Config, ServiceConfig } from '../../config/config.ts';
import { connectors } from '../../main.ts';
import { changed, environmentChanges } from './environment.ts';
import { javaToolOptions } from './java-options.ts';
import { placeholderVariables } from './placeholders.ts';
import { directHosts, proxyUrl, proxyVariables, type ProxyDoor } from './proxy-variables.ts';
import { KNOWN_SECRETS, secretVariables } from './secret-variables.ts';
import { answerOf, gathered, urlVariable } from './service-variables.ts';
import { callerOf, standingOf } from './standing.ts';
import { TRUST_READERS, trustVariables, type TrustPaths } from './trust-variables.ts';

const DOOR: ProxyDoor = { host: '127.0.0.1', port: 3128, direct: ['localhost', '127.0.0.1', '::1'] };
const TRUST: TrustPaths = {
  extra: '/s/ca.pem',
  bundle: '/s/all.pem',
  trustStore: '/s/t.p12',
  trustStorePassword: 'changeit',
};

/** As `loadConfig` makes one, as far as it matters here. */
function service(name: string, more: Partial<ServiceConfig> = {}): ServiceConfig {
  return {
    name,
    connector: 'http',
    agent: 'local',
    listenOn: [],
    credentials: {},
    config: {},
    match: [],
    ...more,
  } as ServiceConfig;
}

const tcp = (port: number, host = '127.0.0.1') => ({ kind: 'tcp', host, port }) as const;
const target = (host: string) => ({ origin: { scheme: 'https', host, port: 443 }, basePath: '' }) as const;

describe('the way to the proxy', () => {
  test('is in both cases of each variable', () => {
    const set = proxyVariables(DOOR);
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY']) {
      expect(set[name], name).toBe(set[name.toLowerCase()]);
    }
    expect(set['HTTPS_PROXY']).toBe('http://127.0.0.1:3128');
    expect(set['NODE_USE_ENV_PROXY']).toBe('1');
    // Yarn stops at a variable of that form which it does not know.
    expect(Object.keys(set).filter((name) => name.startsWith('YARN_'))).toEqual([
      'YARN_HTTP_PROXY',
      'YARN_HTTPS_PROXY',
    ]);
  });

  test('shows the token of an agent in a form that no client reads as something else', () => {
    const login = { agent: 'scan ner', token: "p@s:s/w#o?r%d'!*()" };
    const url = proxyUrl({ ...DOOR, login });
    expect(url).toBe('http://scan%20ner:p%40s%3As%2Fw%23o%3Fr%25d%27%21%2A%28%29@127.0.0.1:3128');
    const { username, password } = new URL(url);
    expect([decodeURIComponent(username), decodeURIComponent(password)]).toEqual([login.agent, login.token]);
    expect(proxyVariables({ ...DOOR, login })).toMatchObject({ CLOUDSDK_PROXY_PASSWORD: login.token });
  });

  test('names an IPv6 address as URLs do', () => {
    expect(proxyUrl({ ...DOOR, host: '::1' })).toBe('http://[::1]:3128');
  });

  test.each([
    [[], [], ['localhost', '127.0.0.1', '::1']],
    [
      [
        { host: '127.0.0.1', port: 8080 },
        { host: '10.0.0.5', port: 80 },
      ],
      [],
      ['localhost', '127.0.0.1', '::1', '10.0.0.5'],
    ],
    [[{ host: '127.0.0.1', port: 8080 }], [{ host: 'localhost' }], ['127.0.0.1', '::1']],
    [[{ host: '127.0.0.1', port: 8080 }], [{ host: '127.0.0.1' }], ['localhost', '::1', '127.0.0.1:8080']],
    [[{ host: '::1', port: 8080 }], [{ host: '::1' }], ['localhost', '127.0.0.1', '[::1]:8080']],
    [[], [{ host: 'api.github.com' }], ['localhost', '127.0.0.1', '::1']],
  ])('leaves out the listeners %j, and not the targets %j', (listeners, targets, direct) => {
    expect(directHosts(listeners, targets)).toEqual(direct);
  });
});

describe('trust', () => {
  test('is the bundle for programs that forget the system, and ours alone for those that add it', () => {
    const set = trustVariables(TRUST);
    expect(set).toMatchObject({ NODE_EXTRA_CA_CERTS: '/s/ca.pem', DENO_CERT: '/s/ca.pem' });
    for (const name of [
      'SSL_CERT_FILE',
      'REQUESTS_CA_BUNDLE',
      'CURL_CA_BUNDLE',
      'GIT_SSL_CAINFO',
      'PIP_CERT',
      'AWS_CA_BUNDLE',
      'npm_config_cafile',
      'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
    ]) {
      expect(set[name], name).toBe('/s/all.pem');
    }
    expect(Object.keys(set).sort()).toEqual([...TRUST_READERS.keys()].sort());
  });

  test('and the way are appended to what JVMs are started with already, without a token', () => {
    const login = { agent: 'scanner', token: 'made-up' };
    const options = javaToolOptions('-Xmx1g', { ...DOOR, login }, { ...TRUST, trustStore: '/s p/t.p12' });
    expect(options).toMatch(/^-Xmx1g "-Djavax\.net\.ssl\.trustStore=\/s p\/t\.p12" /);
    expect(options).toContain('-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128');
    expect(options).toContain('-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]');
    expect(options).toContain('-Djdk.http.auth.tunneling.disabledSchemes=');
    expect(options).not.toContain('made-up');
    expect(javaToolOptions(' ', DOOR, undefined)).not.toMatch(/^ |trustStore|disabledSchemes/);
  });

  test('of Java does not leave out a listener by its port, which is no word of Java’s list', () => {
    const options = javaToolOptions(undefined, { ...DOOR, direct: ['localhost', '127.0.0.1:8080'] }, undefined);
    expect(options).toContain('-Dhttp.nonProxyHosts=localhost');
    expect(options).not.toContain('8080');
  });
});

describe('secrets', () => {
  const config = (more: Partial<Config> = {}) => ({
    services: [],
    providers: {},
    agents: {},
    egress: undefined,
    ...more,
  });

  test('known ones go, and no variable that merely looks like one', () => {
    const env = { GITHUB_TOKEN: 'x', AWS_SESSION_TOKEN: 'x', MY_OWN_TOKEN: 'x', AWS_REGION: 'eu-west-1', PATH: '/bin' };
    expect(secretVariables(env, config(), [])).toEqual(['GITHUB_TOKEN', 'AWS_SESSION_TOKEN']);
    expect(secretVariables(env, config(), ['GITHUB_TOKEN'])).toEqual(['AWS_SESSION_TOKEN']);
  });

  test('those that any part of the file is fetched from go, also through a named store', () => {
    const env = { A: '1', B: '2', C: '3', D: '4', E: '5', F: '6' };
    const egress = { upstreamProxy: { password: { from: 'env', get: 'D' } } } as unknown as Config['egress'];
    const parts = config({
      services: [
        service('one', {
          credentials: {
            token: { from: 'env', get: 'A' },
            other: { from: 'spare', get: 'B' },
            file: { from: 'file', get: 'F' },
          },
          tls: { key: { from: 'env', get: 'E' } },
        }),
      ],
      providers: { spare: { type: 'env', options: {} } },
      agents: { scanner: { token: { from: 'env', get: 'C' } } },
      egress,
    });
    expect(secretVariables(env, parts, [])).toEqual(['A', 'B', 'C', 'D', 'E']);
  });

  test('one that holds what the file has in clear goes, but for names that nothing starts without', () => {
    const credentials = {
      token: { from: 'literal', get: 'a-secret-of-length' },
      user: { from: 'literal', get: 'longuser' },
    };
    const env = { X: 'a-secret-of-length', USER: 'longuser', SHORT: 'abc' };
    expect(secretVariables(env, config({ services: [service('one', { credentials })] }), [])).toEqual(['X']);
  });

  test('the list names each variable once', () => {
    const all = Object.values(KNOWN_SECRETS).flat();
    expect(new Set(all).size).toBe(all.length);
  });
});

describe('services', () => {
  const asking = { connectors };
  const answers = (...services: ServiceConfig[]) => services.flatMap((each) => answerOf(each, asking) ?? []);

  test('of HTTP with a target have a variable of their name, and those that others lead through have none', () => {
    const { set } = gathered(
      answers(
        service('git-hub', { listenOn: [tcp(8081, '0.0.0.0')], target: target('api.github.com') }),
        service('forward', { listenOn: [tcp(8082)] }),
        service('led', { target: target('x.example') }),
      ),
    );
    expect(set).toEqual({ GIT_HUB_URL: 'http://127.0.0.1:8081' });
    expect(urlVariable('9lives.api')).toBe('_9LIVES_API_URL');
  });

  test('a database has its URL and the variables of its clients, where it is the only one', () => {
    const orders = service('orders', { connector: 'postgres', listenOn: [tcp(5432)], config: { database: 'o' } });
    const { set, unset, conflicts } = gathered(answers(orders));
    expect(set).toMatchObject({ PGHOST: '127.0.0.1', PGPORT: '5432', DATABASE_URL: set['ORDERS_URL'] });
    expect(unset).toContain('PGPASSWORD');
    expect(conflicts).toEqual([]);
  });

  test('that disagree lose the variable, both of them, and are named', () => {
    const database = (name: string, port: number) => service(name, { connector: 'postgres', listenOn: [tcp(port)] });
    const { set, unset, conflicts } = gathered(answers(database('orders', 5432), database('stock', 5433)));
    expect(set).toMatchObject({ PGHOST: '127.0.0.1', ORDERS_URL: expect.stringContaining('5432') as string });
    expect(set).not.toHaveProperty('PGPORT');
    expect(set).not.toHaveProperty('DATABASE_URL');
    expect(unset).toEqual(expect.arrayContaining(['PGPORT', 'DATABASE_URL']));
    expect(conflicts).toContainEqual({ variable: 'PGPORT', services: ['orders', 'stock'] });
  });

  test('of AWS that the proxy leads to have the made-up key and no endpoint', () => {
    const { set } = gathered(answers(service('aws', { connector: 'aws', config: { region: 'eu-west-1' } })));
    expect(set).toMatchObject({ AWS_ACCESS_KEY_ID: 'SECRETLESSSIDECAR', AWS_REGION: 'eu-west-1' });
    expect(Object.keys(set).filter((name) => name.startsWith('AWS_ENDPOINT_URL'))).toEqual([]);
  });

  test('whose clients refuse to start without a key have one that says what it is', () => {
    const set = placeholderVariables([service('github', { target: target('api.github.com') }), service('x')]);
    expect(set).toEqual({ GH_TOKEN: 'held-by-secretless-sidecar' });
  });
});

describe('all of it', () => {
  test('what is set is not removed, what services set wins, and nothing is there where nothing is led', () => {
    const env = { HTTPS_PROXY: 'http://corp:1', GH_TOKEN: 'real', PGPASSWORD: 'x', PIP_PROXY: 'y', KEPT: '1' };
    const changes = environmentChanges({
      env,
      door: DOOR,
      trust: TRUST,
      secrets: ['GH_TOKEN', 'PGPASSWORD'],
      services: [{ set: { GH_TOKEN: 'held' }, unset: ['PGSERVICE'] }],
    });
    expect(changes.unset).toEqual(expect.arrayContaining(['PGPASSWORD', 'PGSERVICE', 'PIP_PROXY']));
    expect(changed(env, changes)).toMatchObject({ GH_TOKEN: 'held', HTTPS_PROXY: 'http://127.0.0.1:3128', KEPT: '1' });
    expect(changed(env, changes)).not.toHaveProperty('PGPASSWORD');
    const none = environmentChanges({ env, door: undefined, trust: undefined, secrets: [], services: [] });
    expect(none).toEqual({ set: {}, unset: [] });
  });
});

describe('a sidecar that runs', () => {
  const egress = (more: object = {}) =>
    ({ listenOn: [tcp(0)], mode: 'proxy', allow: [], ...more }) as unknown as Config['egress'];
  const status = (...listeners: [string, string[], object?][]) =>
    ({
      listeners: listeners.map(([address, services, more]) => ({ address, services, connections: 0, ...more })),
    }) as never;

  test('tells the ports that were any free one', () => {
    const config = {
      services: [service('api', { listenOn: [tcp(0)] }), service('led')],
      egress: egress(),
      agents: {},
    } as unknown as Config;
    const found = standingOf(
      config,
      status(['tcp://127.0.0.1:4000', ['api']], ['tcp://127.0.0.1:5000', ['led'], { egress: 'proxy' }]),
    );
    expect(found.egress).toEqual({ host: '127.0.0.1', port: 5000 });
    expect(found.services[0]!.listenOn).toEqual([tcp(4000)]);
  });

  test('without an egress listener leads nowhere', () => {
    const config = {
      services: [service('api', { listenOn: [tcp(0)] })],
      egress: egress(),
      agents: {},
    } as unknown as Config;
    expect(standingOf(config, status(['tcp://127.0.0.1:4000', ['api']]))).toMatchObject({
      egress: undefined,
      config: { egress: undefined },
    });
  });

  const tokens = {
    scanner: { token: { from: 'file', get: '/run/a' } },
    builder: { token: { from: 'file', get: '/run/b' } },
  };

  test.each([
    [{}, undefined, undefined, 'nobody'],
    [{}, undefined, 'local', 'nobody'],
    [tokens, undefined, 'scanner', { agent: 'scanner', reference: { from: 'file', get: '/run/a' } }],
    [tokens, 'local', undefined, 'nobody'],
    [tokens, 'local', 'local', 'nobody'],
  ])('asks of %j, egress.agent %s, --agent %s for %j', (agents, agent, asked, caller) => {
    const config = { agents, egress: egress(agent === undefined ? {} : { agent }) } as unknown as Config;
    expect(callerOf(config, asked)).toEqual(caller);
  });

  test.each([
    [tokens, undefined, undefined, '--agent scanner or builder'],
    [tokens, undefined, 'nobody', 'ask for scanner or builder'],
    [tokens, 'local', 'nobody', 'ask for scanner or builder'],
    [{}, undefined, 'scanner', 'none has a token here'],
  ])('refuses with %j, egress.agent %s, --agent %s: %s', (agents, agent, asked, text) => {
    const config = { agents, egress: egress(agent === undefined ? {} : { agent }) } as unknown as Config;
    expect(() => callerOf(config, asked)).toThrow(text);
  });
});
