import { expect, onTestFinished, test } from 'vitest';
import { eventually, startUpstream } from './rig.ts';
import {
  dial,
  get,
  heads,
  problemOf,
  send,
  startApi,
  startRawUpstream,
  startScriptedUpstream,
  type Peer,
} from './http-kit.ts';

/** Milliseconds until the connection is closed. */
async function untilClosed(peer: Peer): Promise<number> {
  const begun = performance.now();
  await peer.end();
  return performance.now() - begun;
}

test('a head that drips in byte by byte dies within its time and a second', async () => {
  const { port } = await startApi('http://127.0.0.1:9', { top: ['limits: { header: 400ms, drain: 2s }'] });
  const client = await dial(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: ');
  const drip = setInterval(() => client.socket.writable && client.write('a'), 50);
  onTestFinished(() => clearInterval(drip));
  expect(await untilClosed(client)).toBeLessThan(1400);
  expect(client.text).toMatch(/^HTTP\/1\.1 408 /);
  expect(problemOf(client.text).code).toBe('request-timeout');
});

test('the head of a later request on a connection has the same time', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { header: 400ms, drain: 2s }'],
  });
  const client = await dial(port, get('/'));
  await client.until('hello');
  client.write('GET / HTTP/1.1\r\nHost: loc');
  expect(await untilClosed(client)).toBeLessThan(1400);
});

test('a connection that never says anything is closed', async () => {
  const { port } = await startApi('http://127.0.0.1:9', { top: ['limits: { keepAlive: 300ms, drain: 2s }'] });
  const client = await dial(port);
  expect(await untilClosed(client)).toBeLessThan(1300);
  expect(client.text).toBe('');
});

test('a connection that rests between exchanges is closed', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { keepAlive: 300ms, drain: 2s }'],
  });
  const client = await dial(port, get('/'));
  await client.until('hello');
  expect(await untilClosed(client)).toBeLessThan(3000);
});

test('an upload that stops half-way ends with 408', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { rig, port } = await startApi(upstream.url, { service: ['timeouts: { idle: 300ms }'] });
  const client = await dial(port, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello');
  const text = await client.end();
  expect(text).toMatch(/^HTTP\/1\.1 408 /);
  expect(problemOf(text).code).toBe('request-timeout');
  await upstream.connections[0]!.end();
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ reason: 'request-timeout', status: 408 });
});

test('an answer that stops half-way is cut once the idle time is over', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  });
  const { rig, port } = await startApi(upstream.url, { service: ['timeouts: { idle: 300ms }'] });
  const client = await dial(port, get('/'));
  await client.until('abc');
  expect((await client.end()).endsWith('0\r\n\r\n')).toBe(false);
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ reason: 'upstream-timeout', status: 200 });
});

test.each([
  ['without a body', {}],
  ['with a body of known length', { method: 'POST', body: Buffer.from('hello') }],
  ['with a chunked body', { method: 'POST', body: [Buffer.from('hello')] }],
])('an upstream that does not answer a request %s is a 504', async (_, request) => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url, { service: ['timeouts: { headers: 300ms }'] });
  const { message, body } = await send(port, request);
  expect(message.statusCode).toBe(504);
  expect(JSON.parse(String(body))).toMatchObject({ code: 'upstream-timeout' });
  await upstream.connections[0]!.end();
});

test('an upstream that does not finish the TLS handshake in time is a 502', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const target = `https://127.0.0.1:${upstream.port}`;
  const { port } = await startApi(target, { service: ['timeouts: { connect: 300ms }'] });
  const { message, body } = await send(port);
  expect(message.statusCode).toBe(502);
  expect(JSON.parse(String(body))).toMatchObject({ code: 'upstream-unreachable' });
  await upstream.connections[0]!.end();
});

test.each([
  ['of known length', 'Content-Length: 11\r\n\r\nhello world'],
  ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'],
])('a body %s over the limit is a 413', async (_, body) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, { service: ['limits: { body: 10 }'] });
  const client = await dial(port, `POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${body}`);
  const text = await client.end();
  expect(text).toMatch(/^HTTP\/1\.1 413 /);
  expect(problemOf(text).code).toBe('body-too-large');
});

test.each([
  ['of known length', 'Content-Length: 10\r\n\r\nhelloworld'],
  ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n'],
])('a body %s at the limit passes', async (_, body) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, { service: ['limits: { body: 10 }'] });
  const client = await dial(port, `POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${body}`);
  expect(await client.end()).toMatch(/^HTTP\/1\.1 200 /);
});

test.each([2_000, 400_000])('a header section over the limit is a 431 that arrives (%i bytes)', async (bytes) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { headerBytes: 1KiB, drain: 2s }'],
  });
  const text = await (await dial(port, get('/', `X-A: ${'a'.repeat(bytes)}`))).end();
  expect(text).toMatch(/^HTTP\/1\.1 431 /);
  expect(problemOf(text).code).toBe('headers-too-large');
  expect(upstream.requests).toHaveLength(0);
});

test('a response head over the limit is a 502', async () => {
  const upstream = await startScriptedUpstream(
    `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(3000)}\r\nContent-Length: 0\r\n\r\n`,
  );
  const { port } = await startApi(upstream.url, { top: ['limits: { headerBytes: 1KiB, drain: 2s }'] });
  const { message, body } = await send(port);
  expect(message.statusCode).toBe(502);
  expect(JSON.parse(String(body))).toMatchObject({ code: 'upstream-protocol' });
});

test('connections over the limit get a 503, and a place once one is free', async () => {
  const upstream = await startUpstream();
  const { rig, port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { connections: 2, drain: 2s }'],
  });
  const held = [await dial(port), await dial(port)];
  await eventually(() => rig.sidecar.status().listeners[0]!.connections === 2);
  const text = await (await dial(port, get('/'))).end();
  expect(text).toMatch(/^HTTP\/1\.1 503 /);
  expect(problemOf(text).code).toBe('connections-exhausted');
  held[0]!.socket.destroy();
  await eventually(() => rig.sidecar.status().listeners[0]!.connections === 1);
  expect((await send(port)).message.statusCode).toBe(200);
});

test('a flood of pipelined requests costs a bounded number of upstream requests', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const client = await dial(port, get('/flood').repeat(1000));
  await client.end();
  expect(upstream.requests().length).toBeLessThanOrEqual(32);
  await eventually(() => upstream.connections.every(({ closed }) => closed));
});

test('a handful of pipelined requests is answered in order', async () => {
  const upstream = await startUpstream((request, response) => {
    // The first is the slowest.
    setTimeout(() => response.end(request.url), request.url === '/0' ? 50 : 0);
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const requests = Array.from({ length: 10 }, (_, at) => get(`/${at}`, ...(at === 9 ? ['Connection: close'] : [])));
  const text = await (await dial(port, requests.join(''))).end();
  expect([...text.matchAll(/\r\n\r\n(\/\d)/g)].map(([, path]) => path).join('')).toBe('/0/1/2/3/4/5/6/7/8/9');
});

test('nothing is left behind: connections and timers are as many as before', async () => {
  const upstream = await startUpstream();
  const { rig, port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    service: ['timeouts: { headers: 5s, idle: 5s }'],
  });
  const round = async (): Promise<void> => {
    await send(port);
    await send(port, { method: 'POST', body: [Buffer.from('hello')] });
    await (await dial(port, get('/', 'Transfer-Encoding: bogus'))).end();
    await (await dial(port, 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')).end();
    (await dial(port, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhello')).socket.destroy();
    await eventually(() => rig.sidecar.status().listeners[0]!.connections === 0);
  };
  await round();
  await round();
  const resources = () => process.getActiveResourcesInfo().filter((name) => /Timeout|TCP/.test(name)).length;
  const before = resources();
  for (let at = 0; at < 20; at += 1) await round();
  await eventually(() => resources() <= before + 3, 'no more timers and sockets than before');
});
