import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { askRaw } from './aws/ask.ts';
import { DUMMY, type Door } from './aws/door.ts';
import { askSigned, putChunked, signRaw } from './aws/raw-client.ts';
import { useSidecar } from './aws/sidecar.ts';
import { REGION } from './aws/world.ts';
import { canary } from './canary.ts';

/** What comes over the wire in a shape that no client sends, and upstreams that lie. */

const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+='), sessionToken: canary('/+=') };
let upstream: Server | undefined;
/** Request lines that came to the upstream. */
const seen: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void = fine;

function fine(request: IncomingMessage, response: ServerResponse): void {
  request.resume().once('end', () => response.end('fine'));
}

beforeAll(async () => {
  upstream = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.on('error', () => undefined);
    answer(request, response);
  }).listen(0, '127.0.0.1');
  upstream.on('upgrade', (request, socket) => {
    seen.push(`upgrade ${request.url}`);
    socket.end();
  });
  await once(upstream, 'listening');
});
afterAll(() => upstream?.closeAllConnections());
afterAll(() => upstream?.close());
beforeEach(() => {
  seen.length = 0;
  answer = fine;
});

const port = (): number => (upstream!.address() as AddressInfo).port;
const sidecar = useSidecar(
  () => {
    const service = (target: string, more: object = {}) => ({
      target,
      credentials: real,
      config: { service: 's3', region: REGION, agents: { local: DUMMY }, ...more },
    });
    const url = `http://127.0.0.1:${port()}`;
    return {
      store: service(url),
      below: service(`${url}/gate`),
      // Nobody listens there.
      gone: service('http://127.0.0.1:1'),
    };
  },
  `
rules:
  - { id: no-secrets, effect: deny, aws: { buckets: [secret] } }
  - { id: the-rest, effect: allow }
`,
);

function door(service = 'store'): Door {
  const url = sidecar().url(service);
  const endpoints = { s3: url, dynamodb: url, sqs: url, sts: url };
  return { endpoints, region: REGION, credentials: DUMMY, bucket: 'open', trailers: true };
}

const TARGET = '/open/x';
const signed = (target = TARGET): string[] => [...signRaw(door(), { method: 'GET', target }).lines];
const lines = (headers: readonly string[]): string =>
  headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]}\r\n`] : [])).join('');

/** Bytes as they are, and all that comes back. */
async function speak(bytes: string): Promise<string> {
  const socket = connect(sidecar().port('store'), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(Buffer.from(bytes, 'latin1'));
  const timer = setTimeout(() => socket.end(), 1500);
  const received = await text(socket).catch(() => '');
  clearTimeout(timer);
  for (const secret of [real.secretAccessKey, real.sessionToken]) expect(received).not.toContain(secret);
  return received;
}

async function isFine(): Promise<void> {
  expect(await askSigned(door(), { method: 'GET', target: TARGET })).toMatchObject({ status: 200, body: 'fine' });
}

describe('nothing goes upstream of a request', () => {
  const close = 'Connection: close\r\n';
  const cases: Readonly<Record<string, () => string>> = {
    'with two hosts': () => `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}Host: s3.amazonaws.com\r\n${close}\r\n`,
    'in absolute form for another host': () =>
      `GET http://s3.amazonaws.com${TARGET} HTTP/1.1\r\n${lines(signed())}${close}\r\n`,
    'in absolute form with a host that disagrees': () =>
      `GET http://127.0.0.1:${port()}${TARGET} HTTP/1.1\r\n${lines(signed())}${close}\r\n`,
    'with a folded field': () => `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}X-A: a\r\n b\r\n${close}\r\n`,
    'with two dates': () => `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}X-Amz-Date: 20200101T000000Z\r\n${close}\r\n`,
    'with two hashes': () =>
      `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n${close}\r\n`,
    'signed twice': () => `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}Authorization: AWS a:b\r\n${close}\r\n`,
    'signed by field and by query': () => {
      const target = `${TARGET}?X-Amz-Signature=0&X-Amz-Credential=x`;
      return `GET ${target} HTTP/1.1\r\n${lines(signed(target))}${close}\r\n`;
    },
    'signed by field with a parameter of a signed URL in another case': () => {
      const target = `${TARGET}?x-aMz-sEcurity-token=x`;
      return `GET ${target} HTTP/1.1\r\n${lines(signed(target))}${close}\r\n`;
    },
    'whose Connection names its signature': () =>
      `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}Connection: close, authorization\r\n\r\n`,
    'that overrides its method': () =>
      `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}X-HTTP-Method_Override: DELETE\r\n${close}\r\n`,
    'with an unsigned field of AWS': () =>
      `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}x-amz-acl: public-read\r\n${close}\r\n`,
    'with a broken escape': () => `GET /open/%zz HTTP/1.1\r\n${lines(signed())}${close}\r\n`,
    'with a length and chunks': () =>
      `GET ${TARGET} HTTP/1.1\r\n${lines(signed())}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n${close}\r\n0\r\n\r\n`,
    'for an upgrade to what is denied': () =>
      `GET /secret/x HTTP/1.1\r\n${lines(signed('/secret/x'))}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    'for an upgrade that nobody signed': () =>
      `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  };
  test.each(Object.keys(cases))('%s', async (name) => {
    expect(await speak(cases[name]!())).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(seen).toEqual([]);
  });

  test('in absolute form that hides the bucket behind the path of the target', async () => {
    const target = '/gate/secret/x';
    const host = ['host', `127.0.0.1:${port()}`];
    const named = { ...door(), endpoints: { ...door().endpoints, s3: `http://${host[1]}` } };
    const { lines: own } = signRaw(named, { method: 'GET', target });
    const asked = await askRaw(sidecar().port('below'), 'GET', `http://${host[1]}${target}`, own);
    expect(asked.status).toBeGreaterThanOrEqual(400);
    expect(seen).toEqual([]);
  });
});

describe('an upstream that lies', () => {
  test.each([
    'Sat, 01 Jan 275000 00:00:00 GMT',
    'Fri, 31 Dec 9999 23:59:59 GMT',
    'Thu, 01 Jan 1970 00:00:00 GMT',
    '0',
    '',
  ])('about the time (%j) is heard once at most, and harms no later request', async (date) => {
    answer = (request, response) => {
      request.resume();
      response.sendDate = false;
      response.writeHead(403, date === '' ? {} : { date, age: '999999999' });
      response.end('<Error><Code>RequestTimeTooSkewed</Code></Error>');
    };
    const refused = await askSigned(door(), { method: 'GET', target: TARGET });
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining('TooSkewed') as string });
    expect(seen.length).toBeLessThanOrEqual(2);
    answer = (request, response) => {
      request.resume();
      const sane = /^2\d{7}T/.test(String(request.headers['x-amz-date']));
      if (sane) return void response.end('fine');
      response.writeHead(403);
      response.end('<Error><Code>RequestTimeTooSkewed</Code></Error>');
    };
    await isFine();
  });

  test('about the region of a bucket is not followed', async () => {
    answer = (_, response) => response.writeHead(301, { 'x-amz-bucket-region': 'evil.example/' }).end();
    expect(await askSigned(door(), { method: 'GET', target: TARGET })).toMatchObject({ status: 301 });
    expect(seen).toHaveLength(1);
  });

  test('about the key, for ever, is asked twice at most', async () => {
    answer = (_, response) => response.writeHead(403).end('<Error><Code>ExpiredToken</Code></Error>');
    expect(await askSigned(door(), { method: 'GET', target: TARGET })).toMatchObject({ status: 403 });
    expect(seen.length).toBeLessThanOrEqual(2);
  });
});

describe('the process goes on', () => {
  const chunked = { key: 'k', body: Buffer.alloc(200_000), chunkBytes: 8192, checksum: 'crc32' };

  test('after bodies that nobody could take', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 8 }, () => putChunked(door('gone'), chunked)));
    expect(asked.map(({ status }) => status)).toContain('fulfilled');
    await isFine();
  });

  test('after uploads that end in the middle, on either side', async () => {
    const request = signRaw(door(), {
      method: 'PUT',
      target: '/open/k',
      payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      headers: [
        ['content-encoding', 'aws-chunked'],
        ['x-amz-decoded-content-length', '100000'],
      ],
    });
    const begun = `PUT /open/k HTTP/1.1\r\n${lines(request.lines)}Content-Length: 100300\r\n\r\n186a0;chunk-signature=`;
    await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        const socket = connect(sidecar().port('store'), '127.0.0.1');
        socket.on('error', () => undefined);
        socket.write(begun + '0'.repeat(at * 10));
        await new Promise((resolve) => setTimeout(resolve, 100));
        socket.destroy();
      }),
    );
    answer = (incoming) => incoming.socket.destroy();
    await Promise.allSettled(Array.from({ length: 8 }, () => putChunked(door(), chunked)));
    answer = fine;
    await isFine();
  });
});

test('a URL that somebody else signed is refused, and its signature is not on record', async () => {
  const secret = canary();
  const scope = `AKIASOMEBODYELSE%2F20260101%2F${REGION}%2Fs3%2Faws4_request`;
  const hex = Buffer.from(secret).toString('hex').padEnd(64, '0').slice(0, 64);
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${scope}&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=${hex}`;
  const asked = await askRaw(sidecar().port('store'), 'GET', `${TARGET}?${query}`, ['host', 'localhost']);
  expect(asked.headers['x-secretless-error']).toBe('foreign-credential');
  expect(JSON.stringify(sidecar().events())).not.toContain(hex);
  expect(sidecar().printed()).not.toContain(hex);
});
