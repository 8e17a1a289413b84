import { expect, test } from 'vitest';
import { eventually, startUpstream } from './rig.ts';
import { dial, get, heads, problemOf, startApi, startRawUpstream, startScriptedUpstream } from './http-kit.ts';

/** What a client gets for one request, from an upstream that answers with these bytes. */
async function answered(answer: string, request = get('/', 'Connection: close')): Promise<string> {
  const upstream = await startScriptedUpstream(answer);
  const { port } = await startApi(upstream.url);
  return (await dial(port, request)).end();
}

/** What an upstream sees of one request. */
async function seen(request: string): Promise<string> {
  const upstream = await startScriptedUpstream('HTTP/1.1 204 No Content\r\n\r\n');
  const { port, token } = await startApi(upstream.url);
  const client = await dial(port, request);
  await client.until('204 No Content');
  const [peer] = upstream.connections;
  expect(peer!.text.split(token)).toHaveLength(2);
  return peer!.text.replace(token, '(token)').replace(/^host: .*\r\n/m, '');
}

test('an answer of known length arrives with that length', async () => {
  const text = await answered('HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello');
  expect(text).toBe('HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\nhello');
});

test('a chunked answer arrives chunked, with its trailers', async () => {
  const text = await answered(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\nX-More: d\r\n\r\n',
  );
  expect(text).toMatch(
    /^HTTP\/1\.1 200 OK\r\nTrailer: X-Sum\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n/,
  );
  expect(text).toMatch(/\r\n5\r\nhello\r\n0\r\nX-Sum: abc\r\nX-More: d\r\n\r\n$/);
});

test('trailer fields that would frame or route a message do not pass', async () => {
  const text = await answered(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nHost: a\r\nSet-Cookie: a=b\r\nUpgrade: h2c\r\nX-Sum: a\r\n\r\n',
  );
  expect(text).toMatch(/\r\n0\r\nX-Sum: a\r\n\r\n$/);
});

test.each([
  [
    'an HTTP/1.0 client',
    'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n',
    /^HTTP\/1\.1 200 OK\r\n(?!.*chunked).*\r\n\r\nhello$/s,
  ],
  [
    'a HEAD request',
    'HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s,
  ],
])('an answer that announces trailers reaches %s without them', async (_, request, expected) => {
  const body = request.startsWith('HEAD') ? '' : '5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n';
  const text = await answered(
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${body}`,
    request,
  );
  expect(text).toMatch(expected);
});

test('an answer with a length and a Trailer field arrives', async () => {
  expect(await answered('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: X-Sum\r\n\r\nok')).toMatch(/\r\n\r\nok$/);
});

test('a close-delimited answer arrives whole', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end');
  });
  const { port } = await startApi(upstream.url);
  const text = await (await dial(port, get('/', 'Connection: close'))).end();
  expect(text).toContain('until the end');
  expect(text).toMatch(/\r\n0\r\n\r\n$/);
});

test('a close-delimited answer reaches an HTTP/1.0 client whole', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end');
  });
  const { port } = await startApi(upstream.url);
  const client = await dial(port, 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
  expect(await client.end()).toMatch(/\r\n\r\nuntil the end$/);
  expect(client.errorCode).toBeUndefined();
});

test.each([
  ['HEAD', '200 OK', 'Content-Length: 5\r\n'],
  ['HEAD', '200 OK', ''],
  ['HEAD', '200 OK', 'Transfer-Encoding: chunked\r\n'],
  ['GET', '204 No Content', ''],
  ['GET', '304 Not Modified', 'ETag: "a"\r\n'],
  ['GET', '304 Not Modified', 'Content-Length: 5\r\nETag: "a"\r\n'],
])('%s answered by %s with "%s" has no body and keeps the connection', async (method, status, fields) => {
  const upstream = await startScriptedUpstream(`HTTP/1.1 ${status}\r\n${fields}\r\n`);
  const { port } = await startApi(upstream.url);
  const request = `${method} / HTTP/1.1\r\nHost: localhost\r\n`;
  const client = await dial(port, `${request}\r\n`);
  await client.until('\r\n\r\n');
  client.write(`${request}Connection: close\r\n\r\n`);
  const text = await client.end();
  expect(text.split(`HTTP/1.1 ${status}\r\n`)).toHaveLength(3);
  expect(text.split('\r\n\r\n')).toHaveLength(3);
  expect(text.includes('Content-Length: 5')).toBe(fields.includes('Content-Length'));
});

test('a 204 or 304 with content behind it does not spill into the next answer', async () => {
  const upstream = await startRawUpstream(async (peer, index) => {
    await heads(peer, 1);
    if (index === 0)
      peer.write(
        'HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad',
      );
    else peer.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood');
  });
  const { port } = await startApi(upstream.url);
  const client = await dial(port, get('/1'));
  await client.until('\r\n\r\n');
  client.write(get('/2', 'Connection: close'));
  expect(await client.end()).toMatch(/\r\n\r\ngood$/);
});

test.each([
  [
    'both a length and chunked',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'],
  ['a coding besides chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n'],
  ['a bare CR', 'HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n'],
])('an answer with %s is refused', async (_, answer) => {
  const text = await answered(answer);
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(text).code).toBe('upstream-protocol');
});

test('a reason phrase that is not Latin-1 harms nothing', async () => {
  const upstream = await startScriptedUpstream(Buffer.from('HTTP/1.1 200 好的\r\nContent-Length: 2\r\n\r\nok'));
  const { port } = await startApi(upstream.url);
  expect(await (await dial(port, get('/', 'Connection: close'))).end()).toMatch(/^HTTP\/1\.1 200 .*\r\n\r\nok$/s);
});

test('field values with bytes beyond ASCII pass byte for byte, both ways', async () => {
  const value = Buffer.from('\xc3\xa4\xff', 'latin1').toString('latin1');
  const upstream = await startScriptedUpstream(
    Buffer.from(`HTTP/1.1 200 OK\r\nX-A: ${value}\r\nContent-Length: 2\r\n\r\nok`, 'latin1'),
  );
  const { port } = await startApi(upstream.url);
  const client = await dial(port, get('/', `X-B: ${value}`, 'Connection: close'));
  expect(await client.end()).toContain(`X-A: ${value}\r\n`);
  expect(upstream.connections[0]!.text).toContain(`X-B: ${value}\r\n`);
});

test('interim answers of the upstream do not take the place of the final one', async () => {
  const text = await answered(
    'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  );
  expect(text).toMatch(/HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s);
});

test.each([
  [
    'a body of known length',
    'POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello',
    'POST /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 5\r\n\r\nhello',
  ],
  [
    'an empty body of known length',
    'POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n',
    'POST /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'no body where one is usual',
    'POST /a HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'POST /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'a chunked body',
    'PUT /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    'PUT /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  ],
  [
    'a GET with a body',
    'GET /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello',
    'GET /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 5\r\n\r\nhello',
  ],
  [
    'a DELETE with a body',
    'DELETE /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello',
    'DELETE /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 5\r\n\r\nhello',
  ],
  [
    'OPTIONS',
    'OPTIONS /a HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'OPTIONS /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\n\r\n',
  ],
  [
    'PROPFIND',
    'PROPFIND /a HTTP/1.1\r\nHost: localhost\r\nDepth: 1\r\n\r\n',
    'PROPFIND /a HTTP/1.1\r\nconnection: keep-alive\r\nDepth: 1\r\nX-Api-Key: (token)\r\ncontent-length: 0\r\n\r\n',
  ],
  [
    'an HTTP/1.0 client',
    'POST /a HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok',
    'POST /a HTTP/1.1\r\nconnection: keep-alive\r\nX-Api-Key: (token)\r\ncontent-length: 2\r\n\r\nok',
  ],
])('the upstream sees %s as it was sent', async (_, request, expected) => {
  const text = await seen(request);
  expect(text.replace(/\r\n0\r\n\r\n$/, '')).toBe(expected.replace(/\r\n0\r\n\r\n$/, ''));
});

test('an empty chunked body stays an empty body', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  await client.until('hello');
  expect(upstream.requests[0]!.readableEnded).toBe(true);
});

test('a request body in a coding besides chunked is refused: the upstream would not know of it', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(
    port,
    'PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n0\r\n\r\n',
  );
  expect(problemOf(await client.end()).code).toBe('header-refused');
  expect(upstream.requests).toHaveLength(0);
});

test.each(['TRACE', 'TRACK', 'trace'])('%s is refused', async (method) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const text = await (await dial(port, `${method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)).end();
  expect(text).toMatch(/^HTTP\/1\.1 (405|400) /);
  if (method === 'TRACE') expect(text).toMatch(/^HTTP\/1\.1 405 .*\r\nAllow: GET, /s);
  expect(['method-refused', 'request-malformed']).toContain(problemOf(text).code);
  expect(upstream.requests).toHaveLength(0);
});

test('CONNECT is refused with a word on what to do instead', async () => {
  const { port } = await startApi('http://127.0.0.1:9');
  const text = await (
    await dial(port, 'CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n')
  ).end();
  expect(text).toMatch(/^HTTP\/1\.1 405 /);
  expect(problemOf(text)).toMatchObject({
    code: 'connect-refused',
    detail: expect.stringContaining('target') as string,
  });
});

test('an answer never overtakes the one before it: CONNECT behind a running request cuts the connection', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const client = await dial(port, `${get('/')}CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n`);
  expect(await client.end()).toBe('');
});

test('an answer never overtakes the one before it: an upgrade behind a running request cuts the connection', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const client = await dial(
    port,
    `${get('/')}${get('/ws', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==')}`,
  );
  expect(await client.end()).toBe('');
  await eventually(() => upstream.connections.every(({ closed }) => closed));
});

const EXPECTING = 'POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

test('100 Continue comes once policy said yes, and the upstream sees the body', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(port, EXPECTING);
  await client.until('HTTP/1.1 100 Continue\r\n\r\n');
  expect(client.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  client.write('hello');
  await client.until('HTTP/1.1 200 OK');
  expect(upstream.requests[0]!.headers).toMatchObject({ 'content-length': '5' });
  expect(upstream.requests[0]!.headers.expect).toBeUndefined();
});

test('where policy says no there is no 100, only the refusal', async () => {
  const upstream = await startUpstream();
  const rules = 'rules: [{ id: reading, effect: allow, methods: [GET] }]';
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, { top: [rules] });
  const text = await (await dial(port, EXPECTING)).end();
  expect(text).toMatch(/^HTTP\/1\.1 403 /);
  expect(problemOf(text).code).toBe('policy-denied');
  expect(upstream.requests).toHaveLength(0);
});

test('any other expectation is refused', async () => {
  const { port } = await startApi('http://127.0.0.1:9');
  const text = await (await dial(port, get('/', 'Expect: 200-ok'))).end();
  expect(text).toMatch(/^HTTP\/1\.1 417 /);
  expect(problemOf(text).code).toBe('expectation-refused');
});
