import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { Agent } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { WELL_KNOWN_KEY } from '../connectors/aws/config.ts';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { programPath, pythonsWithBoto } from './aws/tools/place.ts';
import { startVerifyingServer } from './aws/verifying-server.ts';
import { canary, keepArtefact } from './canary.ts';
import {
  askOn,
  connectTunnel,
  getThrough,
  secure,
  startEgress,
  testAuthority,
  type EgressRig,
} from './egress-core-kit.ts';
import { problemOf } from './http-kit.ts';
import { temporaryFolder } from './rig.ts';

/** AWS through egress: clients that know a proxy, an authority to trust and a made-up key, and nothing else. */

const REGION = 'eu-central-1';
const HOSTS = ['s3', 'dynamodb', 'sqs', 'sts'].map((word) => `${word}.${REGION}.amazonaws.com`);

const AWS = `  cloud:
    connector: aws
    credentials: { accessKeyId: { from: env, get: REAL_ID }, secretAccessKey: { from: env, get: REAL_KEY } }
    tls: { ca: "{ca}" }
`;

/** What answers on port 443 of the endpoints: whoever asks the way out for it gets there. */
async function startCloud() {
  const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
  const server = await startVerifyingServer({ accounts: [real], region: REGION, buckets: ['bucket'] });
  onTestFinished(() => server.close());
  const { key, certificate } = await issueServerIdentity(await testAuthority(), HOSTS);
  const tls = createTlsServer({ key, cert: certificate }, (secured) => {
    const clear = connect(server.port, '127.0.0.1');
    for (const one of [secured, clear]) one.on('error', () => undefined);
    secured.pipe(clear).pipe(secured);
  });
  const asked: string[] = [];
  const wayOut = createServer().on('connect', (request, downstream: Socket) => {
    asked.push(request.url!);
    const upstream = connect((tls.address() as AddressInfo).port, '127.0.0.1');
    for (const one of [downstream, upstream]) one.on('error', () => undefined);
    downstream.write('HTTP/1.1 200 OK\r\n\r\n');
    downstream.pipe(upstream).pipe(downstream);
  });
  for (const one of [tls, wayOut]) {
    await new Promise<void>((done) => one.listen(0, '127.0.0.1', () => done()));
    onTestFinished(() => void one.close());
  }
  return { server, real, asked, port: (wayOut.address() as AddressInfo).port };
}

async function startAws(services = AWS) {
  const cloud = await startCloud();
  const resolve = HOSTS.map((host) => `${host}: 127.0.0.1`).join(', ');
  const egress = await startEgress({
    services,
    egress: `  resolve: { ${resolve} }\n  upstreamProxy: "http://127.0.0.1:${cloud.port}"\n`,
    env: { REAL_ID: cloud.real.accessKeyId, REAL_KEY: cloud.real.secretAccessKey },
  });
  return { ...cloud, egress };
}

/** What any program of AWS is given. */
function environmentOf({ port, ca }: EgressRig): Record<string, string> {
  const folder = temporaryFolder();
  const bundle = join(folder, 'ca.pem');
  writeFileSync(bundle, ca);
  const config = join(folder, 'config');
  writeFileSync(config, '[default]\ns3 =\n  addressing_style = path\n');
  return {
    PATH: process.env['PATH']!,
    HOME: folder,
    LC_ALL: 'C.UTF-8',
    HTTPS_PROXY: `http://127.0.0.1:${port}`,
    AWS_CA_BUNDLE: bundle,
    AWS_ACCESS_KEY_ID: WELL_KNOWN_KEY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: WELL_KNOWN_KEY.secretAccessKey,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    // Old ones ask the host of the first region otherwise.
    AWS_STS_REGIONAL_ENDPOINTS: 'regional',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  };
}

async function run(program: string, args: readonly string[], env: Record<string, string>, input = ''): Promise<string> {
  const child = spawn(program, args, { env, stdio: 'pipe' });
  child.stdin.on('error', () => undefined).end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  keepArtefact('tool', `${out}\n${err}`);
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${err.slice(-1500)}`);
  return out;
}

const BOTO = `
import boto3
s3 = boto3.client("s3")
s3.put_object(Bucket="bucket", Key="a b", Body=b"from boto")
print(s3.get_object(Bucket="bucket", Key="a b")["Body"].read().decode())
print(boto3.client("sts").get_caller_identity()["UserId"])
`;
const [python] = pythonsWithBoto().values();

test.skipIf(python === undefined)('boto3 behind a proxy reaches AWS with a key that opens nothing', async () => {
  const { egress, server, asked } = await startAws();
  const printed = await run(python!, ['-c', BOTO], environmentOf(egress));
  expect(printed.trim().split('\n')).toEqual(['from boto', 'AKIAREALONE']);
  expect(server.requests.length).toBeGreaterThanOrEqual(3);
  expect(new Set(asked)).toEqual(new Set(['127.0.0.1:443']));
  expect(egress.rig.events('decision')).toContainEqual(
    expect.objectContaining({ service: 'cloud', upstream: `https://s3.${REGION}.amazonaws.com`, result: 'allow' }),
  );
});

const cli = programPath('aws');

test.skipIf(cli === undefined)(
  'the AWS CLI behind a proxy reaches AWS with a key that opens nothing',
  async () => {
    const { egress } = await startAws();
    const env = environmentOf(egress);
    const identity = JSON.parse(await run(cli!, ['sts', 'get-caller-identity', '--output', 'json'], env)) as object;
    expect(identity).toMatchObject({ UserId: 'AKIAREALONE' });
    await run(cli!, ['s3', 'cp', '-', 's3://bucket/k'], env, 'from the CLI');
    expect(await run(cli!, ['s3', 'cp', 's3://bucket/k', '-'], env)).toBe('from the CLI');
  },
  60_000,
);

test('the JavaScript SDK behind a proxy reaches AWS with a key that opens nothing', async () => {
  const { egress } = await startAws();
  const proxyEnv = { HTTPS_PROXY: `http://127.0.0.1:${egress.port}` };
  const httpsAgent = new Agent({ proxyEnv, ca: egress.ca });
  onTestFinished(() => httpsAgent.destroy());
  const options = { region: REGION, credentials: WELL_KNOWN_KEY, requestHandler: { httpsAgent }, maxAttempts: 1 };
  expect(await new STSClient(options).send(new GetCallerIdentityCommand())).toMatchObject({ UserId: 'AKIAREALONE' });
  const s3 = new S3Client({ ...options, forcePathStyle: true });
  await s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: 'from JavaScript' }));
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
  expect(await Body!.transformToString()).toBe('from JavaScript');
  const dynamo = new DynamoDBClient(options);
  await dynamo.send(new PutItemCommand({ TableName: 't', Item: { id: { S: 'x' }, n: { N: '1' } } }));
  const { Item } = await dynamo.send(new GetItemCommand({ TableName: 't', Key: { id: { S: 'x' } } }));
  expect(Item).toMatchObject({ n: { N: '1' } });
});

test('hosts that the connector cannot place, other ports and requests in clear have no service, and nobody is dialled', async () => {
  const { egress, asked } = await startAws();
  for (const target of [
    'example.com:443',
    `s3.${REGION}.amazonaws.com.evil.test:443`,
    `evil-s3.${REGION}.amazonaws.com.:443`,
    `unknown-thing.${REGION}.amazonaws.com:443`,
    'amazonaws.com:443',
    `s3.${REGION}.amazonaws.com:8443`,
  ]) {
    expect([target, (await connectTunnel(egress.port, target)).status]).not.toEqual([target, 200]);
  }
  const { socket, status } = await connectTunnel(egress.port, `s3.${REGION}.amazonaws.com:443`);
  expect(status).toBe(200);
  const closed = once(socket, 'close');
  const heard = text(socket);
  socket.write(`GET / HTTP/1.1\r\nHost: s3.${REGION}.amazonaws.com:443\r\nConnection: close\r\n\r\n`);
  socket.resume();
  await closed;
  expect(problemOf(await heard).code).toBe('no-service');
  expect(asked).toEqual([]);
});

test('a request that is signed with no key of an agent is refused in the tunnel', async () => {
  const { egress, asked } = await startAws();
  const refused = await getThrough(egress, `s3.${REGION}.amazonaws.com:443`, '/bucket/x');
  expect(refused).toContain('x-secretless-error: caller-unproven');
  expect(asked).toEqual([]);
});

test('a page of a foreign origin gets nothing signed', async () => {
  const { egress, asked } = await startAws();
  const { socket } = await connectTunnel(egress.port, `s3.${REGION}.amazonaws.com:443`);
  const tls = await secure(socket, { servername: `s3.${REGION}.amazonaws.com`, ca: egress.ca });
  const heard = await askOn(
    tls,
    `GET / HTTP/1.1\r\nHost: s3.${REGION}.amazonaws.com\r\nOrigin: https://evil.test\r\nSec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n`,
  );
  expect(problemOf(heard).code).toBe('origin-refused');
  expect(asked).toEqual([]);
});

/** What an SDK hands over once it has signed it. */
interface Signed {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

test('an SDK that speaks HTTP/2, and signs the authority in place of a host, is signed for anew too', async () => {
  const { egress } = await startAws();
  const host = `dynamodb.${REGION}.amazonaws.com`;
  const { socket } = await connectTunnel(egress.port, `${host}:443`);
  const tls = await secure(socket, { servername: host, ca: egress.ca, ALPNProtocols: ['h2'] });
  const session = connectHttp2(`https://${host}`, { createConnection: () => tls });
  onTestFinished(() => session.destroy());
  const handle = async (request: Signed) => {
    const stream = session.request({ ':method': request.method, ':path': request.path, ...request.headers });
    const answered = once(stream, 'response') as Promise<[IncomingHttpHeaders]>;
    stream.end(request.body);
    const [{ ':status': statusCode, ...headers }] = await answered;
    return { response: { statusCode: Number(statusCode), headers: headers as Record<string, string>, body: stream } };
  };
  const requestHandler = { handle, metadata: { handlerProtocol: 'h2' } };
  const dynamo = new DynamoDBClient({ region: REGION, credentials: WELL_KNOWN_KEY, requestHandler, maxAttempts: 1 });
  await dynamo.send(new PutItemCommand({ TableName: 't', Item: { id: { S: 'x' }, n: { N: '2' } } }));
  const { Item } = await dynamo.send(new GetItemCommand({ TableName: 't', Key: { id: { S: 'x' } } }));
  expect(Item).toMatchObject({ n: { N: '2' } });
});
