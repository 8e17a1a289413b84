import { expect, onTestFinished, test } from 'vitest';
import { dial, get, send, startApi, startRawUpstream, heads } from './http-kit.ts';
import { eventually } from './rig.ts';

const UPGRADE = get(
  '/behind',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==',
);
const CONNECT = 'CONNECT behind:1 HTTP/1.1\r\nHost: behind:1\r\n\r\n';

test.each([
  ['CONNECT', CONNECT],
  ['an upgrade', UPGRADE],
  ['a malformed request', 'GET /\x00 HTTP/1.1\r\n\r\n'],
])('exchanges with %s pipelined behind them all end with their connection', async (_, behind) => {
  const upstream = await startRawUpstream(() => undefined);
  const { rig, port } = await startApi(upstream.url, { service: ['timeouts: { headers: 60s }'] });
  const client = await dial(port, `${get('/1')}${get('/2')}${get('/3')}${behind}`);
  expect(await client.end()).toBe('');
  await eventually(() => rig.log.filter(({ message }) => message === 'exchange refused').length === 3, 'three ends');
  await eventually(() => upstream.connections.every(({ closed }) => closed), 'an upstream that is let go');
  await rig.sidecar.drain();
});

test('exchanges whose answers wait for their turn end when the downstream vanishes', async () => {
  const upstream = await startRawUpstream(() => undefined);
  const { rig, port } = await startApi(upstream.url, { service: ['timeouts: { headers: 60s }'] });
  const client = await dial(port, get('/1') + get('/2') + get('/3'));
  await eventually(() => upstream.requests().length === 3);
  client.socket.resetAndDestroy();
  await eventually(() => rig.events('exchange.ended').length === 3);
  await eventually(() => upstream.connections.every(({ closed }) => closed));
});

const REFUSED = [
  ['no Host', 'GET /refused HTTP/1.1\r\n\r\n'],
  [
    'a coding besides chunked',
    'POST /refused HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  ],
  ['an expectation', get('/refused', 'Expect: 200-ok')],
  [
    'version 1.0 and a coding',
    'POST /refused HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
] as const;
const TAILS = [
  ['a request', get('/behind')],
  ['CONNECT', CONNECT],
  ['an upgrade', UPGRADE],
  ['another refused one', get('/behind', 'Expect: 200-ok')],
  ['a malformed one', 'GET /behind\x00 HTTP/1.1\r\n\r\n'],
] as const;
const BEHIND = REFUSED.flatMap(([fault, head]) =>
  TAILS.flatMap(([what, tail]) => [true, false].map((apart) => ({ fault, head, what, tail, apart }))),
);

/** Answers `/slow` once `release` is called, and all else at once. */
async function startSlow() {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  onTestFinished(release);
  const upstream = await startRawUpstream(async (peer) => {
    for (let count = 1; ; count += 1) {
      await heads(peer, count);
      if (peer.text.includes('/slow')) await released;
      peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    }
  });
  return { upstream, release };
}

const statuses = (text: string): string[] => text.match(/HTTP\/1\.1 \d+/g) ?? [];

test.each(BEHIND)(
  'behind a request refused for $fault, $what is not processed (apart: $apart)',
  async ({ head, tail, apart }) => {
    const { upstream } = await startSlow();
    const { rig, port } = await startApi(upstream.url);
    const client = await dial(port, apart ? head : head + tail);
    if (apart) client.write(tail);
    const text = await client.end();
    expect(statuses(text).length).toBe(1);
    expect(text).toMatch(/^HTTP\/1\.1 4/);
    await rig.sidecar.drain();
    expect(upstream.requests()).toEqual([]);
    // No credential was lent for it either.
    expect(rig.events('decision')).toEqual([]);
  },
);

test.each(BEHIND)(
  'behind a running request and one refused for $fault, $what is not processed (apart: $apart)',
  async ({ head, tail, apart }) => {
    const { upstream, release } = await startSlow();
    const { port } = await startApi(upstream.url);
    const client = await dial(port, get('/slow'));
    await eventually(() => upstream.requests().length === 1);
    client.write(apart ? head : head + tail);
    // One loop serves all connections: after a whole exchange on another one, what came before was read.
    if (apart) {
      await send(port);
      client.write(tail);
    }
    await send(port);
    release();
    const text = await client.end();
    // A cut connection is sound too; else the two answers come in order and nothing behind them.
    if (text !== '') expect(statuses(text)[0]).toBe('HTTP/1.1 200');
    expect(statuses(text).length === 0 || statuses(text).length === 2).toBe(true);
    expect(upstream.requests().some((line) => line.includes('/behind') || line.includes('/refused'))).toBe(false);
  },
);

test.each(['0\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n', ''])(
  'HTTP/1.0 with a transfer coding is refused, with nothing behind its body (%j)',
  async (body) => {
    const { upstream } = await startSlow();
    const { port } = await startApi(upstream.url);
    for (const fields of ['', 'Host: localhost\r\n', 'Connection: keep-alive\r\n', 'Content-Length: 5\r\n']) {
      const client = await dial(port, `POST /x HTTP/1.0\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${body}`);
      expect(await client.end()).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect(upstream.requests()).toEqual([]);
  },
);
