import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { askRaw, type RawAnswer } from './aws/ask.ts';
import { sha256Hex } from './aws/canonical-form.ts';
import { DUMMY, DUMMY_TOKEN, type Credentials, type Door } from './aws/door.ts';
import type { Recorded } from './aws/exchange.ts';
import { askSigned, putChunked, signRaw } from './aws/raw-client.ts';
import { useSidecar } from './aws/sidecar.ts';
import { startVerifyingServer, type VerifyingServer } from './aws/verifying-server.ts';
import { expectNoDummies, REGION } from './aws/world.ts';
import { canary } from './canary.ts';

/** What must not be stored, and what must not even be asked of the upstream. */

const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
const bucket = 'bucket';
let server: VerifyingServer | undefined;
beforeAll(async () => {
  server = await startVerifyingServer({ accounts: [real], region: REGION, buckets: [bucket] });
});
afterAll(() => server?.close());

const sidecar = useSidecar(() => {
  const target = server!.url;
  const config = { service: 's3', region: REGION, agents: { local: DUMMY } };
  const service = (more: object, credentials: Credentials = real) => ({
    target,
    credentials,
    config: { ...config, ...more },
  });
  return {
    store: service({}),
    unsigned: service({ chunked: 'unsigned' }),
    strip: service({ trailers: 'strip' }),
    wrong: service({}, { ...real, secretAccessKey: canary() }),
    foreigners: service({ foreign: 'pass', unsigned: 'pass' }),
  };
});

function door(service = 'store', credentials = DUMMY): Door {
  const url = sidecar().url(service);
  return {
    endpoints: { s3: url, dynamodb: url, sqs: url, sts: url },
    region: REGION,
    credentials,
    bucket,
    trailers: true,
  };
}

function client({ endpoints, region, credentials }: Door): S3Client {
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials, forcePathStyle: true, maxAttempts: 1 });
  onTestFinished(() => s3.destroy());
  return s3;
}

function stored(key: string): Buffer | undefined {
  return server!.store.bucket(bucket).get(key)?.body;
}

/** Requests that reached the upstream meanwhile; none of them may hold anything of the agent's key. */
async function seenDuring(run: () => Promise<unknown>): Promise<readonly Recorded[]> {
  const before = server!.requests.length;
  await run();
  const seen = server!.requests.slice(before);
  expectNoDummies(seen);
  return seen;
}

/** The answer, or `cut` where the connection ended without one. */
async function statusOf(asked: Promise<RawAnswer>): Promise<number | 'cut'> {
  return asked.then(
    ({ status }) => status,
    () => 'cut',
  );
}

describe('who may not ask', () => {
  const put = (one: Door): Promise<unknown> =>
    client(one).send(new PutObjectCommand({ Bucket: bucket, Key: 'refused', Body: 'content' }));

  test.each([
    ['another secret than the dummy', { ...DUMMY, secretAccessKey: 'not-the-one-of-the-agent' }],
    [
      'a key that the sidecar did not give out',
      { accessKeyId: 'AKIASOMEBODYELSE', secretAccessKey: 'of-somebody-else' },
    ],
  ])('%s is refused before anything goes upstream', async (_, credentials) => {
    const seen = await seenDuring(async () => {
      await expect(put(door('store', credentials))).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    });
    expect(seen).toEqual([]);
    expect(stored('refused')).toBeUndefined();
  });

  test('nobody at all is refused before anything goes upstream', async () => {
    const seen = await seenDuring(async () => {
      const answer = await askRaw(sidecar().port('store'), 'GET', `/${bucket}/x`, ['host', 'localhost']);
      expect(answer).toMatchObject({ status: 403, body: expect.stringContaining('<Code>') as string });
    });
    expect(seen).toEqual([]);
  });

  test('with another real secret the upstream refuses, and nothing is stored', async () => {
    const seen = await seenDuring(async () => {
      await expect(put(door('wrong'))).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    });
    expect(seen.map(({ code }) => code)).toContain('SignatureDoesNotMatch');
    expect(stored('refused')).toBeUndefined();
  });

  test('a signed URL that is too old is refused before anything goes upstream', async () => {
    const command = new GetObjectCommand({ Bucket: bucket, Key: 'x' });
    const url = await getSignedUrl(client(door()), command, { expiresIn: 1 });
    await pause(2100);
    const seen = await seenDuring(async () => {
      expect((await fetch(url)).status).toBe(403);
    });
    expect(seen).toEqual([]);
  });

  test('a signed URL of another key passes as it is, where that is allowed', async () => {
    const foreign = { ...door('foreigners'), credentials: real };
    server!.store.put(bucket, 'shared', { bytes: 1, body: Buffer.from('x'), etag: 'e' }, {});
    // Signed for the host that it goes to, as somebody else would have done.
    const upstream = { ...foreign, endpoints: { ...foreign.endpoints, s3: server!.url } };
    const url = await getSignedUrl(client(upstream), new GetObjectCommand({ Bucket: bucket, Key: 'shared' }));
    const { pathname, search } = new URL(url);
    const seen = await seenDuring(async () => {
      const host = ['host', `127.0.0.1:${server!.port}`];
      const answer = await askRaw(sidecar().port('foreigners'), 'GET', `${pathname}${search}`, host);
      expect(answer).toMatchObject({ status: 200, body: 'x' });
    });
    expect(seen.map(({ head }) => head.query)).toEqual([search.slice(1)]);
  });
});

describe('what is not as it was signed', () => {
  test.each(['target', 'header', 'body'])('a changed %s is refused, and nothing is stored', async (what) => {
    const body = 'as it was signed';
    const request = { method: 'PUT', target: `/${bucket}/changed`, headers: [['x-amz-meta-a', 'one']] as const, body };
    const { lines } = signRaw(door(), request);
    const sent = lines.map((each) => (what === 'header' && each === 'one' ? 'two' : each));
    const target = what === 'target' ? `/${bucket}/other` : request.target;
    const altered = what === 'body' ? 'as it was forged' : body;
    const seen = await seenDuring(async () => {
      const port = sidecar().port('store');
      const asked = askRaw(port, 'PUT', target, [...sent, 'content-length', String(body.length)], altered);
      expect(await statusOf(asked)).toBe(what === 'body' ? 400 : 403);
    });
    // The body is on its way before its end can be known: the upstream holds it against the signed hash.
    if (what === 'body') expect(seen.every(({ status }) => status !== 200)).toBe(true);
    else expect(seen).toEqual([]);
    expect(stored('changed') ?? stored('other')).toBeUndefined();
  });

  test('a field of Amazon that the agent did not sign is refused before anything goes upstream', async () => {
    const loose = ['x-amz-acl', 'public-read'];
    const seen = await seenDuring(async () => {
      const put = { method: 'PUT', target: `/${bucket}/changed`, body: 'x', loose };
      expect(await askSigned(door(), put)).toMatchObject({ status: 403 });
    });
    expect(seen).toEqual([]);
    expect(stored('changed')).toBeUndefined();
  });

  test('two ways to sign at once are refused before anything goes upstream', async () => {
    const url = await getSignedUrl(client(door()), new GetObjectCommand({ Bucket: bucket, Key: 'x' }));
    const { pathname, search } = new URL(url);
    const request = { method: 'GET', target: `${pathname}${search}` };
    const seen = await seenDuring(async () => {
      expect(await askSigned(door(), request)).toMatchObject({ status: 400 });
    });
    expect(seen).toEqual([]);
  });
});

describe('chunks', () => {
  const flip = (nth: number) => (framed: Buffer) => {
    const at = [...framed.toString('latin1').matchAll(/signature[=:]/g)].at(nth)!.index + 14;
    framed[at] = framed[at] === 48 ? 49 : 48;
    return framed;
  };
  const spoilers = [
    ['a wrong digit in the first signature', flip(0)],
    ['a wrong digit in the last signature of data', flip(-3)],
    ['a wrong digit in the signature of the end', flip(-2)],
    ['a wrong digit in the signature of the trailer', flip(-1)],
    ['a changed byte of data', (framed: Buffer) => Buffer.from(framed.fill(0, 1000, 1001))],
    ['a missing end', (framed: Buffer) => framed.subarray(0, framed.length - 200)],
    ['something behind the end', (framed: Buffer) => Buffer.concat([framed, Buffer.from('more')])],
    ['a chunk cut short', (framed: Buffer) => framed.subarray(0, 30_000)],
  ] as const;

  describe.each(['store', 'unsigned', 'strip'])('through the service %s', (service) => {
    test.each(spoilers)('%s: the sidecar refuses, and nothing is stored', async (_, spoil) => {
      const body = randomBytes(200_000);
      const put = putChunked(door(service), { key: 'spoilt', body, chunkBytes: 16_384, checksum: 'crc32', spoil });
      const status = await statusOf(put);
      expect(status === 'cut' || status >= 400).toBe(true);
      expect(stored('spoilt')).toBeUndefined();
    });

    test.each([
      ['data', undefined, 100_000, flip(-1)],
      ['data', 'crc32', 100_000, flip(-2)],
      ['nothing', undefined, 0, flip(-1)],
      ['nothing', 'crc32', 0, flip(-1)],
    ])('a wrong end that comes late, behind %s, stores nothing (checksum: %s)', async (_, checksum, bytes, spoil) => {
      const late = { body: randomBytes(bytes), chunkBytes: 16_384, spoil, lateEnd: true };
      const put = putChunked(door(service), { key: 'late', ...late, ...(checksum === undefined ? {} : { checksum }) });
      const status = await statusOf(put);
      expect(status === 'cut' || status >= 400).toBe(true);
      expect(stored('late')).toBeUndefined();
    });

    test.each([
      [8192, undefined, 100_000],
      [65_536, undefined, 131_072],
      [1_000_000, undefined, 3_000_001],
      [8192, 'crc32', 100_000],
      [16_384, 'crc64nvme', 65_537],
      [65_536, 'sha256', 1],
      [65_536, undefined, 0],
      [65_536, 'crc32c', 0],
    ])('chunks of %i with %s behind them arrive whole: %i bytes', async (chunkBytes, checksum, bytes) => {
      const body = randomBytes(bytes);
      const key = `whole-${service}-${chunkBytes}-${bytes}-${checksum}`;
      for (const withoutLength of [false, true]) {
        const more = checksum === undefined ? {} : { checksum };
        const seen = await seenDuring(async () => {
          const answer = await putChunked(door(service), { key, body, chunkBytes, withoutLength, ...more });
          expect(answer).toMatchObject({ status: 200 });
        });
        expect(seen.map(({ status }) => status)).toEqual([200]);
        expect(stored(key)?.equals(body)).toBe(true);
        expect(seen[0]!.payload).toBe(expectedPayload(service, checksum));
      }
    });
  });

  function expectedPayload(service: string, checksum: string | undefined): string {
    if (checksum === undefined)
      return service === 'unsigned' ? 'UNSIGNED-PAYLOAD' : 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    if (service === 'unsigned') return 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
    return service === 'strip' ? 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' : 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
  }

  test('small chunks are joined to such as the upstream takes', async () => {
    const body = randomBytes(300_000);
    const [seen] = await seenDuring(() => putChunked(door(), { key: 'joined', body, chunkBytes: 1000 }));
    expect(seen).toMatchObject({ status: 200, chunks: 5 });
    expect(stored('joined')?.equals(body)).toBe(true);
  });

  test.each(['store', 'strip'])(
    'a wrong checksum behind the body stores nothing, through the service %s',
    async (service) => {
      const body = Buffer.from('content');
      const framed = `7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n`;
      const seen = await seenDuring(async () => {
        const asked = askSigned(door(service), {
          method: 'PUT',
          target: `/${bucket}/checksum`,
          payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          headers: [
            ['content-encoding', 'aws-chunked'],
            ['x-amz-decoded-content-length', String(body.length)],
            ['x-amz-trailer', 'x-amz-checksum-crc32'],
          ],
          body: framed,
        });
        const status = await statusOf(asked);
        expect(status === 'cut' || status >= 400).toBe(true);
      });
      expect(seen.every(({ status }) => status !== 200)).toBe(true);
      expect(stored('checksum')).toBeUndefined();
    },
  );
});

describe('what is easily mangled on the way', () => {
  test('a plus in a query means a blank', async () => {
    server!.store.put(bucket, 'a b', { bytes: 0, body: Buffer.alloc(0), etag: 'e' }, {});
    const answer = await askSigned(door(), { method: 'GET', target: `/${bucket}?list-type=2&prefix=a+b&delimiter=` });
    expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('<Key>a b</Key>') as string });
  });

  test('bytes of a field that are no ASCII stay as they are', async () => {
    const value = Buffer.from('café ☃').toString('latin1');
    const headers = [['x-amz-meta-a', value]] as const;
    expect(await askSigned(door(), { method: 'PUT', target: `/${bucket}/latin`, headers, body: 'x' })).toMatchObject({
      status: 200,
    });
    expect(server!.store.object(bucket, 'latin').headers['x-amz-meta-a']).toBe(value);
  });

  test('a field in two lines arrives as one', async () => {
    const request = {
      method: 'PUT',
      target: `/${bucket}/twice`,
      headers: [['x-amz-meta-a', 'one,two']] as const,
      body: 'x',
    };
    const { lines } = signRaw(door(), request);
    const sent = lines.flatMap((each, at) =>
      each === 'x-amz-meta-a'
        ? []
        : each === 'one,two' && lines[at - 1] === 'x-amz-meta-a'
          ? ['x-amz-meta-a', 'one', 'x-amz-meta-a', 'two']
          : [each],
    );
    const answer = await askRaw(sidecar().port('store'), 'PUT', request.target, [...sent, 'content-length', '1'], 'x');
    expect(answer).toMatchObject({ status: 200 });
    expect(server!.store.object(bucket, 'twice').headers['x-amz-meta-a']).toMatch(/^one, ?two$/);
  });

  test('a session token of the agent ends at the sidecar', async () => {
    const s3 = client(door('store', { ...DUMMY, sessionToken: DUMMY_TOKEN }));
    const seen = await seenDuring(() => s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'token', Body: 'x' })));
    expect(seen.map(({ status }) => status)).toEqual([200]);
    const command = new GetObjectCommand({ Bucket: bucket, Key: 'token' });
    const url = await getSignedUrl(s3, command);
    const [get] = await seenDuring(async () => expect(await (await fetch(url)).text()).toBe('x'));
    expect(get!.head.query).not.toContain('X-Amz-');
  });

  test('a path that an object store takes literally arrives literally', async () => {
    for (const path of ['a//b', '..//x', './y/../z', '%2e%2e/q', 'p%2Fq', "k(1)*'!~", 'r%c3%a9']) {
      const request = { method: 'PUT', target: `/${bucket}/${path}`, body: path };
      expect(await askSigned(door(), request), path).toMatchObject({ status: 200 });
      const key = Buffer.from(
        path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
        'latin1',
      );
      expect(stored(key.toString('utf8'))?.toString()).toBe(path);
    }
  });

  test('a body is held against its hash by the upstream, not by the sidecar', async () => {
    const body = randomBytes(3_000_000);
    const [seen] = await seenDuring(() => askSigned(door(), { method: 'PUT', target: `/${bucket}/large`, body }));
    expect(seen).toMatchObject({ status: 200, payload: sha256Hex(body), wireBytes: body.length });
  });
});
