import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { eventually, startUpstream } from './rig.ts';
import { dial, get, heads, send, startApi, startRawUpstream } from './http-kit.ts';

const MIB = 1024 * 1024;
/** What kernel buffers and streams of both sides may hold of a body that nobody reads. */
const IN_FLIGHT_BYTES_MAX = 24 * MIB;

/** 64 MiB that are cheap to make and whose order shows in the hash. */
function blocks(): Buffer[] {
  const block = randomBytes(MIB);
  return Array.from({ length: 64 }, (_, at) => Buffer.concat([Buffer.from([at]), block.subarray(1)]));
}

function hashOf(chunks: Iterable<Uint8Array>): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

async function writeAll(response: ServerResponse, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) if (!response.write(chunk)) await once(response, 'drain');
  response.end();
}

test('64 MiB flow down byte for byte', async () => {
  const body = blocks();
  const upstream = await startUpstream((_, response) => void writeAll(response, body));
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const { body: received } = await send(port);
  expect(received.length).toBe(64 * MIB);
  expect(hashOf([received])).toBe(hashOf(body));
});

test.each(['content-length', 'chunked'])('64 MiB flow up byte for byte (%s)', async (framing) => {
  const body = blocks();
  const upstream = await startUpstream((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(hash.digest('hex')));
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const sent = await send(port, { method: 'PUT', body: framing === 'chunked' ? body : Buffer.concat(body) });
  expect(sent.body.toString()).toBe(hashOf(body));
  const framed = upstream.requests[0]!.headers;
  expect(framed['content-length']).toBe(framing === 'chunked' ? undefined : String(64 * MIB));
  expect(framed['transfer-encoding']).toBe(framing === 'chunked' ? 'chunked' : undefined);
});

test('a reader that stops reading pauses the upstream, and gets the rest when it reads on', async () => {
  let written = 0;
  const total = 96 * MIB;
  const block = Buffer.alloc(256 * 1024, 'x');
  const upstream = await startUpstream((_, response) => {
    const fill = (): void => {
      while (written < total) {
        written += block.length;
        if (!response.write(block)) return void response.once('drain', fill);
      }
      response.end();
    };
    fill();
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(port, get('/', 'Connection: close'));
  await client.until('\r\n\r\n');
  client.socket.pause();
  const stood = await standsStill(() => written);
  expect(stood).toBeLessThan(IN_FLIGHT_BYTES_MAX);
  client.socket.resume();
  const received = await client.end();
  expect(written).toBe(total);
  expect(received.endsWith('\r\n0\r\n\r\n')).toBe(true);
});

test('an upstream that stops reading pauses the upload, and gets the rest when it reads on', async () => {
  const total = 96 * MIB;
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.socket.pause();
  });
  const { port } = await startApi(upstream.url);
  const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${total}\r\n\r\n`);
  const block = Buffer.alloc(256 * 1024, 'y');
  let written = 0;
  const fill = (): void => {
    while (written < total) {
      written += block.length;
      if (!client.socket.write(block)) return void client.socket.once('drain', fill);
    }
  };
  fill();
  const stood = await standsStill(() => written);
  expect(stood).toBeLessThan(IN_FLIGHT_BYTES_MAX);
  const peer = upstream.connections[0]!;
  peer.socket.resume();
  await peer.untilBytes(total);
  peer.write('HTTP/1.1 204 No Content\r\n\r\n');
  await client.until('204');
});

/** The value once it has not moved for a while. */
async function standsStill(value: () => number): Promise<number> {
  let last = -1;
  let since = performance.now();
  await eventually(() => {
    if (value() !== last) [last, since] = [value(), performance.now()];
    return performance.now() - since > 400;
  }, 'a pause');
  return last;
}

test('an event stream arrives event by event, its head before the first', async () => {
  let response!: ServerResponse;
  const upstream = await startUpstream((_, streaming) => {
    response = streaming;
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  });
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const client = await dial(port, get('/events'));
  await client.until('text/event-stream\r\n');
  for (const event of ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']) {
    expect(client.text).not.toContain(event);
    response.write(event);
    await client.until(event);
  }
  response.end();
  await client.until('\r\n0\r\n\r\n');
});

test('bytes of an upload reach the upstream before the next are sent', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const client = await dial(
    port,
    'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n',
  );
  await eventually(() => upstream.connections.length === 1);
  await upstream.connections[0]!.until('first');
  client.write('6\r\nsecond\r\n0\r\n\r\n');
  await upstream.connections[0]!.until('second');
  upstream.connections[0]!.write('HTTP/1.1 204 No Content\r\n\r\n');
  await client.until('204');
});

test('a client that leaves while the answer streams ends the upstream request', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
  });
  const { rig, port } = await startApi(upstream.url);
  const client = await dial(port, get('/'));
  await client.until('abc');
  client.socket.destroy();
  await upstream.connections[0]!.end();
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ result: 'error', status: 200 });
});

test('a client that leaves before the head of the answer ends the upstream request', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const client = await dial(port, get('/'));
  await eventually(() => upstream.requests().length === 1);
  client.socket.destroy();
  await upstream.connections[0]!.end();
});

test.each([
  ['content-length', 'Content-Length: 10'],
  ['chunked', 'Transfer-Encoding: chunked'],
])(
  'a client that leaves mid-upload leaves the upstream a cut body, never a whole shorter one (%s)',
  async (_, framing) => {
    const upstream = await startRawUpstream(() => undefined);
    const { port } = await startApi(upstream.url);
    const part = framing.startsWith('T') ? '5\r\nhello\r\n' : 'hello';
    const client = await dial(port, `POST / HTTP/1.1\r\nHost: localhost\r\n${framing}\r\n\r\n${part}`);
    await eventually(() => upstream.connections.length === 1);
    await upstream.connections[0]!.until('hello');
    client.socket.destroy();
    const seen = await upstream.connections[0]!.end();
    expect(seen.trimEnd().endsWith('hello')).toBe(true);
  },
);

test.each([
  ['chunked', 'HTTP/1.1', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['content-length', 'HTTP/1.1', 'Content-Length: 10\r\n\r\nabc'],
  ['content-length to an HTTP/1.0 client', 'HTTP/1.0', 'Content-Length: 10\r\n\r\nabc'],
  ['chunked to an HTTP/1.0 client', 'HTTP/1.0', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
])('an upstream that dies mid-body leaves a body that shows the cut (%s)', async (_, version, framing) => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write(`HTTP/1.1 200 OK\r\n${framing}`);
  });
  const { rig, port } = await startApi(upstream.url);
  const client = await dial(port, `GET / ${version}\r\nHost: localhost\r\n\r\n`);
  await client.until('abc');
  upstream.connections[0]!.socket.destroy();
  const text = await client.end();
  expect(text.endsWith('\r\n0\r\n\r\n')).toBe(false);
  // Where the end of the connection is the end of the body, only a reset tells a cut from a whole one.
  if (!/content-length/i.test(text) && version === 'HTTP/1.0') expect(client.errorCode).toBe('ECONNRESET');
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ result: 'error', reason: 'upstream-closed' });
});

test('an early answer to a running upload arrives whole, and the connection closes', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large');
    peer.socket.end();
  });
  const { rig, port } = await startApi(upstream.url);
  const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${8 * MIB}\r\n\r\n`);
  const block = Buffer.alloc(64 * 1024);
  const upload = (): void => {
    while (client.socket.writable && client.socket.write(block));
    if (client.socket.writable) client.socket.once('drain', upload);
  };
  upload();
  await client.until('too large');
  const text = await client.end();
  expect(text).toMatch(/^HTTP\/1\.1 413 .*\r\nconnection: close\r\n/is);
  await eventually(() => rig.events('exchange.ended').length === 1);
  expect(rig.events('exchange.ended')[0]).toMatchObject({ status: 413, result: 'allow' });
});

test('a client that leaves mid-upload while the credential is fetched harms nobody', async () => {
  const upstream = await startUpstream();
  const slow = '{ from: exec, get: "sleep 1" }';
  const { rig, port } = await startApi(`http://127.0.0.1:${upstream.port}`, { credential: slow });
  const client = await dial(port, 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello');
  await eventually(() => rig.sidecar.status().listeners[0]!.connections === 1);
  client.socket.destroy();
  await eventually(() => rig.sidecar.status().listeners[0]!.connections === 0);
  expect(upstream.requests).toHaveLength(0);
  const { message, body } = await send(port);
  expect(message.statusCode).toBe(503);
  expect(String(body)).toContain('"code":"credential-');
});
