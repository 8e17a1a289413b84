import { createServer, type IncomingMessage } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { dial, get, startApi, startRawUpstream, heads, problemOf } from './http-kit.ts';
import { answerOf, askHttp2, dialHttp2, END_HEADERS, END_STREAM, frame, framesOf } from './http2-kit.ts';
import { literals, openSession, TYPE } from './http2-kit.ts';
import { eventually, startUpstream } from './rig.ts';

/** Agents that speak HTTP/2, with prior knowledge, before an upstream of HTTP/1.1. */

test('requests of one connection are exchanges like any other', async () => {
  const upstream = await startUpstream();
  const { port, token, rig } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const session = openSession(port);
  const fields = { ':path': '/a?b=1', 'x-api-key': 'mine', te: 'trailers', 'x-more': ['1', '2'] };
  const answer = await askHttp2(session, fields);
  expect(answer).toMatchObject({ status: 200, body: Buffer.from('hello') });
  const [request] = upstream.requests;
  expect(request!.url).toBe('/a?b=1');
  expect(request!.headers['x-api-key'] === token).toBe(true);
  expect(request!.headers).toMatchObject({ host: `127.0.0.1:${upstream.port}`, 'x-more': '1, 2' });
  expect(request!.headers.te).toBeUndefined();
  await askHttp2(session, { ':method': 'POST' }, Buffer.alloc(300_000));
  expect(upstream.requests[1]!.headers['transfer-encoding']).toBe('chunked');
  session.close();
  await eventually(() => rig.events('connection.closed').length === 1);
  expect(rig.events('connection.closed')[0]).toMatchObject({ exchanges: 2, bytesUp: 300_000, bytesDown: 10 });
  const ids = rig.events('exchange.ended').map(({ id }) => String(id).split('-'));
  expect(ids.map(([, number]) => number)).toEqual(['1', '2']);
  expect(new Set(ids.map(([connection]) => connection)).size).toBe(1);
});

test('a hundred exchanges at a time get each its own answer', async () => {
  const upstream = await startUpstream((request, response) => {
    setTimeout(() => response.end(request.url), Math.random() * 50);
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const session = openSession(port);
  await askHttp2(session);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, at) => askHttp2(session, { ':path': `/${at}` })));
  expect(answers.map(({ body }) => body.toString())).toEqual(answers.map((_, at) => `/${at}`));
});

test('lengths, trailers, hints, and answers without a body come as they are', async () => {
  const upstream = await startUpstream((request, response) => {
    if (request.url === '/trailers') {
      response.writeHead(200, { trailer: 'x-sum', connection: 'x-own', 'x-own': '1' });
      response.write('part');
      response.addTrailers({ 'x-sum': 'abc' });
      response.end();
    } else if (request.url === '/hints') {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('after');
    } else if (request.url === '/empty') response.writeHead(304, { etag: '"1"' }).end();
    else response.writeHead(200, { 'content-length': 5, 'set-cookie': ['a=1', 'b=2'] }).end('hello');
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const session = openSession(port);
  const trailers = await askHttp2(session, { ':path': '/trailers' });
  expect(trailers).toMatchObject({ status: 200, body: Buffer.from('part'), trailers: { 'x-sum': 'abc' } });
  for (const name of ['connection', 'x-own', 'keep-alive', 'transfer-encoding']) {
    expect(trailers.headers[name]).toBeUndefined();
  }
  const hints = await askHttp2(session, { ':path': '/hints' });
  expect(hints.interim).toMatchObject([{ ':status': 103, link: '</style.css>; rel=preload' }]);
  expect(hints.body.toString()).toBe('after');
  expect(await askHttp2(session, { ':path': '/empty' })).toMatchObject({ status: 304, headers: { etag: '"1"' } });
  const head = await askHttp2(session, { ':method': 'HEAD' });
  expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0), headers: { 'content-length': '5' } });
  const whole = await askHttp2(session);
  expect(whole.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(whole.headers['content-length']).toBe('5');
});

test('a body that waits for 100 Continue is asked for once policy said yes', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['rules: [{ id: some, effect: allow, paths: [/yes] }]'],
  });
  const session = openSession(port);
  const fields = { ':method': 'POST', ':path': '/yes', expect: '100-continue' };
  const stream = session.request(fields);
  stream.once('continue', () => stream.end('body'));
  const answer = await answerOf(stream);
  expect(answer.status).toBe(200);
  expect(answer.interim.map((each) => each[':status'])).toEqual([100]);
  const refused = session.request({ ...fields, ':path': '/no' });
  const { status, interim } = await answerOf(refused);
  expect({ status, interim }).toEqual({ status: 403, interim: [] });
  expect(upstream.requests).toHaveLength(1);
});

test('an answer that is cut is a reset, whatever came of it', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
  });
  const { port } = await startApi(upstream.url);
  const stream = openSession(port).request({});
  const over = answerOf(stream);
  await new Promise((resolve) => stream.once('data', resolve));
  upstream.connections[0]!.socket.destroy();
  await expect(over).rejects.toThrow();
});

test('a cut answer never has END_STREAM', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
    setTimeout(() => peer.socket.destroy(), 50);
  });
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  const fields = literals([
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'localhost'],
    [':path', '/'],
  ]);
  peer.write(frame(TYPE.headers, END_HEADERS | END_STREAM, 1, fields));
  await eventually(() => framesOf(peer.content).some(({ type }) => type === TYPE.reset));
  const ended = framesOf(peer.content).filter(({ type, flags }) => type <= TYPE.headers && (flags & END_STREAM) !== 0);
  expect(ended).toEqual([]);
  peer.socket.destroy();
});

test('a stream that the agent gives up is given up upstream', async () => {
  const upstream = await startRawUpstream((peer) => heads(peer, 1));
  const { port, rig } = await startApi(upstream.url);
  const session = openSession(port);
  const stream = session.request({});
  stream.on('error', () => undefined);
  await eventually(() => upstream.requests().length === 1);
  stream.close(8);
  await eventually(() => upstream.connections[0]!.closed || upstream.connections[0]!.ended);
  await eventually(() => rig.events('exchange.ended').length === 1);
});

test('an agent that stops reading holds the upstream, and no memory', async () => {
  let sent = 0;
  const upstream = await startUpstream((_request, response) => {
    const more = (): void => {
      while (sent < 200_000_000) {
        sent += 65_536;
        if (!response.write(Buffer.alloc(65_536))) break;
      }
    };
    response.on('drain', more);
    more();
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const session = openSession(port);
  const stream = session.request({});
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.once('response', resolve));
  stream.pause();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(sent).toBeLessThan(30_000_000);
  const before = sent;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(sent).toBe(before);
  // Another stream of the connection goes on.
  const other = session.request({ ':path': '/other' });
  await new Promise((resolve) => other.once('response', resolve));
  other.on('error', () => undefined);
  session.destroy();
});

test('an upstream that stops reading holds the agent', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.socket.pause();
  });
  const { port } = await startApi(upstream.url);
  const stream = openSession(port).request({ ':method': 'POST' });
  stream.on('error', () => undefined);
  let taken = 0;
  const more = (): void => {
    for (let room = true; room && taken < 100_000_000; taken += 65_536) room = stream.write(Buffer.alloc(65_536));
  };
  stream.on('drain', more);
  more();
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(taken).toBeLessThan(30_000_000);
  stream.destroy();
});

test('an early answer to an upload is whole, and the rest of the upload is not waited for', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
  });
  const { port } = await startApi(upstream.url);
  const stream = openSession(port).request({ ':method': 'POST' });
  stream.write(Buffer.alloc(1000));
  const { status, body } = await answerOf(stream);
  expect({ status, body: body.toString() }).toEqual({ status: 413, body: 'big' });
});

test('a drain lets running streams end, and takes no new ones', async () => {
  const waiting: (() => void)[] = [];
  const upstream = await startUpstream((_request, response) => {
    response.writeHead(200);
    response.write('first ');
    waiting.push(() => response.end('last'));
  });
  const { port, rig } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const session = openSession(port);
  const running = session.request({});
  const over = answerOf(running);
  await eventually(() => waiting.length === 1);
  const left = new Promise<number>((resolve) => session.once('goaway', resolve));
  const drained = rig.sidecar.drain();
  expect(await left).toBe(0);
  waiting[0]!();
  expect((await over).body.toString()).toBe('first last');
  await drained;
});

test('a connection at rest is told to go, and closed', async () => {
  const upstream = await startUpstream();
  const { port, rig } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { drain: 2s, keepAlive: 300ms }'],
  });
  const session = openSession(port);
  const gone = new Promise((resolve) => session.once('goaway', resolve));
  await askHttp2(session);
  await gone;
  await eventually(() => rig.sidecar.status().listeners.every(({ connections }) => connections === 0));
});

test('a request that takes longer to arrive than it may is answered 408', async () => {
  const upstream = await startRawUpstream((peer) => heads(peer, 1));
  const { port } = await startApi(upstream.url, { top: ['limits: { drain: 2s, request: 300ms }'] });
  const stream = openSession(port).request({ ':method': 'POST' });
  stream.write('some of it');
  const { status, body } = await answerOf(stream);
  expect(status).toBe(408);
  expect(JSON.parse(body.toString())).toMatchObject({ code: 'request-timeout' });
});

test('problems are documents here too', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: free } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const { port } = await startApi(`http://127.0.0.1:${free}`);
  const { status, headers, body } = await askHttp2(openSession(port));
  expect(status).toBe(502);
  expect(headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(body.toString())).toMatchObject({ code: 'upstream-unreachable' });
});

test('HTTP/1.1 on the same listener is what it was', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  openSession(port);
  const text = await (await dial(port, get('/', 'Connection: close'))).end();
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  const refused = await (await dial(port, 'CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n')).end();
  expect(problemOf(refused).code).toBe('connect-refused');
});

test('nothing of a connection is left behind it', async () => {
  const seen: IncomingMessage[] = [];
  const upstream = await startUpstream((request, response) => {
    seen.push(request);
    response.end('ok');
  });
  const { port, rig } = await startApi(`http://127.0.0.1:${upstream.port}`);
  for (let round = 0; round < 5; round += 1) {
    const session = openSession(port);
    await askHttp2(session);
    session.destroy();
  }
  await eventually(() => rig.events('connection.closed').length === 5);
  expect(rig.sidecar.status().listeners.every(({ connections }) => connections === 0)).toBe(true);
  onTestFinished(() => undefined);
});
