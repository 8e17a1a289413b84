import { headerValues, type RequestHead } from 'secretless-sidecar/connector';
import { credentialsOf } from 'secretless-sidecar/connector/testing';
import { describe, expect, test, vi } from 'vitest';
import { Callers } from './callers.ts';
import { aws } from './index.ts';
import { chunkFields } from './payload/chunk-fields.ts';
import { Signers } from './signers.ts';
import { agentSigns, agentSigns4a, begin, get, NOW, REAL, scopeOf, send, verified } from './testdata/agent.ts';

const OTHER = { accessKeyId: 'AKIAROTATED', secretAccessKey: 'the-one-after-rotation' };

describe('a key that is derived once', () => {
  test.each([
    ['in one region', agentSigns(get('/photos/k')), {}],
    [
      'in a set of them',
      agentSigns4a(get('/k', { Host: 'x.mrap.accesspoint.s3-global.amazonaws.com' }), 's3', { regionSet: '*' }),
      'x.mrap.accesspoint.s3-global.amazonaws.com',
    ],
  ])('is that of the version of the credentials, %s', async (_, head, host) => {
    const service = aws.open({});
    const more = typeof host === 'string' ? { origin: { scheme: 'https', host, port: 443 } as const } : {};
    const sent = async (values: typeof REAL, version: string) => {
      const begun = service.begin!({ head, basePath: '', bound: false, now: NOW, ...more });
      verified((await send(begun, values, undefined, version)).head, begun.origin, values);
    };
    await sent(REAL, 'v1');
    await sent(OTHER, 'v2');
    await sent(REAL, 'v1');
  });

  test('is overwritten with the end of the service', () => {
    const signers = new Signers();
    const key = signers.hmac('v1', scopeOf('s3'), credentialsOf(REAL));
    signers.close();
    expect(key.wiped).toBe(true);
    const closed = [vi.spyOn(Signers.prototype, 'close'), vi.spyOn(Callers.prototype, 'close')];
    aws.open({}).close!();
    for (const close of closed) expect(close).toHaveBeenCalledOnce();
    vi.restoreAllMocks();
  });
});

test('a body that was to be hashed and was not is never sent under a guess', async () => {
  const head: RequestHead = {
    method: 'POST',
    target: '/',
    headers: ['Host', '127.0.0.1:8009', 'Content-Length', '2', 'X-Amz-Target', 'DynamoDB_20120810.GetItem'],
  };
  const begun = begin(agentSigns(head, { scope: scopeOf('dynamodb'), sendsPayloadHash: false }));
  await expect(send(begun)).rejects.toMatchObject({ code: 'internal' });
});

test('nothing is signed of a request that did not begin', () => {
  const service = aws.open({});
  const context = {
    origin: { scheme: 'https', host: 's3.eu-west-1.amazonaws.com', port: 443 },
    now: NOW,
    version: 'v1',
  } as const;
  expect(() => service.authenticate(get('/photos/k'), credentialsOf(REAL), context)).toThrow('begins');
});

test('the offset that a refusal taught is in the next signature for that host', async () => {
  const service = aws.open({});
  const begun = () => service.begin!({ head: agentSigns(get('/photos/k')), basePath: '', bound: false, now: NOW });
  const first = begun();
  const refusal = Buffer.from('<Error><Code>RequestTimeTooSkewed</Code></Error>');
  const headers = ['date', 'Fri, 02 Jan 2026 03:24:05 GMT'];
  expect(first.review!({ status: 403, reason: '', headers }, refusal, { origin: first.origin, now: NOW })).toBe(
    'again',
  );
  expect(verified((await send(begun())).head, first.origin).amzDate).toBe('20260102T032405Z');
});

describe('a credential that no field can hold', () => {
  test.each([
    ['secretAccessKey', 'with\x7f'],
    ['secretAccessKey', 'with blank'],
    ['secretAccessKey', 'with-é'],
    ['secretAccessKey', '\n'],
    ['sessionToken', 'x'.repeat(16_385)],
    ['accessKeyId', 'A'.repeat(129)],
  ])('is refused: %s', async (name, value) => {
    const begun = begin(agentSigns(get('/photos/k')));
    await expect(send(begun, { ...REAL, [name]: value })).rejects.toMatchObject({ code: 'credential-unfit' });
  });

  test('the longest token is none', async () => {
    const sessionToken = 'x'.repeat(16_384);
    const { head } = await send(begin(agentSigns(get('/photos/k'))), { ...REAL, sessionToken });
    expect(headerValues(head.headers, 'x-amz-security-token')).toEqual([sessionToken]);
  });
});

describe('fields of a body in chunks', () => {
  const plan = { kind: 'chunks', signatures: 'hmac', decodedLength: 1, trailers: undefined } as const;

  test('keep the algorithm of a checksum that is no trailer', () => {
    const headers = ['X-Amz-Sdk-Checksum-Algorithm', 'CRC32', 'x-amz-checksum-crc32', 'y/Q5Jg=='];
    expect(chunkFields(headers, { ...plan, writes: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' })).toEqual(headers);
    expect(chunkFields(headers, { ...plan, writes: 'UNSIGNED-PAYLOAD' })).toEqual(headers);
  });

  test('lose the coding in any case where the body is plain', () => {
    const headers = ['Content-Encoding', 'AWS-Chunked , gzip', 'X-Amz-Decoded-Content-Length', '1'];
    expect(chunkFields(headers, { ...plan, writes: 'UNSIGNED-PAYLOAD' })).toEqual(['Content-Encoding', 'gzip']);
  });
});
