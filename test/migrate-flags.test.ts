import { describe, expect, test } from 'vitest';
import type { Config } from '../src/config/config.ts';
import { readFlags } from '../src/migrate/flags.ts';
import { canary } from './canary.ts';
import { check, loaded } from './cyberark-kit.ts';
import { type Ran, run, said } from './migrate-kit.ts';

/* `secretless migrate` on the command lines of aws-sigv4-proxy and Cloud SQL Auth Proxy. */

interface Converted extends Ran {
  readonly config: Config;
  readonly said: string;
}

/** A conversion that `check` must take, whatever is left to do. */
async function convert(tool: string, ...words: string[]): Promise<Converted> {
  const ran = await run('migrate', '--from', tool, '--', ...words);
  expect((await check(ran.out)).err).not.toContain('error: ');
  const { config } = loaded(ran.out);
  return { ...ran, config: config!, said: said(ran.out).join('\n') };
}

const sigv4 = (...words: string[]): Promise<Converted> => convert('aws-sigv4-proxy', ...words);
const cloudSql = (...words: string[]): Promise<Converted> => convert('cloud-sql-proxy', ...words);

describe('flags', () => {
  const specs = {
    verbose: { kind: 'switch', short: 'v' },
    strip: { kind: 'value', short: 's' },
    name: { kind: 'value' },
  } as const;

  test.each([
    [['--name', 'x', '--strip=a=b'], ['name=x', 'strip=a=b'], []],
    [['-v', '-s', 'a', '-sb', '-vs', 'c'], ['verbose=true', 'strip=a', 'strip=b', 'verbose=true', 'strip=c'], []],
    [['--no-verbose', '--verbose=false'], ['verbose=false', 'verbose=false'], []],
    [['one', '--', '--name', 'x'], [], ['one', '--name', 'x']],
  ])('%j are read as Go programs read them', (words, flags, positionals) => {
    const line = readFlags(words, specs);
    expect(line.flags.map(({ name, value }) => `${name}=${value}`)).toEqual(flags);
    expect([line.positionals, line.unknown, line.incomplete]).toEqual([positionals, [], []]);
  });

  test('what is unknown or lacks its value is told by name, never by value', () => {
    const line = readFlags(['--secret=x', '-q', '--no-name', '--constructor', '--name'], specs);
    expect(line.unknown).toEqual(['--secret', '-q', '--no-name', '--constructor']);
    expect(line.incomplete).toEqual(['--name']);
  });
});

describe('aws-sigv4-proxy', () => {
  test('without flags signs for whoever comes, with what an AWS SDK finds, on the same port of this machine', async () => {
    const { config, code, err } = await sigv4();
    expect(config.services).toMatchObject([
      {
        name: 'aws',
        connector: 'aws',
        listenOn: [{ host: '127.0.0.1', port: 8080 }],
        config: { unsigned: 'sign', foreign: 'sign' },
        credentials: { accessKeyId: { from: 'aws-credentials', get: 'default' } },
      },
    ]);
    expect(config.services[0]?.target).toBeUndefined();
    expect(code).toBe(0);
    expect(err).toContain('a Host field chose the upstream');
    expect(err).toContain('listened on every interface');
  });

  test('carries over host, service, region, role, port and verbosity', async () => {
    const role = 'arn:aws:iam::123456789012:role/agent';
    const host = 'abc.execute-api.us-east-1.amazonaws.com';
    const { config, code } = await sigv4(
      ...['aws-sigv4-proxy', '-v', '--name', 'execute-api', '--region=us-east-1', '--host', host],
      ...['--role-arn', role, '--port', '127.0.0.1:9000', '--strip', 'Authorization'],
    );
    expect(config.services[0]).toMatchObject({
      listenOn: [{ host: '127.0.0.1', port: 9000 }],
      target: { origin: { scheme: 'https', host, port: 443 } },
      config: { service: 'execute-api', region: 'us-east-1' },
      credentials: { sessionToken: { from: 'role', get: role } },
    });
    expect(config.providers).toMatchObject({ role: { type: 'aws-sts', options: { region: 'us-east-1' } } });
    expect(config.telemetry.log.level).toBe('debug');
    expect(code).toBe(0);
  });

  test('an upstream in clear stays one, and `--name` without `--region` is told to have had no effect', async () => {
    const { config, said: comments } = await sigv4(
      '--host',
      '127.0.0.1:4566',
      '--upstream-url-scheme',
      'http',
      '--name',
      's3',
    );
    expect(config.services[0]?.target?.origin).toEqual({ scheme: 'http', host: '127.0.0.1', port: 4566 });
    expect(config.services[0]?.config).toEqual({ unsigned: 'sign', foreign: 'sign' });
    expect(comments).toContain('`--name` had an effect beside `--region` alone');
  });

  test.each([
    [['--host', 'tunnel:4443', '--sign-host', 'x.eu-west-1.es.amazonaws.com'], 'the host that they are sent to'],
    [['--no-verify-ssl'], 'certificates are always verified'],
    [['--custom-headers', 'a=b'], 'headers are not added'],
    [['--duplicate-headers', 'Authorization'], 'no `X-Original-` copies'],
    [['--port', 'http'], 'the value of `--port` could not be read'],
    [['--bogus=x'], '`--bogus` is no flag of aws-sigv4-proxy'],
    [['--name'], '`--name` lacks its value'],
    [['stray'], 'words that are no flags'],
  ])('%j is left to do, said in the file and on standard error, and ends with 78', async (words, message) => {
    const { code, err, said: comments } = await sigv4(...words);
    expect(code).toBe(78);
    expect(err).toMatch(/^to do: /m);
    expect(err).toContain(message);
    expect(comments).toContain(message);
  });

  test.each([
    [['--strip', 'X-Forwarded-For'], 'headers and parameters are not taken out'],
    [['--strip-param', 'x'], 'headers and parameters are not taken out'],
    [['--unsigned-payload'], 'UNSIGNED-PAYLOAD'],
    [['--role-arn', 'arn:aws:iam::123456789012:role/agent'], 'AWS_REGION'],
  ])('%j acts otherwise here, which is said', async (words, message) => {
    const { code, err } = await sigv4(...words);
    expect([code, err.includes(message)]).toEqual([0, true]);
  });

  test('prints no value of a flag that it does not carry over', async () => {
    const secret = canary();
    const { out, err } = await sigv4('--custom-headers', `X-Key=${secret}`, `--bogus=${secret}`, `-z${secret}`, secret);
    expect([out.includes(secret), err.includes(secret)]).toEqual([false, false]);
  });
});

test('a word that is no flag at all writes nothing into the file or on the terminal', async () => {
  const { out, err } = await sigv4('--x\nservices: {}', '--\u001b[2J', `--${'long'.repeat(50)}`);
  expect(`${out}${err}`).not.toMatch(/^services: \{\}|longlong/m);
  expect(`${out}${err}`).not.toContain('\u001b');
  expect(err.match(/^to do: a word is no flag/gm)).toHaveLength(1);
});

describe('Cloud SQL Auth Proxy', () => {
  const ONE = 'my-project:europe-west1:orders-db';

  test('an instance becomes a service whose upstream is verified and whose password the sidecar alone gets', async () => {
    const { config, code, err } = await cloudSql(ONE);
    expect(config.services).toMatchObject([
      {
        name: 'orders-db',
        connector: 'postgres',
        listenOn: [{ host: '127.0.0.1', port: 5432 }],
        credentials: {
          host: { from: 'env', get: 'ORDERS_DB_HOST' },
          username: { from: 'env', get: 'ORDERS_DB_USER' },
          password: { from: 'env', get: 'ORDERS_DB_PASSWORD' },
          sslmode: { from: 'literal', get: 'verify-ca' },
          sslrootcert: { from: 'file', get: '/etc/secretless/orders-db-ca.pem' },
        },
      },
    ]);
    expect(code).toBe(0);
    expect(err).toContain('set ORDERS_DB_HOST to the public address of the instance');
    expect(err).toContain('set ORDERS_DB_USER and ORDERS_DB_PASSWORD for the sidecar alone');
  });

  test('ports count up, and an instance may have an address, a port or a socket of its own', async () => {
    const { config } = await cloudSql(
      ...['cloud-sql-proxy', '-p', '6000', 'p:r:one', 'p:r:two?address=0.0.0.0&port=7000', 'p:r:three'],
      ...['p:r:four?unix-socket=/cloudsql', 'p:r:five?unix-socket-path=/run/five'],
    );
    const places = config.services.map(({ name, listenOn: [address] }) => [name, address]);
    expect(Object.fromEntries(places)).toEqual({
      one: { kind: 'tcp', host: '127.0.0.1', port: 6000 },
      two: { kind: 'tcp', host: '0.0.0.0', port: 7000 },
      three: { kind: 'tcp', host: '127.0.0.1', port: 6001 },
      four: { kind: 'unix', path: '/cloudsql/p:r:four/.s.PGSQL.5432' },
      five: { kind: 'unix', path: '/run/five/.s.PGSQL.5432' },
    });
  });

  test('instances of one name, and one that is there several times, become services of their own', async () => {
    const { config } = await cloudSql('a:r:db', 'b:r:db', 'b:r:db', 'b:r:db?port=1');
    expect(config.services.map(({ name }) => name)).toEqual(['b-db', 'db', 'db-2', 'db-3']);
  });

  test('health, logs, limits and the time to end are carried over', async () => {
    const { config, said: comments } = await cloudSql(
      ...['--health-check', '--http-port=9801', '--http-address=0.0.0.0', '--quiet', '--max-connections', '20'],
      ...['--max-sigterm-delay', '10s', '--private-ip', ONE],
    );
    expect(config.telemetry).toEqual({
      listenOn: { kind: 'tcp', host: '0.0.0.0', port: 9801 },
      log: { level: 'error' },
    });
    expect(config.services[0]?.limits.upstreamConnections).toBe(20);
    expect(config.limits.drainSeconds).toBe(10);
    expect(comments).toContain('the private address');
    expect(comments).toContain('probes ask /livez and /readyz');
  });

  test.each([
    [['-i', ONE], 'no provider of this build makes such tokens'],
    [[`${ONE}?auto-iam-authn=true`], 'no provider of this build makes such tokens'],
    [['--fuse', '/csql', ONE], 'in place of `--fuse`'],
    [['--config-file', 'x.toml', ONE], '`--config-file` is not read'],
    [['--port', '3306', ONE], 'port 3306 is that of MySQL'],
    [['--bogus', ONE], '`--bogus` is no flag of cloud-sql-proxy'],
  ])('%j is left to do, said in the file and on standard error, and ends with 78', async (words, message) => {
    const { code, err, said: comments } = await cloudSql(...words);
    expect(code).toBe(78);
    expect(err).toContain(message);
    expect(comments).toContain(message);
  });

  test('automatic IAM login asks gcloud for the token, and gives it to nobody but a verified upstream', async () => {
    const { config } = await cloudSql('--auto-iam-authn', ONE);
    expect(config.services[0]).toMatchObject({
      config: { requireAuth: ['password'] },
      credentials: {
        password: { from: 'exec', get: 'gcloud sql generate-login-token --instance=orders-db --project=my-project' },
      },
    });
  });

  test('without an instance there is nothing to convert, and that is said', async () => {
    const { code, err } = await run('migrate', '--from', 'cloud-sql-proxy', '--', '--port', '5432');
    expect([code, err.includes('instances are named project:region:name')]).toEqual([78, true]);
  });

  test('prints no value of a flag that it does not carry over', async () => {
    const secret = canary();
    const { out, err } = await cloudSql(
      '--token',
      secret,
      '-j',
      secret,
      `--login-token=${secret}`,
      `--bogus=${secret}`,
      ONE,
    );
    expect([out.includes(secret), err.includes(secret)]).toEqual([false, false]);
    expect(err).toContain('`--json-credentials`, `--login-token`, `--token` left out');
  });
});
