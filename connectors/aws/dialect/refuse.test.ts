import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type ErrorCode, headerValues, SidecarError } from 'secretless-sidecar/connector';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { refuseInDialect } from './refuse.ts';

const HOSTILE = `rule <&"'>]]> \u0000 é`;

function refuse(headers: readonly string[], service?: string, error = new SidecarError('policy-denied'), target = '/') {
  const answer = refuseInDialect(error, { method: 'POST', target, headers }, service, 'id-1');
  return {
    ...answer,
    type: headerValues(answer.headers, 'content-type')[0],
    text: Buffer.from(answer.body).toString(),
  };
}

describe('an SDK', () => {
  let server: Server;
  let next: SidecarError;
  let asked = 0;
  let options: {
    endpoint: string;
    region: string;
    credentials: { accessKeyId: string; secretAccessKey: string };
    maxAttempts: number;
    retryStrategy?: never;
  };

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked += 1;
      const head = { method: request.method!, target: request.url!, headers: request.rawHeaders };
      const answer = refuseInDialect(next, head, undefined, 'id-1');
      request.resume();
      request.on('end', () => {
        response.writeHead(answer.status, [...answer.headers]);
        response.end(request.method === 'HEAD' ? undefined : answer.body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    options = {
      endpoint: `http://127.0.0.1:${port}`,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'SLTEST', secretAccessKey: 'made-up' },
      maxAttempts: 2,
    };
  });
  afterAll(() => {
    server.close();
  });
  beforeEach(() => {
    asked = 0;
  });

  interface Thrown {
    readonly name: string;
    readonly message: string;
    readonly $metadata: { readonly httpStatusCode?: number; readonly requestId?: string; readonly attempts?: number };
  }

  const calls: Readonly<Record<string, () => Promise<unknown>>> = {
    s3: () => new S3Client(options).send(new GetObjectCommand({ Bucket: 'b', Key: 'k' })),
    dynamodb: () => new DynamoDBClient(options).send(new GetItemCommand({ TableName: 't', Key: { a: { S: 'x' } } })),
    sqs: () =>
      new SQSClient(options).send(new SendMessageCommand({ QueueUrl: `${options.endpoint}/1/q`, MessageBody: 'm' })),
    sts: () => new STSClient(options).send(new GetCallerIdentityCommand({})),
  };

  async function thrown(client: string, error: SidecarError): Promise<Thrown> {
    next = error;
    try {
      await calls[client]!();
    } catch (caught) {
      return caught as Thrown;
    }
    throw new Error('nothing was thrown');
  }

  test.each([
    ['s3', 'policy-denied', 'AccessDenied', 403, 1],
    ['dynamodb', 'policy-denied', 'AccessDeniedException', 403, 1],
    ['sqs', 'policy-denied', 'AccessDeniedException', 403, 1],
    ['sts', 'policy-denied', 'AccessDenied', 403, 1],
    ['s3', 'rate-limited', 'SlowDown', 503, 2],
    ['dynamodb', 'rate-limited', 'ThrottlingException', 429, 2],
    ['sts', 'rate-limited', 'Throttling', 429, 2],
    ['s3', 'credential-unavailable', 'ServiceUnavailable', 503, 2],
    ['dynamodb', 'credential-unavailable', 'ServiceUnavailableException', 503, 2],
    ['sts', 'upstream-timeout', 'ServiceUnavailable', 504, 2],
    ['s3', 'foreign-credential', 'InvalidAccessKeyId', 403, 1],
    ['dynamodb', 'foreign-credential', 'UnrecognizedClientException', 403, 1],
    ['s3', 'signature-malformed', 'AuthorizationHeaderMalformed', 400, 1],
    ['dynamodb', 'upstream-unclear', 'ValidationException', 400, 1],
    ['sts', 'upstream-unclear', 'ValidationError', 400, 1],
    ['s3', 'payload-unsupported', 'NotImplemented', 501, 1],
    ['s3', 'body-too-large', 'EntityTooLarge', 413, 1],
  ] as const satisfies readonly (readonly [string, ErrorCode, string, number, number])[])(
    'of %s told %s throws %s with %d in %d attempts',
    async (client, code, name, status, attempts) => {
      const error = await thrown(client, new SidecarError(code, { rule: 'no-writes', retryAfterSeconds: 0 }));
      expect(error.name).toBe(name);
      expect(error.$metadata).toMatchObject({ httpStatusCode: status, requestId: 'id-1' });
      expect(error.message).toContain('secretless: ');
      expect(error.message).toContain('(rule no-writes)');
      expect(error.message).toContain(`[${code}, id id-1]`);
      expect(asked).toBe(attempts);
    },
  );

  test.each(['s3', 'dynamodb', 'sts'])(
    'of %s reads a sentence with letters that have to be escaped',
    async (client) => {
      const { message } = await thrown(client, new SidecarError('policy-denied', { rule: HOSTILE }));
      expect(message).toContain(client === 'dynamodb' ? HOSTILE : HOSTILE.replace('\u0000', '\ufffd'));
    },
  );

  test('of S3 that asked with HEAD still throws', async () => {
    next = new SidecarError('policy-denied');
    await expect(new S3Client(options).send(new HeadObjectCommand({ Bucket: 'b', Key: 'k' }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403, requestId: 'id-1' },
    });
  });
});

describe('the form of a refusal', () => {
  test('follows the request first, and the service where that says nothing', () => {
    expect(refuse(['content-type', 'application/x-amz-json-1.1']).type).toBe('application/x-amz-json-1.1');
    expect(refuse(['content-type', 'application/x-amz-json-1.0'], 'dynamodb').type).toBe('application/x-amz-json-1.0');
    expect(refuse([], 'kms').type).toBe('application/x-amz-json-1.1');
    expect(refuse([], 'lambda').type).toBe('application/json');
    expect(refuse([], 's3').type).toBe('application/xml');
    expect(refuse([], 's3express').type).toBe('application/xml');
    expect(refuse([], 'sts').text).toContain('<ErrorResponse><Error><Type>Sender</Type>');
    expect(refuse([], 'route53').text).toContain('<ErrorResponse><Error>');
    expect(refuse(['x-amz-account-id', '123456789012'], 's3').text).toContain('<ErrorResponse><Error>');
    expect(refuse([], 'ec2').text).toContain('<Response><Errors><Error><Code>UnauthorizedOperation</Code>');
    expect(refuse(['content-type', 'application/x-www-form-urlencoded'], 'sqs').text).toContain('<ErrorResponse>');
    expect(refuse(['x-amz-target', 'AmazonSQS.SendMessage'], 'sqs').text).toContain('"__type"');
    expect(refuse(['content-type', 'application/json'], 'ses').type).toBe('application/json');
    expect(refuse([], 'sts', new SidecarError('internal')).text).toContain('<Type>Receiver</Type>');
  });

  test('follows what the request claims where it was refused before it was read', () => {
    const signed = (service: string) => [
      'Authorization',
      `AWS4-HMAC-SHA256 Credential=SLX/20260101/eu-west-1/${service}/aws4_request, SignedHeaders=host, Signature=00`,
    ];
    expect(refuse(signed('s3')).type).toBe('application/xml');
    expect(refuse(signed('ec2')).text).toContain('<Response>');
    expect(refuse(signed('nosuch')).type).toBe('application/json');
    const denied = new SidecarError('policy-denied');
    const presigned = '/b/k?X-Amz-Credential=SLX%2F20260101%2Feu-west-1%2Fs3%2Faws4_request';
    expect(refuse([], undefined, denied, presigned).type).toBe('application/xml');
    expect(refuse([], undefined, denied, '/b/k?AWSAccessKeyId=SLX').type).toBe('application/xml');
    expect(refuse([], undefined, denied, '/_aws/sts/').text).toContain('<ErrorResponse>');
    expect(refuse([]).type).toBe('application/json');
  });

  test('in CBOR is a map of two texts', () => {
    const answer = refuse(['smithy-protocol', 'rpc-v2-cbor', 'content-type', 'application/cbor'], 'monitoring');
    expect(answer.type).toBe('application/cbor');
    expect(headerValues(answer.headers, 'smithy-protocol')).toEqual(['rpc-v2-cbor']);
    const bytes = Buffer.from(answer.body);
    const type = Buffer.from('AccessDeniedException');
    const start = Buffer.concat([
      Buffer.from('a266', 'hex'),
      Buffer.from('__type'),
      Buffer.of(0x60 + type.length),
      type,
    ]);
    expect(bytes.subarray(0, start.length)).toEqual(start);
    const message = bytes.subarray(start.length);
    expect(message.subarray(0, 9)).toEqual(Buffer.concat([Buffer.of(0x67), Buffer.from('message'), Buffer.of(0x78)]));
    expect(message.subarray(10).length).toBe(message[9]);
    expect(message.subarray(10).toString()).toContain('policy does not allow this use');
  });
});

test('a refusal has the mark of the sidecar, the id, the time and the wait, and nothing of the detail', () => {
  const error = new SidecarError('rate-limited', { detail: 'inner-host', retryAfterSeconds: 1.2 });
  for (const service of ['s3', 'dynamodb', 'sts', 'ec2', 'lambda']) {
    const answer = refuse([], service, error);
    expect(headerValues(answer.headers, 'x-secretless-error')).toEqual(['rate-limited']);
    expect(headerValues(answer.headers, service === 's3' ? 'x-amz-request-id' : 'x-amzn-requestid')).toEqual(['id-1']);
    expect(headerValues(answer.headers, 'retry-after')).toEqual(['2']);
    expect(headerValues(answer.headers, 'content-length')).toEqual([String(answer.body.length)]);
    expect(Date.parse(headerValues(answer.headers, 'date')[0]!)).toBeGreaterThan(0);
    expect(answer.text + answer.headers.join()).not.toContain('inner-host');
  }
  expect(headerValues(refuse([], 'dynamodb').headers, 'x-amzn-errortype')).toEqual(['AccessDeniedException']);
});
