import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Begun, ChangedBody, HttpService } from '../src/connector/connector.ts';
import { SidecarError } from '../src/error.ts';
import { startProbe } from './http-connector-kit.ts';
import { dial, heads, send, startRawUpstream } from './http-kit.ts';
import { ask, eventually, startUpstream } from './rig.ts';

const KIB = 1024;
const MIB = KIB * KIB;

/** A sidecar whose connector changes each body as `changed` says. */
function startChanging(port: number, changed: () => ChangedBody, more: Partial<Begun> = {}) {
  const authenticate: HttpService['authenticate'] = (head) => ({ head, body: changed() });
  return startProbe({
    authenticate,
    begin: ({ head }) => ({
      head,
      origin: { scheme: 'http', host: '127.0.0.1', port },
      credentialed: true,
      authenticate,
      ...more,
    }),
  });
}

function startEcho() {
  return startUpstream((request, response) => {
    const hash = createHash('sha256');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`));
  });
}

/** Each byte turned over. */
async function* turned(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield chunk.map((byte) => byte ^ 0xff);
}

function echoOf(body: Uint8Array): string {
  return `${body.length} ${createHash('sha256').update(body).digest('hex')}`;
}

describe('a body that is changed on its way', () => {
  const body = randomBytes(3 * MIB + 1);

  test.each([
    ['of known length', body.length, body],
    ['of unknown length', undefined, body],
    ['of known length, sent in chunks', body.length, [body.subarray(0, 100), body.subarray(100)]],
    ['of unknown length, sent in chunks', undefined, [body.subarray(0, 100), body.subarray(100)]],
  ])('%s arrives whole, framed as announced', async (_, bytes, sent) => {
    const upstream = await startEcho();
    const { port } = await startChanging(upstream.port, () => ({ bytes, transform: turned }));
    const answer = await send(port, { method: 'PUT', body: sent });
    expect(answer.body.toString()).toBe(echoOf(body.map((byte) => byte ^ 0xff)));
    const { headers } = upstream.requests[0]!;
    expect(headers['content-length']).toBe(bytes === undefined ? undefined : String(bytes));
    expect(headers['transfer-encoding']).toBe(bytes === undefined ? 'chunked' : undefined);
  });

  test('may be given to a request that had none', async () => {
    const upstream = await startEcho();
    const added = Buffer.from('added');
    const transform = async function* (given: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of given) throw new Error(`there is a chunk of ${chunk.length} bytes`);
      yield added;
    };
    for (const bytes of [added.length, undefined]) {
      const { port } = await startChanging(upstream.port, () => ({ bytes, transform }));
      expect((await ask(port, 'POST /')).body).toContain(echoOf(added));
    }
  });

  test('may be one that was held to be hashed', async () => {
    const upstream = await startEcho();
    const { port } = await startChanging(upstream.port, () => ({ bytes: undefined, transform: turned }), {
      body: () => ({ digest: { memory: 10, disk: 8 * MIB } }),
    });
    const answer = await send(port, { method: 'PUT', body });
    expect(answer.body.toString()).toBe(echoOf(body.map((byte) => byte ^ 0xff)));
  });
});

describe('a transform that refuses', () => {
  async function* refusing(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) yield chunk;
    throw new SidecarError('body-malformed', { detail: 'only the end shows it' });
  }

  test.each([
    ['of known length', 10],
    ['of unknown length', undefined],
  ])('after the last byte (%s) leaves the upstream a cut body and tells the downstream why', async (_, bytes) => {
    const upstream = await startRawUpstream(async (peer) => heads(peer, 1));
    const { port, events } = await startChanging(upstream.port, () => ({ bytes, transform: refusing }));
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n');
    client.write('01234');
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.write('56789');
    await client.until('body-malformed');
    expect(client.text).toContain('HTTP/1.1 400');
    client.socket.destroy();
    await eventually(() => upstream.connections.every(({ closed }) => closed), 'a cut');
    const [peer] = upstream.connections;
    const sent = peer!.text.slice(peer!.text.indexOf('\r\n\r\n') + 4);
    expect(sent).not.toContain('\r\n0\r\n');
    if (bytes !== undefined) expect(sent.length).toBeLessThan(bytes);
    await eventually(() => events('exchange.ended').length === 1);
    expect(events('exchange.ended')).toMatchObject([{ result: 'error', reason: 'body-malformed' }]);
  });

  test.each([
    ['more', 9],
    ['less', 11],
  ])('by sending %s bytes than announced has its body cut', async (_, bytes) => {
    const upstream = await startRawUpstream(async (peer) => heads(peer, 1));
    const { port } = await startChanging(upstream.port, () => ({ bytes, transform: (body) => body }));
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789');
    await client.until('body-malformed');
    client.socket.destroy();
    await eventually(() => upstream.connections.every(({ closed }) => closed), 'a cut');
    const text = upstream.connections.map((peer) => peer.text).join('');
    if (text !== '') expect(text.slice(text.indexOf('\r\n\r\n') + 4).length).toBeLessThan(bytes);
  });

  test('with an error that is none of ours is an internal fault, not the upstream’s', async () => {
    const upstream = await startEcho();
    const transform = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) yield chunk.subarray(0, 1);
      throw new TypeError('a bug');
    };
    const { port } = await startChanging(upstream.port, () => ({ bytes: undefined, transform }));
    const answer = await send(port, { method: 'PUT', body: Buffer.from('xyz') });
    expect(answer.message.statusCode).toBe(500);
  });

  test('finds the next exchange on a fresh connection', async () => {
    const upstream = await startEcho();
    let bad = true;
    const { port } = await startChanging(upstream.port, () => ({ bytes: 3, transform: bad ? refusing : turned }));
    expect((await send(port, { method: 'PUT', body: Buffer.from('abc') })).message.statusCode).toBe(400);
    bad = false;
    expect((await send(port, { method: 'PUT', body: Buffer.from('abc') })).message.statusCode).toBe(200);
  });
});

describe('an exchange that ends early', () => {
  /** A transform that tells whether it was let clean up. */
  function watched() {
    const seen = { chunks: 0, cleaned: false };
    const transform = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      try {
        for await (const chunk of body) {
          seen.chunks += 1;
          yield chunk;
        }
      } finally {
        seen.cleaned = true;
      }
    };
    return { seen, changed: (): ChangedBody => ({ bytes: undefined, transform }) };
  }

  test('because the downstream went away lets the transform clean up', async () => {
    const upstream = await startRawUpstream(async (peer) => heads(peer, 1));
    const { seen, changed } = watched();
    const { port } = await startChanging(upstream.port, changed);
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nxx');
    await eventually(() => seen.chunks === 1, 'a chunk');
    client.socket.destroy();
    await eventually(() => seen.cleaned, 'the end of the transform');
    await eventually(() => upstream.connections.every(({ closed }) => closed), 'a cut');
    expect(upstream.connections[0]!.text).not.toContain('\r\n0\r\n');
  });

  test('because the upstream went away while it did not read, too', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.socket.pause();
    });
    const { seen, changed } = watched();
    const { port } = await startChanging(upstream.port, changed);
    const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
    const fed = Buffer.alloc(16 * MIB);
    client.write(fed);
    let before = -1;
    await eventually(async () => {
      const still = before === seen.chunks && seen.chunks > 0;
      before = seen.chunks;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return still;
    }, 'an upload that stands still');
    expect(seen.cleaned).toBe(false);
    upstream.connections[0]!.socket.destroy();
    await client.until('HTTP/1.1 502');
    await eventually(() => seen.cleaned, 'the end of the transform');
  });

  test('because the upstream went away stops the downstream and lets the transform clean up', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await peer.untilBytes(100_000);
      peer.socket.destroy();
    });
    const { seen, changed } = watched();
    const { port } = await startChanging(upstream.port, changed);
    const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${MIB}\r\n\r\n`);
    client.write(Buffer.alloc(512 * KIB));
    await client.until('HTTP/1.1 502');
    await eventually(() => seen.cleaned, 'the end of the transform');
  });

  test('because the upstream answered early passes that answer on', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await peer.untilBytes(1000);
      peer.write('HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n');
    });
    const { seen, changed } = watched();
    const { port } = await startChanging(upstream.port, changed);
    const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${MIB}\r\n\r\n`);
    client.write(Buffer.alloc(64 * KIB));
    await client.until('HTTP/1.1 409');
    await eventually(() => seen.cleaned, 'the end of the transform');
  });
});

test('an early answer to a body that grew on its way lets the transform clean up', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.socket.pause();
    setTimeout(() => peer.write('HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n'), 200);
  });
  const seen = { yielded: 0, cleaned: false };
  const transform = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        // All has arrived, so nothing of the downstream could end this.
        for (; seen.yielded < 10_000; seen.yielded += 1) yield Buffer.alloc(64 * KIB, chunk);
      }
    } finally {
      seen.cleaned = true;
    }
  };
  const { port } = await startChanging(upstream.port, () => ({ bytes: undefined, transform }));
  expect((await send(port, { method: 'PUT', body: Buffer.from('small') })).message.statusCode).toBe(409);
  await eventually(() => seen.cleaned, 'the end of the transform');
  expect(seen.yielded).toBeLessThan(10_000);
});

test('a transform that waits for something else is told of the end all the same', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await peer.untilBytes(200);
    peer.socket.destroy();
  });
  let returned = 0;
  const iterator: AsyncIterator<Uint8Array> & { given: boolean } = {
    given: false,
    next() {
      if (this.given) return new Promise(() => undefined);
      this.given = true;
      return Promise.resolve({ done: false, value: Buffer.alloc(1000) });
    },
    return: () => {
      returned += 1;
      return Promise.resolve({ done: true, value: undefined });
    },
  };
  const transform = () => ({ [Symbol.asyncIterator]: () => iterator });
  const { port } = await startChanging(upstream.port, () => ({ bytes: undefined, transform }));
  expect((await send(port, { method: 'PUT', body: Buffer.from('x') })).message.statusCode).toBe(502);
  expect(returned).toBe(1);
});

test('64 MiB are changed on their way with flat memory', async () => {
  let turnedBytes = 0;
  let ahead = 0;
  let taken = 0;
  const upstream = await startUpstream((request, response) => {
    request.on('data', (chunk: Buffer) => (taken += chunk.length));
    request.on('end', () => response.end(String(taken)));
  });
  const transform = async function* (body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      turnedBytes += chunk.length;
      ahead = Math.max(ahead, turnedBytes - taken);
      yield chunk;
    }
  };
  const { port } = await startChanging(upstream.port, () => ({ bytes: 64 * MIB, transform }));
  const block = randomBytes(MIB);
  const before = process.memoryUsage().rss;
  const { body } = await send(port, { method: 'PUT', body: Array.from({ length: 64 }, () => block) });
  expect(String(body)).toBe(String(64 * MIB));
  // What sockets of this machine hold between the transform and the upstream, both in this process.
  expect(ahead).toBeLessThan(16 * MIB);
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * MIB);
});
