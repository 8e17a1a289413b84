import { request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { callAws, medianCallMs } from './aws-agent.ts';
import { sha256, signatureOf, type AwsKey } from './aws-signature.ts';
import { openAwsUpstream, type AwsUpstream } from './aws-upstream.ts';

const REAL: AwsKey = { accessKeyId: 'AKIADEMOREALKEY00001', secretAccessKey: 'real-key-of-the-demo' };

async function open(): Promise<AwsUpstream> {
  const upstream = await openAwsUpstream(REAL);
  onTestFinished(() => upstream.close());
  return upstream;
}

test('the signature is the one that AWS prints for "GET Object"', () => {
  const empty = sha256('');
  const signature = signatureOf(
    {
      method: 'GET',
      target: '/test.txt',
      fields: [
        ['host', 'examplebucket.s3.amazonaws.com'],
        ['range', 'bytes=0-9'],
        ['x-amz-content-sha256', empty],
        ['x-amz-date', '20130524T000000Z'],
      ],
      payloadHash: empty,
      ...{ amzDate: '20130524T000000Z', region: 'us-east-1', service: 's3' },
    },
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  );
  expect(signature).toBe('f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
});

interface Changes {
  readonly key?: AwsKey;
  readonly sent?: string;
  readonly minutes?: number;
  readonly more?: Readonly<Record<string, string>>;
  readonly service?: string;
}

/** Status of a call that is right but for the changes. */
function call({ port }: AwsUpstream, { key = REAL, sent = '{}', minutes = 0, more = {}, service }: Changes = {}) {
  const amzDate = new Date(Date.now() + minutes * 60_000).toISOString().replace(/[-:]|\.\d+/g, '');
  const own = { host: `127.0.0.1:${port}`, 'x-amz-date': amzDate, 'x-amz-target': 'DynamoDB_20120810.PutItem' };
  const scope = { region: 'eu-central-1', service: service ?? 'dynamodb' };
  const signature = signatureOf(
    { method: 'POST', target: '/', fields: Object.entries(own), payloadHash: sha256('{}'), amzDate, ...scope },
    key.secretAccessKey,
  );
  const credential = `${key.accessKeyId}/${amzDate.slice(0, 8)}/${scope.region}/${scope.service}/aws4_request`;
  const names = Object.keys(own).join(';');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return new Promise<number>((resolve, reject) => {
    const headers = { ...own, ...more, authorization };
    request({ port, host: '127.0.0.1', method: 'POST', path: '/', headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on('error', reject)
      .end(sent);
  });
}

test('it takes what the real key signed, and nothing else', async () => {
  const upstream = await open();
  expect(await call(upstream)).toBe(200);
  expect(await call(upstream, { key: { ...REAL, secretAccessKey: 'another' } })).toBe(403);
  expect(await call(upstream, { key: { ...REAL, accessKeyId: 'AKIADEMOREALKEY00002' } })).toBe(403);
  expect(await call(upstream, { sent: '[]' })).toBe(403);
  expect(await call(upstream, { minutes: 20 })).toBe(403);
  expect(await call(upstream, { more: { 'x-amz-acl': 'public-read' } })).toBe(403);
  expect(await call(upstream, { more: { 'x-amz-content-sha256': sha256('[]') } })).toBe(403);
  expect(await call(upstream, { service: 's3' })).toBe(403);
});

test('an agent that goes there directly is refused, by hand and through the SDK', async () => {
  const upstream = await open();
  const endpoint = `http://127.0.0.1:${upstream.port}`;
  for (const [at, name] of (['PutItem', 'PutObject, GetObject'] as const).entries()) {
    const outcome = await callAws({ row: String(at), aws: { endpoint, call: name } });
    expect(outcome).toMatchObject({ row: String(at), status: 403, ms: 0 });
  }
  expect(upstream.seen.map(({ row, credential }) => [row, credential])).toEqual([
    ['0', 'none'],
    ['1', 'none'],
  ]);
  expect(await medianCallMs(endpoint, REAL)).toBeGreaterThan(0);
});
