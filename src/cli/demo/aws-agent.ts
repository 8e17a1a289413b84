import { request as open } from 'node:http';
import type { Outcome } from './agent.ts';
import { sha256, signatureOf, type AwsKey } from './aws-signature.ts';

/** What an agent does with AWS: it knows an address and a key that everybody knows. */
export interface AwsErrand {
  readonly row: string;
  readonly aws: {
    /** `http://host:port` of the listener. */
    readonly endpoint: string;
    readonly call: 'PutObject, GetObject' | 'PutItem';
  };
}

/** The key that the connector `aws` takes where no other is configured: made up, and the same everywhere. */
const MADE_UP: AwsKey = {
  accessKeyId: 'SECRETLESSSIDECAR',
  secretAccessKey: 'secretless-sidecar-has-the-real-key',
};
const REGION = 'eu-central-1';
const ROUNDS = 40;
const ITEM = JSON.stringify({ TableName: 'notes', Item: { id: { S: '1' }, text: { S: 'from an agent' } } });
export const NOTE = 'what an agent wrote\n';

export async function callAws({ row, aws: { endpoint, call } }: AwsErrand): Promise<Outcome> {
  try {
    if (call === 'PutObject, GetObject') return await putAndGet(row, endpoint);
    const { status, body } = await putItem(endpoint, MADE_UP, { 'x-demo': row });
    return { row, status, arrivals: [], body, ms: status === 200 ? await medianCallMs(endpoint, MADE_UP) : 0 };
  } catch (error) {
    const { name, $metadata } = error as Error & { readonly $metadata?: { readonly httpStatusCode?: number } };
    return { row, status: $metadata?.httpStatusCode ?? 'failed', arrivals: [], body: name, ms: 0 };
  }
}

/** An object there and back, as any program does it; the status and the body are those of the way back. */
async function putAndGet(row: string, endpoint: string): Promise<Outcome> {
  const { S3Client, PutObjectCommand, GetObjectCommand } = await import('@aws-sdk/client-s3');
  const client = new S3Client({
    ...{ endpoint, region: REGION, credentials: MADE_UP, forcePathStyle: true, maxAttempts: 1 },
  });
  const place = { Bucket: 'agent', Key: 'notes/first.txt' };
  try {
    await client.send(new PutObjectCommand({ ...place, Body: NOTE, Metadata: { demo: row } }));
    const { $metadata, Body } = await client.send(new GetObjectCommand(place));
    const body = (await Body?.transformToString()) ?? '';
    return { row, status: $metadata.httpStatusCode ?? 'failed', arrivals: [], body, ms: 0 };
  } finally {
    client.destroy();
  }
}

/** Median of `ROUNDS` calls, each on a connection of its own. */
export async function medianCallMs(endpoint: string, key: AwsKey): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) times.push((await putItem(endpoint, key)).ms);
  times.sort((a, b) => a - b);
  return times[ROUNDS / 2]!;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

/** DynamoDB's PutItem, signed by hand: the protocol is a POST of JSON. The time is that of the exchange alone. */
function putItem(endpoint: string, key: AwsKey, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const { hostname, port, host } = new URL(endpoint);
  const headers = { ...signedHeaders(host, key), ...more };
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const request = open({ host: hostname, port, method: 'POST', path: '/', headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      response.on('end', () => resolve({ status: response.statusCode!, body, ms: performance.now() - begun }));
    });
    request.on('error', reject);
    request.end(ITEM);
  });
}

function signedHeaders(host: string, { accessKeyId, secretAccessKey }: AwsKey): Record<string, string> {
  const amzDate = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const own = {
    'content-type': 'application/x-amz-json-1.0',
    host,
    'x-amz-date': amzDate,
    'x-amz-target': 'DynamoDB_20120810.PutItem',
  };
  const fields = Object.entries(own);
  const parts = { method: 'POST', target: '/', fields, payloadHash: sha256(ITEM), amzDate };
  const signature = signatureOf({ ...parts, region: REGION, service: 'dynamodb' }, secretAccessKey);
  const credential = `${accessKeyId}/${amzDate.slice(0, 8)}/${REGION}/dynamodb/aws4_request`;
  const names = fields.map(([name]) => name).join(';');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...own, authorization };
}
