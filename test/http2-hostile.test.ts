import { describe, expect, test } from 'vitest';
import { dial, heads, startApi, startRawUpstream, startScriptedUpstream } from './http-kit.ts';
import {
  closed,
  dialHttp2,
  END_HEADERS,
  END_STREAM,
  frame,
  framesOf,
  goawayOf,
  literals,
  PREFACE,
  TYPE,
} from './http2-kit.ts';
import { eventually, startUpstream } from './rig.ts';

/** HTTP/2 that another reader would take for something else, or that never ends: none of it reaches an upstream. */

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
type Field = readonly [string, string];
const GET: readonly Field[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'localhost'],
  [':path', '/first'],
];
const POST: readonly Field[] = [[':method', 'POST'], ...GET.slice(1)];
const without = (name: string): readonly Field[] => GET.filter(([each]) => each !== name);
const but = (name: string, value: string): readonly Field[] => [
  ...GET.map(([each, old]): Field => [each, each === name ? value : old]),
];

/** How often an upstream was asked, and what it saw, after a head (with a body behind it, where there is one). */
async function send(fields: readonly Field[], ...body: readonly Buffer[]) {
  const upstream = await startScriptedUpstream(OK);
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  const end = body.length === 0 ? END_STREAM : 0;
  peer.write(frame(TYPE.headers, END_HEADERS | end, 1, literals(fields)));
  for (const each of body) peer.write(each);
  // A request that is fine, behind: its answer tells that the first was dealt with.
  peer.write(frame(TYPE.headers, END_HEADERS | END_STREAM, 3, literals(but(':path', '/last'))));
  await eventually(
    () =>
      peer.ended ||
      peer.closed ||
      framesOf(peer.content).some((each) => each.stream === 3 && (each.flags & END_STREAM) !== 0 && each.type < 2),
    'an answer',
  );
  await eventually(
    () => peer.closed || peer.ended || upstream.requests().some((line) => line.includes('/last')),
    'the last request',
  );
  peer.socket.destroy();
  const seen = upstream.connections.map(({ text }) => text).join('');
  const asked = upstream.requests().filter((line) => !line.includes('/last'));
  return { asked, seen, frames: framesOf(peer.content) };
}

const REFUSED: readonly (readonly [string, readonly Field[]])[] = [
  ['upper case in a name', [...GET, ['X-Upper', '1']]],
  ['transfer-encoding', [...POST, ['transfer-encoding', 'chunked']]],
  ['connection', [...GET, ['connection', 'x-api-key']]],
  ['keep-alive', [...GET, ['keep-alive', '1']]],
  ['proxy-connection', [...GET, ['proxy-connection', 'close']]],
  ['upgrade', [...GET, ['upgrade', 'h2c']]],
  ['te besides trailers', [...GET, ['te', 'gzip']]],
  ['two lengths', [...POST, ['content-length', '0'], ['content-length', '0']]],
  ['a length that is none', [...POST, ['content-length', '+0']]],
  ['a length of a body that does not come', [...GET, ['content-length', '5']]],
  ['no method', without(':method')],
  ['no scheme', without(':scheme')],
  ['no path', without(':path')],
  ['no authority', without(':authority')],
  ['two methods', [...GET, [':method', 'POST']]],
  ['two paths', [[':path', '/second'], ...GET]],
  ['a pseudo field behind a field', [...GET.slice(0, 3), ['a', 'b'], GET[3]!]],
  ['an unknown pseudo field', [...GET, [':status', '200']]],
  ['another scheme', but(':scheme', 'https')],
  ['an empty path', but(':path', '')],
  ['a path with a blank', but(':path', '/first HTTP/1.1')],
  ['a path with a line', but(':path', '/first HTTP/1.1\r\nX: y\r\n\r\nGET /second')],
  ['a path that is a URL', but(':path', 'http://other.test/first')],
  ['a path with a fragment', but(':path', '/first#part')],
  ['a path without its slash', but(':path', 'first')],
  ['a method with a blank', but(':method', 'GET /second HTTP/1.1\r\n')],
  ['a method with a line', but(':method', 'GET\r\nX: y')],
  ['an authority with userinfo', but(':authority', 'user@localhost')],
  ['an authority with a line', but(':authority', 'localhost\r\nX: y')],
  ['an authority with a path', but(':authority', 'localhost/first')],
  ['an authority and another Host', [...GET, ['host', 'other.test']]],
  ['two hosts', [...without(':authority'), ['host', 'localhost'], ['host', 'localhost']]],
  [
    'a CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'localhost:80'],
    ],
  ],
  ['a CONNECT for an unknown protocol', [...but(':method', 'CONNECT'), [':protocol', 'connect-udp']]],
  ['a protocol without CONNECT', [...GET, [':protocol', 'websocket']]],
  ['TRACE', but(':method', 'TRACE')],
  ['another expectation', [...GET, ['expect', 'something']]],
];

test.each(REFUSED)('refused, and never asked for: %s', async (_, fields) => {
  const { asked } = await send(fields);
  expect(asked).toEqual([]);
});

const STRIPPED: readonly (readonly [string, Field])[] = [
  ['a value with CR LF', ['a', 'b\r\nx-evil: yes']],
  ['a value with LF', ['a', 'b\nx-evil: yes']],
  ['a value with NUL', ['a', 'b\0x-evil\0yes\0']],
  ['a name with a colon', ['a:b', 'x-evil']],
  ['a name with a line', ['a\r\nx-evil', 'yes']],
  ['a name with a blank', ['a b', 'x-evil']],
];

test.each(STRIPPED)('one request or none, without it: %s', async (_, field) => {
  const { asked, seen } = await send([...GET, field]);
  expect(asked.length).toBeLessThanOrEqual(1);
  expect(seen).not.toContain('x-evil');
});

test('a body longer than its length is cut, and nothing of it is read as a request', async () => {
  const smuggled = Buffer.from('abGET /second HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const { asked } = await send([...POST, ['content-length', '2']], frame(TYPE.data, END_STREAM, 1, smuggled));
  expect(asked.filter((line) => line.includes('/second'))).toEqual([]);
  expect(asked.length).toBeLessThanOrEqual(1);
});

test('a body shorter than its length never looks whole', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  peer.write(frame(TYPE.headers, END_HEADERS, 1, literals([...POST, ['content-length', '10']])));
  peer.write(frame(TYPE.data, END_STREAM, 1, Buffer.from('abc')));
  await eventually(() => framesOf(peer.content).some(({ type }) => type === TYPE.reset));
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const { text } of upstream.connections) expect(text).not.toMatch(/\r\n\r\nabc.{7}/s);
  peer.socket.destroy();
});

test.each([
  ['without an error', 0],
  ['with one', 8],
])('an upload that is reset %s never looks whole', async (_, code) => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
  });
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  peer.write(frame(TYPE.headers, END_HEADERS, 1, literals(POST)));
  peer.write(frame(TYPE.data, 0, 1, Buffer.from('half of it')));
  await eventually(() => upstream.connections[0]?.text.includes('half of it') === true);
  const reset = Buffer.alloc(4);
  reset.writeUInt32BE(code);
  peer.write(frame(TYPE.reset, 0, 1, reset));
  await eventually(() => upstream.connections[0]!.closed || upstream.connections[0]!.ended);
  expect(upstream.connections[0]!.text.endsWith('0\r\n\r\n')).toBe(false);
  peer.socket.destroy();
});

test('crumbs of a cookie are one field again', async () => {
  const { seen } = await send([...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2']]);
  expect(seen.match(/^cookie: .*$/gim)).toEqual(['cookie: a=1; b=2']);
});

const ENHANCE_YOUR_CALM = 11;
const PROTOCOL_ERROR = 1;

describe('floods end the connection', () => {
  async function flood(bytes: Buffer, rounds: number): Promise<number | undefined> {
    const upstream = await startUpstream();
    const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
    const peer = await dialHttp2(port);
    for (let round = 0; round < rounds && !peer.closed && !peer.ended; round += 1) {
      peer.write(bytes);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => peer.closed || peer.ended, 'an end of the connection');
    const code = goawayOf(peer);
    peer.socket.destroy();
    return code;
  }
  const many = (count: number, each: (at: number) => Buffer): Buffer =>
    Buffer.concat(Array.from({ length: count }, (_, at) => each(at)));

  test('of PING', async () => {
    const ping = many(200, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)));
    expect(await flood(ping, 500)).toBe(ENHANCE_YOUR_CALM);
  });

  test('of SETTINGS', async () => {
    expect(
      await flood(
        many(10, () => frame(TYPE.settings, 0, 0)),
        50,
      ),
    ).toBe(ENHANCE_YOUR_CALM);
  });

  test('of empty DATA', async () => {
    const head = frame(TYPE.headers, END_HEADERS, 1, literals(POST));
    expect(await flood(Buffer.concat([head, many(2000, () => frame(TYPE.data, 0, 1))]), 1)).toBeGreaterThan(0);
  });

  test('of CONTINUATION', async () => {
    const head = frame(TYPE.headers, 0, 1, literals(GET));
    const more = frame(TYPE.more, 0, 1, literals([['x', 'y']]));
    expect(await flood(Buffer.concat([head, many(1000, () => more)]), 1)).toBeGreaterThan(0);
  });

  test('of streams that are reset at once', async () => {
    let stream = -1;
    const one = (): Buffer => {
      stream += 2;
      const open = frame(TYPE.headers, END_HEADERS | END_STREAM, stream, literals(GET));
      return Buffer.concat([open, frame(TYPE.reset, 0, stream, Buffer.from([0, 0, 0, 8]))]);
    };
    expect(await flood(many(2000, one), 1)).toBeGreaterThan(0);
  });

  test('of streams that this side has to reset', async () => {
    let stream = -1;
    const one = (): Buffer => {
      stream += 2;
      const open = frame(TYPE.headers, END_HEADERS, stream, literals(POST));
      // A window of more than 2^31 - 1 bytes, or of none: an error of the stream.
      return Buffer.concat([open, frame(TYPE.window, 0, stream, Buffer.from([0, 0, 0, 0]))]);
    };
    expect([ENHANCE_YOUR_CALM, PROTOCOL_ERROR]).toContain(await flood(many(2000, one), 1));
  });
});

test.each([true, false])(
  'a head over the limit is refused, and the connection lives (limit acknowledged: %s)',
  async (acks) => {
    const upstream = await startScriptedUpstream(OK);
    const { port } = await startApi(upstream.url);
    const peer = await dialHttp2(port);
    if (acks) peer.write(frame(TYPE.settings, 1, 0));
    const long = literals([...GET, ['x-long', 'a'.repeat(40_000)]]);
    peer.write(frame(TYPE.headers, END_STREAM, 1, long.subarray(0, 16_000)));
    peer.write(frame(TYPE.more, 0, 1, long.subarray(16_000, 32_000)));
    peer.write(frame(TYPE.more, END_HEADERS, 1, long.subarray(32_000)));
    peer.write(frame(TYPE.headers, END_HEADERS | END_STREAM, 3, literals(but(':path', '/last'))));
    await eventually(() => upstream.requests().length === 1);
    expect(upstream.requests()).toEqual(['GET /last HTTP/1.1\r\n']);
    const first = framesOf(peer.content).filter(({ stream }) => stream === 1);
    // `:status: 431`, or a reset by node's engine.
    expect(first.some(({ type, payload }) => type === TYPE.reset || payload.includes('headers-too-large'))).toBe(true);
    peer.socket.destroy();
  },
);

test('streams over the limit are refused, acknowledged or not', async () => {
  const upstream = await startRawUpstream((peer) => heads(peer, 1));
  const { port } = await startApi(upstream.url);
  const peer = await dialHttp2(port);
  for (let at = 0; at < 300; at += 1) {
    peer.write(frame(TYPE.headers, END_HEADERS | END_STREAM, 2 * at + 1, literals(GET)));
  }
  await eventually(() => peer.ended || peer.closed || upstream.requests().length === 100);
  expect(upstream.requests().length).toBeLessThanOrEqual(100);
  peer.socket.destroy();
});

test('a preface that comes byte by byte is one', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const peer = await dial(port);
  for (const byte of Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)])) {
    peer.write(Buffer.from([byte]));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await eventually(() => framesOf(peer.content).some(({ type }) => type === TYPE.settings));
  peer.socket.destroy();
});

test('a request of HTTP/1.1 that begins like the preface, byte by byte, is one', async () => {
  const upstream = await startScriptedUpstream(OK);
  const { port } = await startApi(upstream.url);
  const peer = await dial(port);
  for (const byte of Buffer.from('PRIX /first HTTP/1.1\r\nHost: localhost\r\n\r\n')) {
    peer.write(Buffer.from([byte]));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  // No method that node knows; the point is who answers.
  expect(await peer.end()).toMatch(/^HTTP\/1\.1 400 /);
  const posted = await dial(port);
  for (const byte of Buffer.from('PROPFIND /first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')) {
    posted.write(Buffer.from([byte]));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(await posted.end()).toMatch(/^HTTP\/1\.1 200 /);
});

test('a connection that stops within its preface is closed in its time', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    top: ['limits: { drain: 2s, header: 300ms }'],
  });
  const peer = await dial(port, 'PR');
  await closed(peer);
  const whole = await dialHttp2(port);
  await closed(whole);
  expect(goawayOf(whole)).toBe(0);
});
