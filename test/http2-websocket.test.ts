import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { heads, startApi, startRawUpstream, startScriptedUpstream } from './http-kit.ts';
import { answerOf, dialHttp2, END_HEADERS, END_STREAM, frame, framesOf } from './http2-kit.ts';
import { literals, openSession, TYPE } from './http2-kit.ts';
import { eventually } from './rig.ts';

/** WebSockets of either HTTP to an upstream that has them by HTTP/1.1. */

async function startEcho() {
  const seen: { headers: Record<string, unknown>; url: string | undefined }[] = [];
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'chat' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket, { headers, url }) => {
    seen.push({ headers, url });
    socket.on('error', () => undefined);
    socket.on('message', (message, binary) => socket.send(message, { binary }));
  });
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, server };
}

/** A masked text frame (RFC 6455 section 5.2). */
function textFrame(text: string): Buffer {
  const mask = randomBytes(4);
  const payload = Buffer.from(text).map((byte, at) => byte ^ mask[at % 4]!);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload]);
}

async function extendedConnect(session: ClientHttp2Session, fields = {}) {
  if (session.remoteSettings.enableConnectProtocol !== true) {
    await new Promise((resolve) => session.once('remoteSettings', resolve));
  }
  return session.request(
    { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws?a=1', 'sec-websocket-version': '13', ...fields },
    { endStream: false },
  );
}

function headOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
  stream.on('error', () => undefined);
  return new Promise((resolve) => stream.once('response', resolve));
}

test('the client of `ws` talks through an upgrade', async () => {
  const { url, seen } = await startEcho();
  const { port, token } = await startApi(url);
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, ['chat']);
  const messages: string[] = [];
  socket.on('message', (message: Buffer) => messages.push(message.toString()));
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send('hello');
  socket.send('a'.repeat(100_000));
  await eventually(() => messages.length === 2);
  expect(messages[0]).toBe('hello');
  expect(seen[0]!.headers['x-api-key'] === token).toBe(true);
  socket.close();
  await new Promise((resolve) => socket.once('close', resolve));
});

test('an extended CONNECT is an upgrade upstream, with the credential and a key of its own', async () => {
  const { url, seen, server } = await startEcho();
  const { port, token, rig } = await startApi(url);
  const session = openSession(port);
  const stream = await extendedConnect(session, { 'sec-websocket-protocol': 'chat', 'sec-websocket-key': 'bWluZQ==' });
  const head = await headOf(stream);
  expect(head).toMatchObject({ ':status': 200, 'sec-websocket-protocol': 'chat' });
  for (const name of ['sec-websocket-accept', 'upgrade', 'connection']) expect(head[name]).toBeUndefined();
  const got: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => got.push(chunk));
  stream.write(textFrame('hello'));
  await eventually(() => Buffer.concat(got).equals(Buffer.from('\x81\x05hello', 'latin1')));
  expect(seen[0]!.url).toBe('/ws?a=1');
  expect(seen[0]!.headers['x-api-key'] === token).toBe(true);
  expect(seen[0]!.headers['sec-websocket-key']).not.toBe('bWluZQ==');
  stream.end();
  await eventually(() => server.clients.size === 0);
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('decision')[0]).toMatchObject({ result: 'allow', path: '/ws', method: 'GET' });
  expect(rig.events('exchange.ended')[0]).toMatchObject({ result: 'allow', status: 101, bytesUp: 11, bytesDown: 7 });
});

test('an upstream that closes its websocket ends the stream, and the connection lives', async () => {
  const { url, server } = await startEcho();
  const { port } = await startApi(url);
  const session = openSession(port);
  const stream = await extendedConnect(session);
  await headOf(stream);
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.resume();
  for (const client of server.clients) client.terminate();
  await closed;
  expect((await headOf(await extendedConnect(session)))[':status']).toBe(200);
});

test('a stream that is reset closes the upstream', async () => {
  const { url, server } = await startEcho();
  const { port } = await startApi(url);
  const stream = await extendedConnect(openSession(port));
  await headOf(stream);
  await eventually(() => server.clients.size === 1);
  stream.close(8);
  await eventually(() => server.clients.size === 0);
});

test('policy refuses an extended CONNECT as it refuses a request', async () => {
  const { url, seen } = await startEcho();
  const { port } = await startApi(url, { top: ['rules: [{ id: chat, effect: allow, paths: [/chat] }]'] });
  const { status, body } = await answerOf(await extendedConnect(openSession(port)));
  expect(status).toBe(403);
  expect(JSON.parse(body.toString())).toMatchObject({ code: 'policy-denied' });
  expect(seen).toHaveLength(0);
});

test('an answer instead of a websocket is the answer', async () => {
  const upstream = await startScriptedUpstream('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
  const { port, rig } = await startApi(upstream.url);
  const { status, body } = await answerOf(await extendedConnect(openSession(port)));
  expect({ status, body: body.toString() }).toEqual({ status: 401, body: 'no' });
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ status: 401 });
});

test('an upstream that does not prove its handshake is not joined', async () => {
  const upstream = await startScriptedUpstream(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n',
  );
  const { port } = await startApi(upstream.url);
  const { status, body } = await answerOf(await extendedConnect(openSession(port)));
  expect(status).toBe(502);
  expect(JSON.parse(body.toString())).toMatchObject({ code: 'upstream-protocol' });
});

test('an answer instead of a websocket that is cut never has END_STREAM', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
    setTimeout(() => peer.socket.destroy(), 50);
  });
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  const fields = literals([
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    [':scheme', 'http'],
    [':authority', 'localhost'],
    [':path', '/ws'],
    ['sec-websocket-version', '13'],
  ]);
  peer.write(frame(TYPE.headers, END_HEADERS, 1, fields));
  await eventually(() => framesOf(peer.content).some(({ type }) => type === TYPE.reset));
  const frames = framesOf(peer.content);
  expect(frames.filter(({ type }) => type === TYPE.headers)).toHaveLength(1);
  expect(frames.filter(({ type, flags }) => type <= TYPE.headers && (flags & END_STREAM) !== 0)).toEqual([]);
  peer.socket.destroy();
});
