import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { CreateSessionCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { askRaw } from './aws/ask.ts';
import { DUMMY, DUMMY_TOKEN, type Credentials, type Door } from './aws/door.ts';
import type { Recorded } from './aws/exchange.ts';
import { askSigned, putChunked, type RawRequest, signRaw } from './aws/raw-client.ts';
import { useSidecar } from './aws/sidecar.ts';
import { startVerifyingServer, type VerifyingServer } from './aws/verifying-server.ts';
import { expectNoDummies, REGION } from './aws/world.ts';
import { canary } from './canary.ts';
import { dial } from './http-kit.ts';

/* The pitfalls of signing requests anew that show on the wire, before a server that verifies as AWS does. */

const MIB = 2 ** 20;
const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+='), sessionToken: canary('/+=') };
const bucket = 'bucket';
let server: VerifyingServer | undefined;
beforeAll(async () => {
  server = await startVerifyingServer({ accounts: [real], region: REGION, buckets: [bucket], anonymous: true });
});
afterAll(() => server?.close());

const sidecar = useSidecar(() => {
  const config = { service: 's3', region: REGION, agents: { local: DUMMY } };
  const service = (more: object, credentials: Credentials = real) => {
    return { target: server!.url, credentials, config: { ...config, ...more } };
  };
  return {
    store: service({}),
    unsigned: service({ chunked: 'unsigned' }),
    strip: service({ trailers: 'strip', chunked: 'unsigned' }),
    passing: service({ foreign: 'pass', unsigned: 'pass' }),
    unfit: service({}, { ...real, accessKeyId: 'no/key' }),
    sts: service({ service: 'sts' }),
  };
});

function door(service = 'store'): Door {
  const url = sidecar().url(service);
  const endpoints = { s3: url, dynamodb: url, sqs: url, sts: url };
  return { endpoints, region: REGION, credentials: DUMMY, bucket, trailers: true };
}

function ask(request: Partial<RawRequest> & { readonly key?: string }, service = 'store') {
  const { key = 'k', ...rest } = request;
  return askSigned(door(service), { method: 'PUT', target: `/${bucket}/${key}`, ...rest });
}

function stored(key: string): Buffer | undefined {
  return server!.store.bucket(bucket).get(key)?.body;
}

/** Requests that reached the upstream meanwhile; none holds anything of the agent's own key. */
async function seenDuring(run: () => Promise<unknown>): Promise<readonly Recorded[]> {
  const before = server!.requests.length;
  await run();
  const seen = server!.requests.slice(before);
  expectNoDummies(seen);
  return seen;
}

async function onlySeen(run: () => Promise<unknown>): Promise<Recorded> {
  const seen = await seenDuring(run);
  expect(seen.map(({ status, code }) => code ?? status)).toEqual([200]);
  return seen[0]!;
}

function valuesOf({ head }: Recorded, name: string): string[] {
  return head.lines.filter(([each]) => each === name).map(([, value]) => value);
}

describe('bodies', () => {
  const framed = '7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:7T1xXw==\r\n\r\n';
  const coding = [
    ['content-encoding', 'gzip, aws-chunked'],
    ['x-amz-decoded-content-length', '7'],
  ] as const;

  test.each(['UNSIGNED-PAYLOAD', createHash('sha256').update(framed).digest('hex')])(
    'P1: framing that is announced as a plain body (%s) is refused before anything goes upstream',
    async (payload) => {
      const seen = await seenDuring(async () => {
        expect((await ask({ key: 'framed', headers: coding, payload, body: framed })).status).toBe(400);
      });
      expect(seen).toEqual([]);
    },
  );

  test('P1: a body whose framing is taken off is not announced as framed', async () => {
    const body = randomBytes(100_000);
    const put = { key: 'plain', body, chunkBytes: 65_536, headers: [['x-amz-meta-a', 'b']] as const };
    const seen = await onlySeen(() => putChunked(door('unsigned'), put));
    expect([...valuesOf(seen, 'content-encoding'), ...valuesOf(seen, 'x-amz-decoded-content-length')]).toEqual([]);
    expect([seen.payload, seen.wireBytes, valuesOf(seen, 'content-length')]).toEqual([
      'UNSIGNED-PAYLOAD',
      100_000,
      ['100000'],
    ]);
    expect(stored('plain')!.equals(body)).toBe(true);
  });

  test('P9: a body goes upstream while it is still coming', async () => {
    const body = randomBytes(8 * MIB);
    const { lines } = signRaw(door(), { method: 'PUT', target: `/${bucket}/streamed`, body });
    const seen = await onlySeen(async () => {
      const headers = [...lines, 'content-length', String(body.length)];
      const asked = httpRequest({
        port: sidecar().port('store'),
        method: 'PUT',
        path: `/${bucket}/streamed`,
        headers,
        agent: false,
      });
      asked.write(body.subarray(0, 4 * MIB));
      await expect.poll(() => server!.requests.at(-1)?.wireBytes ?? 0, { timeout: 5000 }).toBeGreaterThan(3 * MIB);
      asked.end(body.subarray(4 * MIB));
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      expect(answer.resume().statusCode).toBe(200);
    });
    expect(seen.wireBytes).toBe(body.length);
  });

  test.runIf(process.platform === 'linux')('P9: a large body, signed in chunks, is not held in memory', async () => {
    await putChunked(door(), { key: 'large', body: Buffer.alloc(8 * MIB), chunkBytes: 65_536 });
    const before = sidecar().residentBytes();
    const body = Buffer.alloc(96 * MIB, 7);
    await onlySeen(() => putChunked(door(), { key: 'large', body, chunkBytes: 65_536 }));
    expect(stored('large')!.length).toBe(body.length);
    expect(sidecar().residentBytes() - before).toBeLessThan(48 * MIB);
  });

  test('P10: a request that cannot be signed does not go on unsigned', async () => {
    const seen = await seenDuring(async () => {
      const answer = await ask({ key: 'unfit', body: 'x' }, 'unfit');
      expect(answer.status).toBe(503);
      expect(answer.body).not.toContain(real.secretAccessKey);
    });
    expect(seen).toEqual([]);
    expect(stored('unfit')).toBeUndefined();
  });

  test('P27: a checksum that is left out upstream was compared before the last byte went', async () => {
    const put = (body: string) =>
      ask(
        {
          key: 'checked',
          payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          headers: [['content-encoding', 'aws-chunked'], coding[1], ['x-amz-trailer', 'x-amz-checksum-crc32']],
          body,
        },
        'strip',
      ).then(
        ({ status }) => status,
        () => 'cut',
      );
    expect(await put(framed.replace('7T1xXw', '7T1xXx'))).not.toBe(200);
    expect(await put(framed.replace(/x-amz.*==\r\n/, ''))).not.toBe(200);
    expect(stored('checked')).toBeUndefined();
    const wrong = { key: 'checked', body: Buffer.from('content'), chunkBytes: 65_536, checksum: 'crc32' };
    const seen = await onlySeen(() => putChunked(door('strip'), wrong));
    expect(stored('checked')?.toString()).toBe('content');
    expect(valuesOf(seen, 'x-amz-trailer')).toEqual([]);
  });
});

describe('fields', () => {
  test('P2: every field of Amazon and the digest go under the new signature, also one that the agent left out', async () => {
    const md5 = createHash('md5').update('x').digest('base64');
    const seen = await onlySeen(() =>
      ask({ headers: [['x-amz-meta-b', '1']], body: 'x', loose: ['Content-MD5', md5, 'Content-Type', 'text/x-a'] }),
    );
    const names = [
      'content-md5',
      'content-type',
      'host',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-meta-b',
      'x-amz-security-token',
    ];
    expect(seen.signer!.claim.signedHeaders).toEqual(names);
  });

  test('P6: fields are found and signed in any case', async () => {
    const request = {
      method: 'PUT',
      target: `/${bucket}/cased`,
      headers: [
        ['x-amz-acl', 'private'],
        ['x-amz-meta-some-name', 'A b'],
      ],
      body: 'x',
    } as const;
    const { lines } = signRaw(door(), request);
    const cased = lines.map((each, at) =>
      at % 2 === 0 ? each.replace(/(^|-)[a-z]/g, (found) => found.toUpperCase()) : each,
    );
    const seen = await onlySeen(() =>
      askRaw(sidecar().port('store'), 'PUT', request.target, [...cased, 'CONTENT-LENGTH', '1'], 'x'),
    );
    expect(seen.signer!.claim.signedHeaders).toEqual(expect.arrayContaining(['x-amz-acl', 'x-amz-meta-some-name']));
  });

  test.each([
    ['without blanks', (text: string) => text.replaceAll(', ', ',')],
    ['with many', (text: string) => text.replace(/,\s*/g, ' \t,  ').replace('256 ', '256   ')],
    [
      'in another order',
      (text: string) => {
        const [credential, names, signature] = text.replace('AWS4-HMAC-SHA256 ', '').split(/,\s*/);
        return `AWS4-HMAC-SHA256 ${signature},${names},${credential}`;
      },
    ],
  ])('P7: an authorization is read %s', async (_, written) => {
    const { lines } = signRaw(door(), { method: 'PUT', target: `/${bucket}/k`, body: 'x' });
    const sent = lines.map((each, at) => (lines[at - 1] === 'authorization' ? written(each) : each));
    await onlySeen(() => askRaw(sidecar().port('store'), 'PUT', `/${bucket}/k`, [...sent, 'content-length', '1'], 'x'));
  });

  test('P14: the session token of the real key is never printed, that of the agent never sent', async () => {
    const headers = [['x-amz-security-token', DUMMY_TOKEN]] as const;
    const seen = await onlySeen(() => ask({ headers, body: 'x' }));
    expect(seen.signer!.claim.signedHeaders).toContain('x-amz-security-token');
    expect(valuesOf(seen, 'x-amz-security-token')[0] === real.sessionToken).toBe(true);
    expect(sidecar().printed().includes(real.sessionToken)).toBe(false);
  });

  test.each([
    ['UTF-8', Buffer.from('café ☃').toString('latin1')],
    ['no UTF-8', 'caf\xe9 \x85 \xa0.'],
  ])('P16: bytes of a field that are %s are signed and sent as they are', async (_, value) => {
    await onlySeen(() => ask({ key: 'bytes', headers: [['x-amz-meta-a', value]], body: 'x' }));
    expect(server!.store.object(bucket, 'bytes').headers['x-amz-meta-a']).toBe(value);
  });

  test('P17: a field in several lines goes on in one, in their order', async () => {
    const { lines } = signRaw(door(), {
      method: 'PUT',
      target: `/${bucket}/k`,
      headers: [['x-amz-meta-a', 'one,two,three']],
      body: 'x',
    });
    const at = lines.indexOf('x-amz-meta-a');
    const several = ['x-amz-meta-a', 'one', 'X-Amz-Meta-A', 'two', 'x-amz-meta-a', 'three'];
    const sent = [...lines.slice(0, at), ...several, ...lines.slice(at + 2), 'content-length', '1'];
    const seen = await onlySeen(() => askRaw(sidecar().port('store'), 'PUT', `/${bucket}/k`, sent, 'x'));
    expect(valuesOf(seen, 'x-amz-meta-a').map((value) => value.replaceAll(' ', ''))).toEqual(['one,two,three']);
  });

  test('P23: fields of a try are forwarded unsigned, and nothing of a proxy is added', async () => {
    const loose = [
      'amz-sdk-request',
      'attempt=1; max=3',
      'amz-sdk-invocation-id',
      'a-b-c',
      'user-agent',
      'aws-sdk-js/3',
    ];
    const seen = await onlySeen(() => ask({ body: 'x', loose }));
    for (const name of ['amz-sdk-request', 'amz-sdk-invocation-id', 'user-agent']) {
      expect(valuesOf(seen, name)).toHaveLength(1);
      expect(seen.signer!.claim.signedHeaders).not.toContain(name);
    }
    expect(
      seen.head.lines.map(([name]) => name).filter((name) => /^(x-forwarded|forwarded|via|x-real-ip)/.test(name)),
    ).toEqual([]);
  });
});

describe('targets', () => {
  test('P15: a query is sent as it is signed: encoded anew, sorted, with its empty values and doubles', async () => {
    const query = 'prefix=a+b&list-type=2&delimiter=&x=2&x=1&x=1&u=%c3%a9&s=%2f/&plain&t=%7e';
    const seen = await onlySeen(() => ask({ method: 'GET', target: `/${bucket}?${query}` }));
    expect(seen.head.query).toBe('delimiter=&list-type=2&plain=&prefix=a%20b&s=%2F%2F&t=~&u=%C3%A9&x=1&x=1&x=2');
  });

  test('P18: a path is not normalised, an expectation not handed on, and a length is that of what is sent', async () => {
    for (const key of ['a/../b', './c', 'd//e', '%2e%2e/f']) await onlySeen(() => ask({ key, body: key }));
    expect(['a/../b', './c', 'd//e', '../f'].map((key) => stored(key) !== undefined)).toEqual([true, true, true, true]);
    const seen = await onlySeen(() => ask({ body: 'x', loose: ['expect', '100-continue', 'te', 'trailers'] }));
    expect([...valuesOf(seen, 'expect'), ...valuesOf(seen, 'te'), ...valuesOf(seen, 'connection')]).not.toContain(
      'trailers',
    );
    expect(valuesOf(seen, 'expect')).toEqual([]);
    const put = { key: 'resized', body: randomBytes(100_001), chunkBytes: 8192, checksum: 'crc32' };
    const chunked = await onlySeen(() => putChunked(door(), put));
    expect(valuesOf(chunked, 'content-length')).toEqual([String(chunked.wireBytes)]);
  });
});

test('P19: HTTP/2 is answered by HTTP/2, and a preface alone sends nothing upstream', async () => {
  const seen = await seenDuring(async () => {
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    const client = await dial(sidecar().port('store'), Buffer.from(`${preface}\0\0\0\x04\0\0\0\0\0`));
    // Settings, on stream 0 (RFC 9113 section 6.5).
    await client.untilBytes(9);
    const [, , , type, , ...stream] = client.content.subarray(0, 9);
    expect([type, ...stream]).toEqual([4, 0, 0, 0, 0]);
  });
  expect(seen).toEqual([]);
});

describe('operations', () => {
  const options = (service: string) => ({
    endpoint: sidecar().url(service),
    region: REGION,
    credentials: DUMMY,
    maxAttempts: 1,
  });

  test('P21: sessions are not handed out, and nothing goes upstream', async () => {
    const sts = new STSClient(options('sts'));
    const s3 = new S3Client({ ...options('store'), forcePathStyle: true });
    onTestFinished(() => (sts.destroy(), s3.destroy()));
    const role = new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::000000000000:role/r', RoleSessionName: 'session' });
    const seen = await seenDuring(async () => {
      for (const run of [() => sts.send(role), () => s3.send(new CreateSessionCommand({ Bucket: bucket }))])
        await expect(run()).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    });
    expect(seen).toEqual([]);
  });

  test('P25: a request that nobody signed is neither signed nor refused, where that is allowed', async () => {
    server!.store.put(bucket, 'public', { bytes: 1, body: Buffer.from('p'), etag: 'e' }, {});
    const host = ['host', `127.0.0.1:${server!.port}`];
    const seen = await onlySeen(async () => {
      const answer = await askRaw(sidecar().port('passing'), 'GET', `/${bucket}/public`, host);
      expect(answer).toMatchObject({ status: 200, body: 'p' });
    });
    expect([
      ...valuesOf(seen, 'authorization'),
      ...valuesOf(seen, 'x-amz-security-token'),
      ...valuesOf(seen, 'x-amz-date'),
    ]).toEqual([]);
    const refused = await seenDuring(() => askRaw(sidecar().port('store'), 'GET', `/${bucket}/public`, host));
    expect(refused).toEqual([]);
  });
});
