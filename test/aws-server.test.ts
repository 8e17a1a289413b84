import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { STSClient, AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, onTestFinished, test } from 'vitest';
import { askRaw } from './aws/ask.ts';
import { sha256Hex } from './aws/canonical-form.ts';
import { openChecksum } from './aws/checksum.ts';
import { PUBLISHED, PUBLISHED_ACCOUNT, PUBLISHED_REGION, PUBLISHED_TIME, type Published } from './aws/published.ts';
import type { ReceivedHead } from './aws/received-head.ts';
import { checkSignature, identifySigner } from './aws/verify-head.ts';
import { startVerifyingServer, type ServerOptions, type VerifyingServer } from './aws/verifying-server.ts';
import { canary } from './canary.ts';

import { Sha256 } from './aws/sha256.ts';

/** The server that judges the connector, judged by what AWS published and by clients that AWS wrote. */

async function start(options: Partial<ServerOptions> = {}): Promise<VerifyingServer> {
  const server = await startVerifyingServer({ accounts: [], buckets: ['examplebucket'], ...options });
  onTestFinished(() => server.close());
  return server;
}

function startPublished(minutesLater = 0): Promise<VerifyingServer> {
  const now = (): Date => new Date(PUBLISHED_TIME.getTime() + minutesLater * 60_000);
  return start({ accounts: [PUBLISHED_ACCOUNT], region: PUBLISHED_REGION, now, buckets: ['', 'examplebucket'] });
}

function sendPublished(
  { port }: VerifyingServer,
  { method, target, headers, body }: Published,
): ReturnType<typeof askRaw> {
  return askRaw(port, method, target, headers, body);
}

/** The same with the digit at this place of the text changed. */
function otherDigit(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === '0' ? '1' : '0') + text.slice(at + 1);
}

describe('the examples that AWS published', () => {
  test.each(PUBLISHED)('$name fits', async (example) => {
    const { status } = await sendPublished(await startPublished(), example);
    expect(status).toBe(example.status);
  });

  test.each(PUBLISHED)('$name with one digit of its signature changed does not', async (example) => {
    const wrong = (text: string): string => {
      const at = text.search(/Signature=[0-9a-f]{64}/);
      return at < 0 ? text : otherDigit(text, at + 'Signature='.length + 17);
    };
    const changed = { ...example, target: wrong(example.target), headers: example.headers.map(wrong) };
    const server = await startPublished();
    expect(await sendPublished(server, changed)).toMatchObject({
      status: 403,
      body: expect.stringContaining('<Code>SignatureDoesNotMatch</Code>') as string,
    });
    expect(server.store.bucket('examplebucket').size).toBe(0);
  });

  const chunked = PUBLISHED.filter(({ body }) => body?.includes('signature') === true).flatMap((example) =>
    [...example.body!.matchAll(/signature[=:]/g)].map(({ index }, nth) => ({
      example,
      nth,
      at: index + 12,
      name: example.name,
    })),
  );
  test.each(chunked)('$name is refused for one digit of signature $nth in its body', async ({ example, at }) => {
    const server = await startPublished();
    const answer = await sendPublished(server, { ...example, body: otherDigit(example.body!, at) });
    expect(answer.status).toBe(403);
    expect(server.store.bucket('examplebucket').size).toBe(0);
  });

  test('a byte of the body that is not the one signed is refused', async () => {
    for (const example of PUBLISHED.filter(({ body }) => body !== undefined)) {
      const server = await startPublished();
      const at = example.body!.length === 21 ? 3 : 1000;
      const body = `${example.body!.slice(0, at)}b${example.body!.slice(at + 1)}`;
      expect((await sendPublished(server, { ...example, body })).status).toBeGreaterThanOrEqual(400);
      expect(server.store.bucket('examplebucket').size).toBe(0);
    }
  });

  test('a signature is too old after fifteen minutes, a presigned one after its own time', async () => {
    const [get, , , , presigned] = PUBLISHED;
    expect((await sendPublished(await startPublished(14), get!)).status).toBe(404);
    expect((await sendPublished(await startPublished(16), get!)).body).toContain('RequestTimeTooSkewed');
    expect((await sendPublished(await startPublished(23 * 60), presigned!)).status).toBe(404);
    expect((await sendPublished(await startPublished(25 * 60), presigned!)).body).toContain('Request has expired');
  });

  test('a header of Amazon that nobody signed is refused', async () => {
    const [get] = PUBLISHED;
    for (const loose of ['x-amz-acl', 'content-md5']) {
      const answer = await sendPublished(await startPublished(), { ...get!, headers: [...get!.headers, loose, 'x'] });
      expect(answer.body).toContain('HeadersNotSigned');
    }
  });
});

interface SuiteCase {
  readonly name: string;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly body?: string;
  readonly normalize: boolean;
  readonly signBody: boolean;
  readonly token?: string;
  readonly omitToken: boolean;
  readonly expected: Readonly<
    Record<'header' | 'ecdsaHeader', { readonly signed: string; readonly signature: string }>
  >;
}

describe('the signing test suite of aws-c-auth', () => {
  const file = join(import.meta.dirname, '../connectors/aws/sign/testdata/aws-signing-test-suite.json');
  const suite = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly cases: readonly SuiteCase[];
  };
  // Left out: what AWS services never accept, or what this server refuses on purpose (one header in two lines).
  const plain = suite.cases.filter(({ headers, normalize, token }) => {
    const names = headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    return normalize && token === undefined && new Set(names).size === names.length;
  });

  test.each(plain)(
    '$name fits in both algorithms, and not with another body',
    ({ method, target, headers, ...one }) => {
      const [path, query = ''] = target.split(/\?(.*)/s);
      const now = new Date('2015-08-30T12:36:00Z');
      for (const form of ['header', 'ecdsaHeader'] as const) {
        const { signed, signature } = one.expected[form];
        const scope = form === 'header' ? '20150830/us-east-1/service' : '20150830/service';
        const algorithm = form === 'header' ? 'AWS4-HMAC-SHA256' : 'AWS4-ECDSA-P256-SHA256';
        const sha256 = sha256Hex(Buffer.from(one.body ?? ''));
        const lines = headers.flatMap((name, at) =>
          at % 2 === 0 ? [[name.toLowerCase(), headers[at + 1]!] as const] : [],
        );
        const head: ReceivedHead = {
          ...{ method, path: Buffer.from(path!).toString('latin1'), query: Buffer.from(query).toString('latin1') },
          lines: [
            ...lines,
            ['x-amz-date', '20150830T123600Z'],
            ...(form === 'ecdsaHeader' ? [['x-amz-region-set', 'us-east-1'] as const] : []),
            ...(one.signBody ? [['x-amz-content-sha256', sha256] as const] : []),
            ...(signed.includes('content-length') && !lines.some(([name]) => name === 'content-length')
              ? [['content-length', String(one.body!.length)] as const]
              : []),
            [
              'authorization',
              `${algorithm} Credential=${suite.accessKeyId}/${scope}/aws4_request, SignedHeaders=${signed}, Signature=${signature}`,
            ],
          ],
        };
        const signer = identifySigner(head, [suite], now)!;
        checkSignature(head, signer, sha256);
        const other = sha256Hex('another');
        expect(() => checkSignature(head, signer, other)).toThrow('does not match');
      }
    },
  );
});

describe('clients that AWS wrote', () => {
  const account = { accessKeyId: 'AKIADIRECT', secretAccessKey: canary() };
  const clientOf = (server: VerifyingServer, credentials = account): S3Client => {
    const client = new S3Client({ endpoint: server.url, region: server.region, forcePathStyle: true, credentials });
    onTestFinished(() => client.destroy());
    return client;
  };
  const object = { Bucket: 'examplebucket', Key: 'a key' };

  test('store and fetch with the right secret', async () => {
    const client = clientOf(await start({ accounts: [account] }));
    await client.send(new PutObjectCommand({ ...object, Body: 'content' }));
    const { Body } = await client.send(new GetObjectCommand(object));
    expect(await Body!.transformToString()).toBe('content');
  });

  test('are refused with another secret, and nothing is stored', async () => {
    const server = await start({ accounts: [account] });
    const client = clientOf(server, { ...account, secretAccessKey: canary() });
    for (const Body of ['content', Readable.from([Buffer.alloc(100_000, 1)])])
      await expect(
        client.send(new PutObjectCommand({ ...object, Body, ContentLength: Body === 'content' ? 7 : 100_000 })),
      ).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    expect(server.store.bucket('examplebucket').size).toBe(0);
    expect(server.requests.every(({ code }) => code === 'SignatureDoesNotMatch')).toBe(true);
  });

  test('need the session token of a key that has one', async () => {
    const server = await start({ accounts: [{ ...account, sessionToken: canary() }] });
    await expect(clientOf(server).send(new GetObjectCommand(object))).rejects.toMatchObject({ name: 'InvalidToken' });
  });

  test('get a session from AssumeRole that signs until it ends', async () => {
    let now = new Date();
    const server = await start({ accounts: [account], now: () => now });
    const sts = new STSClient({ endpoint: server.url, region: server.region, credentials: account });
    const asked = new AssumeRoleCommand({ RoleArn: 'arn:aws:iam::000000000000:role/r', RoleSessionName: 'session' });
    const { Credentials } = await sts.send(asked);
    expect(server.messages.assumed).toMatchObject([{ RoleSessionName: 'session' }]);
    const credentials = {
      accessKeyId: Credentials!.AccessKeyId!,
      secretAccessKey: Credentials!.SecretAccessKey!,
      sessionToken: Credentials!.SessionToken!,
    };
    const assumed = new STSClient({ endpoint: server.url, region: server.region, credentials });
    const { UserId } = await assumed.send(new GetCallerIdentityCommand());
    expect(UserId).toBe(credentials.accessKeyId);
    now = new Date(now.getTime() + 3_601_000);
    const late = { ...credentials, systemClockOffset: 3_601_000 };
    const stale = new STSClient({ ...late, endpoint: server.url, region: server.region, credentials });
    await expect(stale.send(new GetCallerIdentityCommand())).rejects.toMatchObject({ name: 'ExpiredToken' });
  });

  test('are refused in a region or for a service that is not the one of the server', async () => {
    const server = await start({ accounts: [account] });
    const elsewhere = new S3Client({
      endpoint: server.url,
      region: 'us-east-2',
      forcePathStyle: true,
      credentials: account,
    });
    await expect(elsewhere.send(new GetObjectCommand(object))).rejects.toMatchObject({
      name: 'AuthorizationHeaderMalformed',
    });
    const sts = new STSClient({ endpoint: server.url, region: server.region, credentials: account });
    const only = await start({ accounts: [account], services: ['s3'] });
    const misled = new STSClient({ endpoint: only.url, region: only.region, credentials: account });
    await sts.send(new GetCallerIdentityCommand());
    await expect(misled.send(new GetCallerIdentityCommand())).rejects.toThrow('correct service');
  });
});

describe('bodies', () => {
  const account = { accessKeyId: 'AKIABODIES', secretAccessKey: canary() };

  test.each([
    ['crc32', 'y/Q5Jg=='],
    ['crc32c', '4waSgw=='],
    ['crc64nvme', Buffer.from('ae8b14860a799888', 'hex').toString('base64')],
    ['sha1', createHash('sha1').update('123456789').digest('base64')],
  ])('%s has the check value that everybody prints', (algorithm, expected) => {
    const checksum = openChecksum(algorithm)!;
    for (const piece of ['1234', '56789']) checksum.update(Buffer.from(piece));
    expect(checksum.digest()).toBe(expected);
  });

  const framed = (...sizes: number[]): string =>
    sizes.map((size) => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`).join('') + '0\r\n';
  const sumOf = (algorithm: string, bytes: number): string => {
    const checksum = openChecksum(algorithm)!;
    checksum.update(Buffer.alloc(bytes, 'x'));
    return checksum.digest();
  };

  /** PUT of `STREAMING-UNSIGNED-PAYLOAD-TRAILER`; gives the status and the code of the refusal. */
  async function putTrailer(decodedBytes: number, body: string, trailer = 'x-amz-checksum-crc32'): Promise<string> {
    const server = await start({ accounts: [account] });
    const signer = new SignatureV4({
      ...{ service: 's3', region: server.region, credentials: account, sha256: Sha256, uriEscapePath: false },
    });
    const request = {
      ...{ method: 'PUT', protocol: 'http:', hostname: '127.0.0.1', path: '/examplebucket/key' },
      headers: {
        host: `127.0.0.1:${server.port}`,
        'content-encoding': 'aws-chunked',
        'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        'x-amz-decoded-content-length': String(decodedBytes),
        'x-amz-trailer': trailer,
      },
    };
    const signed = await signer.sign(request);
    const answer = await askRaw(server.port, 'PUT', request.path, Object.entries(signed.headers).flat(), body);
    const stored = server.store.bucket('examplebucket').get('key')?.bytes;
    return [answer.status, /<Code>(\w+)/.exec(answer.body)?.[1], stored].join(' ').trim();
  }

  test.each(['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'])('a trailer of %s is verified', async (algorithm) => {
    const name = `x-amz-checksum-${algorithm}`;
    const right = `${framed(65_536, 100)}${name}:${sumOf(algorithm, 65_636)}\r\n\r\n`;
    expect(await putTrailer(65_636, right, name)).toBe('200  65636');
    const wrong = `${framed(65_536, 100)}${name}:${sumOf(algorithm, 65_635)}\r\n\r\n`;
    expect(await putTrailer(65_636, wrong, name)).toBe('400 BadDigest');
  });

  test('a small chunk may only be the last', async () => {
    const trailer = `x-amz-checksum-crc32:${sumOf('crc32', 9192)}\r\n\r\n`;
    expect(await putTrailer(9192, framed(8192, 1000) + trailer)).toBe('200  9192');
    expect(await putTrailer(9192, framed(1000, 8192) + trailer)).toBe('400 InvalidChunkSizeError');
  });

  test('framing that is not what it says is refused', async () => {
    const trailer = `x-amz-checksum-crc32:${sumOf('crc32', 10)}\r\n\r\n`;
    expect(await putTrailer(10, framed(10) + trailer)).toBe('200  10');
    expect(await putTrailer(11, framed(10) + trailer)).toBe('400 IncompleteBody');
    expect(await putTrailer(9, framed(10) + trailer)).toBe('400 IncompleteBody');
    expect(await putTrailer(10, `${framed(10)}${trailer}x`)).toBe('400 IncompleteBody');
    expect(await putTrailer(10, `${framed(10)}\r\n`)).toBe('400 MalformedTrailerError');
    expect(await putTrailer(10, 'x'.repeat(10))).toBe('400 IncompleteBody');
  });
});
