import { readFileSync } from 'node:fs';
import { createSecureServer, createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { connect, createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import type { ResponseHead } from '../connector/head.ts';
import type { SidecarError } from '../error.ts';
import type { HttpVersion, UpstreamControl, UpstreamPool, UpstreamRequest } from './engine.ts';
import { openPool, type PoolOptions } from './upstream-pool.ts';
import { END_HEADERS, frame, framesOf, TYPE } from '../../test/http2-kit.ts';

const folder = join(import.meta.dirname, '..', '..', 'test', 'testdata', 'tls');
const pem = (name: string): string => readFileSync(join(folder, name), 'utf8');
const own = { key: pem('local.key'), cert: pem('local.pem') };

async function listening(server: Server | Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function poolTo(port: number, options: Partial<PoolOptions> = {}, scheme: 'http' | 'https' = 'https'): UpstreamPool {
  const pool = openPool({
    origin: { scheme, host: 'localhost', port },
    connections: 4,
    connectSeconds: 2,
    headersSeconds: 2,
    idleSeconds: 2,
    headerBytes: 16_384,
    tls: { ca: pem('ca.pem') },
    ...options,
  });
  onTestFinished(() => void pool.close().catch(() => undefined));
  return pool;
}

interface Outcome {
  readonly head?: ResponseHead;
  readonly body: string;
  readonly trailers?: readonly string[];
  readonly error?: SidecarError;
}

interface Asked {
  readonly method?: string;
  readonly headers?: readonly string[];
  readonly target?: string;
  readonly body?: UpstreamRequest['body'];
  readonly contentLength?: number;
  readonly started?: (control: UpstreamControl) => void;
}

function ask(pool: UpstreamPool, version: HttpVersion, asked: Asked = {}): Promise<Outcome> {
  const { method = 'GET', target = '/', headers = [], body, contentLength, started } = asked;
  const chunks: Uint8Array[] = [];
  let head: ResponseHead | undefined;
  return new Promise((resolve) => {
    const outcome = (more: Partial<Outcome>): void =>
      resolve({ ...(head === undefined ? {} : { head }), body: Buffer.concat(chunks).toString(), ...more });
    pool.dispatch(
      {
        head: { method, target, headers },
        version,
        body,
        arriving: undefined,
        contentLength,
        headersSeconds: 1,
        idleSeconds: 1,
      },
      {
        started: (control) => started?.(control),
        inform: () => undefined,
        head: (got) => (head = got),
        chunk: (chunk) => chunks.push(chunk),
        end: (trailers) => outcome({ trailers }),
        error: (error) => outcome({ error: error as SidecarError }),
      },
    );
  });
}

/** An upstream of both, or of one; answers with the version that the request came by. */
async function startEither(protocols: readonly string[]) {
  let handshakes = 0;
  const server = createSecureServer({ ...own, allowHTTP1: protocols.includes('http/1.1') }, (request, response) => {
    let length = 0;
    request.on('data', (chunk: Buffer) => (length += chunk.length));
    request.on('end', () => response.end(`${request.httpVersion} ${length}`));
  });
  server.on('secureConnection', () => (handshakes += 1));
  server.on('tlsClientError', () => undefined);
  server.on('sessionError', () => undefined);
  return { port: await listening(server), handshakes: () => handshakes };
}

test('an agent of HTTP/2 is served by HTTP/2 where the upstream has both, one of HTTP/1.1 by that', async () => {
  const upstream = await startEither(['h2', 'http/1.1']);
  const pool = poolTo(upstream.port);
  expect((await ask(pool, '2')).body).toBe('2.0 0');
  expect((await ask(pool, '1.1')).body).toBe('1.1 0');
  await Promise.all(Array.from({ length: 20 }, () => ask(pool, '2')));
  expect(upstream.handshakes()).toBe(2);
});

test('an upstream that chooses HTTP/1.1 gets the request on the connection that found it out', async () => {
  const server = createHttps(own, (request, response) => response.end(request.httpVersion));
  let handshakes = 0;
  server.on('secureConnection', () => (handshakes += 1));
  const pool = poolTo(await listening(server));
  expect((await ask(pool, '2')).body).toBe('1.1');
  expect(handshakes).toBe(1);
  // undici takes a connection as free a moment after its answer.
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await ask(pool, '2')).body).toBe('1.1');
  expect(handshakes).toBe(1);
});

test.each(['', 'a body that streams'])(
  'an upstream that refuses HTTP/1.1 gets HTTP/2 from every agent (%s)',
  async (text) => {
    const upstream = await startEither(['h2']);
    const pool = poolTo(upstream.port);
    const body = text === '' ? undefined : Readable.from([Buffer.from(text)], { objectMode: false });
    expect((await ask(pool, '1.1', { method: 'POST', body })).body).toBe(`2.0 ${text.length}`);
    expect((await ask(pool, '1.1')).body).toBe('2.0 0');
  },
);

test('`never` and `always` are what they say', async () => {
  const upstream = await startEither(['h2', 'http/1.1']);
  expect((await ask(poolTo(upstream.port, { http2: 'never' }), '2')).body).toBe('1.1 0');
  expect((await ask(poolTo(upstream.port, { http2: 'always' }), '1.1')).body).toBe('2.0 0');
});

test('a certificate of a stranger is refused before a byte of the request', async () => {
  const seen: string[] = [];
  const stranger = { key: pem('stranger.key'), cert: pem('stranger.pem') };
  const server = createSecureServer(stranger, (request) => seen.push(request.url));
  server.on('tlsClientError', () => undefined);
  server.on('sessionError', () => undefined);
  const port = await listening(server);
  for (const version of ['1.1', '2'] as const) {
    expect((await ask(poolTo(port), version)).error?.code).toBe('upstream-tls');
  }
  expect(seen).toEqual([]);
});

/** An upstream in clear that is spoken to with prior knowledge. */
async function startClear(server: Http2Server, options: Partial<PoolOptions> = {}): Promise<UpstreamPool> {
  server.on('sessionError', () => undefined);
  return poolTo(await listening(server), { http2: 'always', ...options }, 'http');
}

test('what an upstream of HTTP/2 is told is the origin, in lower case, with its length', async () => {
  const heads: string[][] = [];
  const server = createHttp2Server();
  server.on('stream', (stream, _headers, _flags, raw: unknown) => {
    heads.push(raw as string[]);
    stream.resume();
    stream.respond({ ':status': 200, 'x-answer': 'yes' });
    stream.end('ok');
  });
  const pool = await startClear(server);
  const body = Buffer.from('hello');
  const answer = await ask(pool, '1.1', {
    method: 'POST',
    target: '/a?b',
    headers: ['X-Key', 'k'],
    body,
    contentLength: 5,
  });
  expect(answer.head?.headers).toContain('x-answer');
  expect(answer.head?.headers.some((name) => name.startsWith(':'))).toBe(false);
  expect(heads[0]).toEqual([
    ...[':method', 'POST', ':scheme', 'http', ':authority', `localhost:${pool.origin.port}`, ':path', '/a?b'],
    ...['x-key', 'k', 'content-length', '5', 'te', 'trailers'],
  ]);
});

test.each([
  ['a value with NUL', ['x-key', 'a\0x-evil\0yes\0']],
  ['a value with a line', ['x-key', 'a\r\nx-evil: yes']],
  ['a value whose low byte is a line', ['x-key', 'a\u010ab']],
  ['a name with a blank', ['x key', 'a']],
  ['a field of the connection', ['Transfer-Encoding', 'chunked']],
])('%s is never sent', async (_, headers) => {
  let asked = 0;
  const server = createHttp2Server((_request, response) => {
    asked += 1;
    response.end();
  });
  const pool = await startClear(server);
  expect((await ask(pool, '2', { headers })).error?.code).toBe('header-refused');
  expect((await ask(pool, '2', { target: '/a b' })).error?.code).toBe('request-malformed');
  expect(asked).toBe(0);
});

test.each([0, 2, 8])('an answer that is reset with code %i is no answer', async (code) => {
  const server = createTcp((socket) => {
    socket.on('error', () => undefined);
    socket.write(frame(TYPE.settings, 0, 0));
    const reset = Buffer.alloc(4);
    reset.writeUInt32BE(code);
    let asked = false;
    socket.on('data', (bytes: Buffer) => {
      // Of the client's preface the frames begin behind 24 bytes; its first request has the number 1.
      asked ||= framesOf(bytes.subarray(bytes.indexOf('SM\r\n\r\n') + 6)).some(({ type }) => type === TYPE.headers);
      asked ||= framesOf(bytes).some(({ type }) => type === TYPE.headers);
      if (!asked) return;
      // 0x88: `:status: 200` (RFC 7541 appendix A).
      socket.write(frame(TYPE.headers, END_HEADERS, 1, Buffer.from([0x88])));
      socket.write(frame(TYPE.data, 0, 1, Buffer.from('half')));
      setTimeout(() => socket.write(frame(TYPE.reset, 0, 1, reset)), 50);
    });
    onTestFinished(() => void socket.destroy());
  });
  const pool = poolTo(await listening(server), { http2: 'always' }, 'http');
  const { error, body } = await ask(pool, '2');
  expect(error?.code).toBe('upstream-closed');
  expect(body).toBe('half');
});

test('an upstream that speaks no HTTP/2, or nothing, fails each request in its time', async () => {
  const sockets: Socket[] = [];
  const answers = ['HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', undefined];
  for (const answer of answers) {
    const server = createTcp((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      if (answer !== undefined) socket.end(answer);
    });
    const pool = poolTo(await listening(server), { http2: 'always', connectSeconds: 0.3 }, 'http');
    const [one, other] = await Promise.all([ask(pool, '2'), ask(pool, '1.1')]);
    expect(one.error?.code).toBe(answer === undefined ? 'upstream-timeout' : 'upstream-protocol');
    expect(other.error?.code).toBe(one.error?.code);
  }
  for (const socket of sockets) socket.destroy();
});

test('a body that ends before its length, or breaks, is reset', async () => {
  const ends: number[] = [];
  let whole = 0;
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.on('aborted', () => ends.push(stream.rstCode));
    // END_STREAM, or the end that node makes of a reset.
    stream.on('end', () => (whole += stream.aborted ? 0 : 1));
    stream.resume();
  });
  const pool = await startClear(server);
  const short = Readable.from([Buffer.from('abc')], { objectMode: false });
  const first = await ask(pool, '2', { method: 'POST', body: short, contentLength: 5 });
  expect(first.error?.code).toBe('request-malformed');
  const broken = new Readable({ read: () => undefined });
  broken.push('abc');
  setTimeout(() => broken.destroy(new Error('gone')), 50);
  const second = await ask(pool, '2', { method: 'POST', body: broken });
  expect(second.error).toBeDefined();
  await expect.poll(() => ends).toEqual([8, 8]);
  expect(whole).toBe(0);
});

test('an upstream that says nothing is given up in its time', async () => {
  const server = createHttp2Server();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':path'] === '/half') {
      stream.respond({ ':status': 200 });
      stream.write('half');
    }
  });
  const pool = await startClear(server);
  const [nothing, half] = await Promise.all([ask(pool, '2'), ask(pool, '2', { target: '/half' })]);
  expect(nothing.error?.code).toBe('upstream-timeout');
  expect(half).toMatchObject({ body: 'half', error: { code: 'upstream-timeout' } });
});

test('a pool opens more connections where one has no room, up to its limit', async () => {
  const running: (() => void)[] = [];
  let sessions = 0;
  const server = createHttp2Server({ settings: { maxConcurrentStreams: 2 } }, (_request, response) => {
    running.push(() => response.end('ok'));
  });
  server.on('session', () => (sessions += 1));
  const pool = await startClear(server, { connections: 2 });
  const finish = setInterval(() => running.splice(0).forEach((each) => each()), 20);
  expect((await ask(pool, '2')).body).toBe('ok');
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(pool, '2')));
  clearInterval(finish);
  expect(answers.every(({ body }) => body === 'ok')).toBe(true);
  expect(sessions).toBe(2);
});

test('after GOAWAY the running request ends, and the next takes another connection', async () => {
  let sessions = 0;
  const server = createHttp2Server((request, response) => {
    if (request.url === '/last') request.stream.session!.close();
    setTimeout(() => response.end('ok'), 50);
  });
  server.on('session', () => (sessions += 1));
  const pool = await startClear(server);
  expect((await ask(pool, '2', { target: '/last' })).body).toBe('ok');
  expect((await ask(pool, '2')).body).toBe('ok');
  expect(sessions).toBe(2);
});

test('a request that is given up is reset, and its connection lives', async () => {
  const codes: number[] = [];
  let sessions = 0;
  const server = createHttp2Server();
  server.on('session', () => (sessions += 1));
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    stream.on('close', () => codes.push(stream.rstCode));
    if (stream.id === 3) stream.respond({ ':status': 204 }, { endStream: true });
  });
  const pool = await startClear(server);
  const given = await ask(pool, '2', { started: (control) => setTimeout(() => control.abort(), 50) });
  expect(given.error?.code).toBe('upstream-closed');
  expect((await ask(pool, '2')).head?.status).toBe(204);
  expect(codes[0]).toBe(8);
  expect(sessions).toBe(1);
});

test('every connection leads through the dialer, where there is one', async () => {
  const upstream = await startEither(['h2', 'http/1.1']);
  const dialled: string[] = [];
  const dialer = {
    dial: async (host: string, port: number) => {
      dialled.push(`${host}:${port}`);
      return connect({ host: '127.0.0.1', port: upstream.port });
    },
  };
  const pool = poolTo(1, { dialer });
  expect((await ask(pool, '1.1')).body).toBe('1.1 0');
  expect((await ask(pool, '2')).body).toBe('2.0 0');
  (await pool.connect()).destroy();
  expect(dialled).toEqual(['localhost:1', 'localhost:1', 'localhost:1']);
});

test('a pool that is closed lets running requests end', async () => {
  const server = createHttp2Server((_request, response) => void setTimeout(() => response.end('ok'), 100));
  const pool = await startClear(server);
  const running = ask(pool, '2');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await pool.close();
  expect((await running).body).toBe('ok');
});
