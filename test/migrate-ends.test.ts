import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../src/cli/demo/ports.ts';
import { askRaw } from './aws/ask.ts';
import { startVerifyingServer, type VerifyingServer } from './aws/verifying-server.ts';
import { canary } from './canary.ts';
import { loaded } from './cyberark-kit.ts';
import { migrate, run } from './migrate-kit.ts';
import { refusalOf, whoAmI } from './postgres/rig.ts';
import { certificates, installedVersions, usePostgres } from './postgres/server.ts';
import { ask, startRig, startUpstream, temporaryFolder } from './rig.ts';

/* What a conversion does, with real upstreams: the same as the original, or as the tool that it replaces. */

/** What an upstream gets of a request with `http_proxy`, through a sidecar on this text. */
async function received(yaml: string, env: Record<string, string>, url: string, service: string): Promise<unknown> {
  const rig = await startRig(yaml, env);
  const answer = await ask(rig.port(service), [`GET ${url} HTTP/1.1`, `Host: ${new URL(url).host}`].join('\n'));
  await rig.sidecar.drain();
  return answer.status;
}

describe('CyberArk Secretless Broker', () => {
  test('a version 1 file puts the same credentials on the same requests when it is converted', async () => {
    const [one, other] = [await startUpstream(), await startUpstream()];
    const port = await freePort();
    const password = canary();
    const original = `listeners:
  - { name: web, protocol: http, address: '127.0.0.1:${port}' }
handlers:
  # the first by name takes what both match
  - name: zeta
    listener: web
    type: basic_auth
    match: ['^http://127\\.0\\.0\\.1:\\d+/']
    credentials: [{ name: username, provider: literal, id: 010 }, { name: password, provider: env, id: MIGRATE_PASSWORD }]
  - name: alpha
    listener: web
    type: http/basic_auth
    match: ['^http://127\\.0\\.0\\.1:${one.port}/']
    credentials: [{ name: username, provider: literal, id: yes }, { name: password, provider: env, id: MIGRATE_PASSWORD }]
`;
    const { out, code } = await migrate(original);
    expect(code).toBe(0);
    // A version 1 file cannot say where telemetry listens, so the original itself is only read.
    expect(loaded(out).config?.services).toEqual(loaded(original).config?.services);
    const env = { MIGRATE_PASSWORD: password };
    for (const upstream of [one, other]) {
      expect(await received(out, env, `http://127.0.0.1:${upstream.port}/x`, 'alpha')).toBe(200);
    }
    expect(await received(out, env, 'http://127.0.0.2/', 'alpha')).toBe(403);
    const basic = (user: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const seen = [one, other].map(({ requests }) => requests.map(({ headers }) => headers.authorization));
    expect(seen[0]!.every((each) => each === basic('true')) && seen[1]!.every((each) => each === basic('8'))).toBe(
      true,
    );
    expect(seen.map(({ length }) => length)).toEqual([1, 1]);
  });

  test('a version 2 file with keys that the broker never read works when it is converted, and does not before', async () => {
    const upstream = await startUpstream();
    const token = canary();
    const original = `version: 2
services:
  api: # ours
    protocol: generic_http
    debug: true
    listenOn: tcp://127.0.0.1:${await freePort()}
    credentials: { token: { from: env, get: MIGRATE_TOKEN } }
    config:
      headers: { X-Key: '{{ .token }}' }
      authenticateURLsMatching: '^http://127\\.0\\.0\\.1:${upstream.port}/'
`;
    const { out } = await migrate(original);
    const url = `http://127.0.0.1:${upstream.port}/`;
    expect(await received(out, { MIGRATE_TOKEN: token }, url, 'api')).toBe(200);
    expect(upstream.requests[0]?.headers['x-key'] === token).toBe(true);
    await expect(startRig(original, { MIGRATE_TOKEN: token })).rejects.toThrow('unknown key "debug"');
  });
});

describe('aws-sigv4-proxy', () => {
  const REGION = 'eu-central-1';

  async function world(
    ...more: string[]
  ): Promise<{ server: VerifyingServer; port: number; env: Record<string, string> }> {
    const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
    const server = await startVerifyingServer({ accounts: [real], region: REGION, buckets: ['photos'] });
    onTestFinished(() => server.close());
    const port = await freePort();
    const words = ['--name', 's3', '--region', REGION, '--port', `127.0.0.1:${port}`, '--upstream-url-scheme', 'http'];
    const { out } = await run(
      'migrate',
      '--from',
      'aws-sigv4-proxy',
      '--',
      ...words,
      ...more,
      '--host',
      `127.0.0.1:${server.port}`,
    );
    const env = { AWS_ACCESS_KEY_ID: real.accessKeyId, AWS_SECRET_ACCESS_KEY: real.secretAccessKey };
    await startRig(out, env);
    return { server, port, env };
  }

  test('what nobody signed is signed for the service, region and host of the flags, and a Host that says otherwise is refused', async () => {
    const { server, port } = await world();
    const put = await askRaw(
      port,
      'PUT',
      '/photos/a%20b.txt',
      ['host', `localhost:${port}`, 'content-length', '5'],
      'hello',
    );
    const got = await askRaw(port, 'GET', '/photos/a%20b.txt', ['host', `127.0.0.1:${server.port}`]);
    expect([put.status, got.status, got.body]).toEqual([200, 200, 'hello']);
    const direct = await askRaw(server.port, 'GET', '/photos/a%20b.txt', ['host', `127.0.0.1:${server.port}`]);
    expect(direct.status).toBe(403);
    const misled = await askRaw(port, 'GET', '/photos/a%20b.txt', ['host', 's3.amazonaws.com']);
    expect(misled.status).toBe(421);
  });

  test('so is what an SDK signed with any made-up key', async () => {
    const { port } = await world('--strip', 'Authorization');
    await askRaw(port, 'PUT', '/photos/one', ['host', `127.0.0.1:${port}`, 'content-length', '2'], 'ok');
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'AKIAMADEUP', secretAccessKey: 'whatever-it-is' },
    });
    onTestFinished(() => client.destroy());
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'photos', Key: 'one' }));
    expect(await Body!.transformToString()).toBe('ok');
  });
});

test('aws-sigv4-proxy without `--host`: an http:// URL of AWS that comes by `http_proxy` would leave as https, signed', async () => {
  const port = await freePort();
  const { out } = await run('migrate', '--from', 'aws-sigv4-proxy', '--', '--port', `127.0.0.1:${port}`);
  // Policy refuses it, so that nothing leaves this machine: where it would go is in the ledger.
  const rig = await startRig(`${out}\nrules: []\n`, {
    AWS_ACCESS_KEY_ID: 'AKIAREALONE',
    AWS_SECRET_ACCESS_KEY: canary(),
  });
  const url = 'http://sqs.eu-west-1.amazonaws.com/123456789012/queue?Action=SendMessage';
  const answer = await ask(port, `GET ${url} HTTP/1.1\nHost: sqs.eu-west-1.amazonaws.com`);
  expect(answer.status).toBe(403);
  expect(rig.events('decision')).toMatchObject([{ result: 'deny', upstream: 'https://sqs.eu-west-1.amazonaws.com' }]);
  const byHost = await ask(port, 'GET /x HTTP/1.1\nHost: sqs.eu-west-1.amazonaws.com');
  expect(byHost.status).toBe(421);
});

const missing = installedVersions.includes(17) ? '' : ' (skipped: PostgreSQL 17 is not installed)';

describe.skipIf(missing !== '')(`Cloud SQL Auth Proxy${missing}`, () => {
  const server = usePostgres();

  /** A sidecar on the conversion, its place of the authority and the port of the server put on this machine. */
  async function start(authority: string): Promise<number> {
    const port = await freePort();
    const { out } = await run('migrate', '--from', 'cloud-sql-proxy', '--', `p:r:orders-db?port=${port}`);
    const file = join(temporaryFolder(), 'ca.pem');
    writeFileSync(file, authority);
    const placed = out
      .replace('/etc/secretless/orders-db-ca.pem', file)
      .replace('sslmode: verify-ca', `sslmode: verify-ca\n      port: '${server().port}'`);
    await startRig(placed, {
      ORDERS_DB_HOST: '127.0.0.1',
      ORDERS_DB_USER: 'postgres',
      ORDERS_DB_PASSWORD: server().password,
    });
    return port;
  }

  test('an app without a user and password of its own is logged in over TLS', async () => {
    expect(await whoAmI(await start(server().ca))).toBe('postgres@postgres, tls');
  });

  test('and not where another authority signed the certificate of the upstream', async () => {
    const { stranger } = await certificates();
    const { code } = await refusalOf(whoAmI(await start(stranger.certificate)));
    expect(code).toBe('08001');
  });
});
