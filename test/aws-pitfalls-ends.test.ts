import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCli } from '../src/cli/dispatch.ts';
import { recordedIo } from '../src/cli/testdata/recorded-io.ts';
import { DUMMY, type Door } from './aws/door.ts';
import { signRaw } from './aws/raw-client.ts';
import { canary } from './canary.ts';
import { dial, heads, type Peer, type RawUpstream, startRawUpstream } from './http-kit.ts';
import { eventually, type Rig, startRig } from './rig.ts';

/* The pitfalls of signing requests anew that show where a request ends up, or how an answer ends. */

const REGION = 'eu-central-1';

/** A sidecar before AWS itself, or before `target`. */
async function startAws(target?: string): Promise<{ rig: Rig; port: number; secret: string }> {
  const secret = canary();
  const config = { region: REGION, agents: { local: DUMMY }, ...(target === undefined ? {} : { service: 's3' }) };
  const service = {
    connector: 'aws',
    listenOn: 'tcp://127.0.0.1:0',
    ...(target === undefined ? {} : { target }),
    credentials: { accessKeyId: 'AKIAREALONE', secretAccessKey: { from: 'env', get: 'AWS_PITFALLS_SECRET' } },
    config,
  };
  const rig = await startRig(`services: ${JSON.stringify({ s3: service })}`, { AWS_PITFALLS_SECRET: secret });
  return { rig, port: rig.port('s3'), secret };
}

/** One signed PUT of `body`; `target` as it stands in the request line. */
function put(port: number, body: string, target = '/bucket/key', more: readonly string[] = []): string {
  const url = `http://127.0.0.1:${port}`;
  const endpoints = { s3: url, dynamodb: url, sqs: url, sts: url };
  const door: Door = { endpoints, region: REGION, credentials: DUMMY, bucket: 'bucket', trailers: true };
  const { lines } = signRaw(door, { method: 'PUT', target: '/bucket/key', body });
  const fields = lines.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${lines[at + 1]!}`] : []));
  return [
    `PUT ${target} HTTP/1.1`,
    ...fields,
    `content-length: ${body.length}`,
    'connection: close',
    ...more,
    '',
    body,
  ].join('\r\n');
}

describe('the host that is signed is the host that is connected to', () => {
  test.each([
    ['http://s3.eu-central-1.amazonaws.com/bucket/key', [], 'host-mismatch'],
    ['http://user@s3.eu-central-1.amazonaws.com/bucket/key', [], 'request-malformed'],
    ['/bucket/key', ['host: sts.amazonaws.com'], 'request-malformed'],
  ])('P12: %s with a Host that disagrees (%j) is refused', async (target, more, code) => {
    const { rig, port } = await startAws();
    const client = await dial(port, put(port, 'x', target, more));
    expect(await client.end()).toMatch(/^HTTP\/1\.1 4\d\d /);
    await eventually(() => JSON.stringify(rig.log).includes(code));
    expect(rig.events('decision').filter(({ result }) => result === 'allow')).toEqual([]);
  });
});

describe('an answer that breaks off', () => {
  async function answering(serve: (peer: Peer) => void): Promise<{ upstream: RawUpstream; text: string }> {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      serve(peer);
    });
    const { port } = await startAws(upstream.url);
    const client = await dial(port, put(port, 'x'));
    return { upstream, text: await client.end() };
  }

  test('P22: after it has begun is a cut connection for the agent too, never an answer that the sidecar makes up', async () => {
    const { upstream, text } = await answering((peer) => {
      peer.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
    });
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhalf$/);
    expect(upstream.requests()).toHaveLength(1);
  });

  test('P22: before it has begun is told once, and the request was not sent a second time', async () => {
    const { upstream, text } = await answering((peer) => peer.socket.destroy());
    expect(text).toMatch(/^HTTP\/1\.1 502 /);
    expect(upstream.requests()).toHaveLength(1);
  });

  test('P22: a 5xx of the upstream goes down as it came, and the request was not sent a second time', async () => {
    const { upstream, text } = await answering((peer) => {
      peer.socket.end('HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 4\r\n\r\nslow');
    });
    expect(text).toMatch(/^HTTP\/1\.1 503 Slow Down\r\n[^]*\r\n\r\nslow$/);
    expect(upstream.requests()).toHaveLength(1);
  });
});

test('P24: the environment of an agent has what each kind of SDK reads, and needs neither a proxy nor a bundle of authorities', async () => {
  const { rig } = await startAws();
  const io = recordedIo({ env: { SECRETLESS_HOME: rig.folder } });
  const file = join(rig.folder, 'fixed.yml');
  let next = 8009;
  writeFileSync(
    file,
    readFileSync(rig.file, 'utf8').replace(/127\.0\.0\.1:0\b/g, () => `127.0.0.1:${next++}`),
  );
  expect(await runCli(['env', '-f', file, '--json', 'aws'], io)).toBe(0);
  const variables = JSON.parse(io.out()) as Record<string, string | null>;
  // Python's SDK reads the second name alone.
  expect([variables['AWS_REGION'], variables['AWS_DEFAULT_REGION']]).toEqual([REGION, REGION]);
  // A certificate would have to be trusted by each SDK in its own way: AWS_CA_BUNDLE is not read by all of them.
  for (const [name, value] of Object.entries(variables))
    if (name.startsWith('AWS_ENDPOINT_URL')) expect(value).toMatch(/^http:\/\/127\.0\.0\.1:/);
  expect(variables).toHaveProperty('AWS_ENDPOINT_URL');
  // JavaScript's SDK reads no proxy variable.
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'https_proxy', 'AWS_CA_BUNDLE', 'SSL_CERT_FILE'])
    expect(variables).not.toHaveProperty(name);
  for (const name of [
    'AWS_PROFILE',
    'AWS_SESSION_TOKEN',
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
    'AWS_WEB_IDENTITY_TOKEN_FILE',
  ])
    expect(variables[name]).toBeNull();
  expect(variables['AWS_EC2_METADATA_DISABLED']).toBe('true');
});
