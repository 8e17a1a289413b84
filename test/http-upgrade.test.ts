import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { eventually, startUpstream } from './rig.ts';
import { dial, get, heads, problemOf, startApi, startRawUpstream, startScriptedUpstream } from './http-kit.ts';

const KEY = 'AQIDBAUGBwgJCgsMDQ4PEA==';
const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
];

/** A websocket server as far as the sidecar can tell: it accepts and echoes what follows. */
async function startEcho() {
  const sockets: Socket[] = [];
  const upstream = await startUpstream();
  upstream.server.on('upgrade', (request, socket: Socket, rest: Buffer) => {
    upstream.requests.push(request);
    sockets.push(socket);
    socket.on('error', () => socket.destroy());
    onTestFinished(() => void socket.destroy());
    const accept = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.write(rest);
    socket.pipe(socket);
  });
  return { upstream, sockets, url: `http://127.0.0.1:${upstream.port}` };
}

test('a websocket is joined both ways, with the credential on its handshake', async () => {
  const { upstream, url } = await startEcho();
  const { rig, port, token } = await startApi(url);
  const client = await dial(port, get('/ws?a=1', ...HANDSHAKE, 'X_Api_Key: mine'));
  await client.until('HTTP/1.1 101 Switching Protocols\r\n');
  client.write('ping');
  await client.until('ping');
  const { url: target, headers } = upstream.requests[0]!;
  expect(target).toBe('/ws?a=1');
  expect(headers['x-api-key'] === token).toBe(true);
  expect(headers['x_api_key']).toBeUndefined();
  expect(headers.host).toBe(`127.0.0.1:${upstream.port}`);
  client.socket.end();
  await client.end();
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('decision')[0]).toMatchObject({ result: 'allow', path: '/ws' });
  expect(rig.events('exchange.ended')[0]).toMatchObject({ result: 'allow', status: 101, bytesUp: 4 });
});

test('an upstream that closes its websocket closes the downstream', async () => {
  const { sockets, url } = await startEcho();
  const { port } = await startApi(url);
  const client = await dial(port, get('/ws', ...HANDSHAKE));
  await client.until('101');
  sockets[0]!.end('last words');
  expect(await client.end()).toContain('last words');
});

test('a downstream that vanishes closes the upstream', async () => {
  const { sockets, url } = await startEcho();
  const { port } = await startApi(url);
  const client = await dial(port, get('/ws', ...HANDSHAKE));
  await client.until('101');
  client.socket.resetAndDestroy();
  await eventually(() => sockets[0]!.destroyed);
});

test('bytes behind the handshake reach an upstream that accepts', async () => {
  const { url } = await startEcho();
  const { port } = await startApi(url);
  const client = await dial(port, `${get('/ws', ...HANDSHAKE)}early bytes`);
  await client.until('early bytes');
  expect(client.text.indexOf('101')).toBeLessThan(client.text.indexOf('early bytes'));
});

test.each([
  ['content-length', 'Content-Length: 2\r\n\r\nno'],
  ['chunked', 'Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n'],
])('bytes behind the handshake never reach an upstream that answers otherwise (%s)', async (_, framing) => {
  const upstream = await startScriptedUpstream(`HTTP/1.1 200 OK\r\n${framing}`);
  const { rig, port } = await startApi(upstream.url);
  const smuggled = 'GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const client = await dial(port, `${get('/ws', ...HANDSHAKE)}${smuggled}`);
  await client.until('200 OK');
  const text = await client.end();
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n(2\r\n)?no/s);
  expect(upstream.requests()).toEqual(['GET /ws HTTP/1.1\r\n']);
  expect(upstream.connections[0]!.text).not.toContain('/admin');
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ status: 200, result: 'allow' });
});

test('bytes behind the handshake are held until the 101', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
  });
  const { port } = await startApi(upstream.url);
  const client = await dial(port, `${get('/ws', ...HANDSHAKE)}held`);
  await eventually(() => upstream.requests().length === 1);
  const [peer] = upstream.connections;
  expect(peer!.text.endsWith('\r\n\r\n')).toBe(true);
  peer!.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await peer!.until('held');
  client.socket.destroy();
});

test('an answer instead of a 101 that is cut shows the cut', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  });
  const { rig, port } = await startApi(upstream.url);
  const client = await dial(port, get('/ws', ...HANDSHAKE));
  await client.until('abc');
  upstream.connections[0]!.socket.destroy();
  expect((await client.end()).endsWith('0\r\n\r\n')).toBe(false);
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ status: 403, result: 'error', reason: 'upstream-closed' });
});

test('policy refuses a websocket as it refuses a request', async () => {
  const { upstream, url } = await startEcho();
  const { rig, port } = await startApi(url, { top: ['rules: [{ id: chat, effect: allow, paths: [/chat] }]'] });
  const text = await (await dial(port, get('/ws', ...HANDSHAKE))).end();
  expect(text).toMatch(/^HTTP\/1\.1 403 /);
  expect(problemOf(text).code).toBe('policy-denied');
  expect(upstream.requests).toHaveLength(0);
  expect(rig.events('decision')[0]).toMatchObject({ result: 'deny' });
  const allowed = await dial(port, get('/chat', ...HANDSHAKE));
  await allowed.until('101');
});

test('an upstream that is down is a 502 of ours', async () => {
  const upstream = await startUpstream();
  const { rig, port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  await new Promise((resolve) => upstream.server.close(resolve));
  const text = await (await dial(port, get('/ws', ...HANDSHAKE))).end();
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(text).code).toBe('upstream-unreachable');
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({
    status: 502,
    result: 'error',
    reason: 'upstream-unreachable',
  });
});

test('an upstream that never answers the handshake is a 504 of ours, and is let go', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { rig, port } = await startApi(upstream.url, { service: ['timeouts: { connect: 200ms, headers: 200ms }'] });
  const text = await (await dial(port, get('/ws', ...HANDSHAKE))).end();
  expect(text).toMatch(/^HTTP\/1\.1 504 /);
  expect(problemOf(text).code).toBe('upstream-timeout');
  await upstream.connections[0]!.end();
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ status: 504, result: 'error' });
});

test('a websocket on which nobody speaks ends with its idle time', async () => {
  const { sockets, url } = await startEcho();
  const { port } = await startApi(url, { service: ['timeouts: { idle: 300ms }'] });
  const client = await dial(port, get('/ws', ...HANDSHAKE));
  await client.until('101');
  await client.end();
  await eventually(() => sockets[0]!.destroyed);
});

test.each([
  ['h2c', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']],
  ['something unknown', ['Connection: Upgrade', 'Upgrade: frobnicate/2']],
])('an upgrade to %s is treated as a plain request', async (_, fields) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const text = await (await dial(port, get('/1', ...fields))).end();
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n/s);
  expect(upstream.requests.map(({ url }) => url)).toEqual(['/1']);
  expect(upstream.requests[0]!.headers.upgrade).toBeUndefined();
  expect(upstream.requests[0]!.headers['http2-settings']).toBeUndefined();
});

test('the body of a request with an ignored upgrade reaches the upstream', async () => {
  const received: string[] = [];
  const upstream = await startUpstream((request, response) => {
    request.on('data', (chunk: Buffer) => received.push(chunk.toString()));
    request.on('end', () => response.end());
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(
    port,
    'POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello',
  );
  await client.end();
  expect(received.join('')).toBe('hello');
});
