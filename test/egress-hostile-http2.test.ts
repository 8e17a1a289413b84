import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { openTunnel } from './egress-confusion-kit.ts';
import { getThrough, service, startEgress, startOrigin } from './egress-core-kit.ts';
import { Peer } from './http-kit.ts';
import { closed, END_HEADERS, END_STREAM, frame, goawayOf, literals, PREFACE, TYPE } from './http2-kit.ts';
import { eventually, type Rig } from './rig.ts';

/** Floods of HTTP/2 inside of a tunnel: the connection ends, the memory comes back, and others are served meanwhile. */

const MEGABYTE = 1024 * 1024;

async function startSite(answer?: Parameters<typeof startOrigin>[1]) {
  const upstream = await startOrigin(['api.test'], answer);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({
    services: service('api', `https://${authority}`),
    egress: '  resolve: { api.test: 127.0.0.1 }\n',
    top: 'limits: { drain: 2s, header: 2s }',
  });
  const fields = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', authority],
    [':path', '/'],
  ] as const;
  const dial = async (): Promise<Peer> => {
    const tls = await openTunnel({ ca: egress.ca, port: egress.port, authority, protocols: ['h2'] });
    const peer = new Peer(tls as TLSSocket, 'downstream');
    peer.write(Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)]));
    await peer.untilBytes(9);
    return peer;
  };
  const served = async (): Promise<void> => expect(await getThrough(egress, authority)).toMatch(/^HTTP\/1\.1 200 /);
  return { upstream, authority, egress, fields, dial, served };
}

function connections({ sidecar }: Rig): number {
  return sidecar.status().listeners.reduce((sum, listener) => sum + listener.connections, 0);
}

const get = (fields: readonly (readonly [string, string])[], stream: number, end = END_STREAM): Buffer =>
  frame(TYPE.headers, END_HEADERS | end, stream, literals(fields));
const code = (value: number): Buffer => Buffer.from([0, 0, 0, value]);
type Fields = readonly (readonly [string, string])[];
const many = (count: number, each: (at: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => each(at)));

/** An entry for the table of HPACK (RFC 7541 section 6.2.1), and a reference to it that costs one byte. */
const BOMB_FIELD = Buffer.concat([Buffer.from([0x40, 1, 0x78, 127, 0x81, 30]), Buffer.alloc(3_968, 0x61)]);

const FLOODS: readonly (readonly [what: string, rounds: number, bytes: (fields: Fields, round: number) => Buffer])[] = [
  [
    'streams reset at once',
    20,
    (fields, round) =>
      many(200, (at) => {
        const stream = 2 * (200 * round + at) + 1;
        return Buffer.concat([get(fields, stream), frame(TYPE.reset, 0, stream, code(8))]);
      }),
  ],
  [
    'ten thousand streams opened and left',
    100,
    (fields, round) => many(100, (at) => get(fields, 2 * (100 * round + at) + 1, 0)),
  ],
  [
    'streams that this side has to reset',
    20,
    (fields, round) =>
      many(100, (at) => {
        const stream = 2 * (100 * round + at) + 1;
        return Buffer.concat([get(fields, stream, 0), frame(TYPE.window, 0, stream, code(0))]);
      }),
  ],
  ['SETTINGS', 50, () => many(100, () => frame(TYPE.settings, 0, 0))],
  [
    'SETTINGS of every kind',
    50,
    () => many(100, (at) => frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, at, at]))),
  ],
  ['PING', 400, () => many(200, () => frame(TYPE.ping, 0, 0, Buffer.alloc(8)))],
  [
    'CONTINUATION',
    20,
    (fields, round) =>
      Buffer.concat([
        ...(round === 0 ? [frame(TYPE.headers, END_STREAM, 1, literals(fields))] : []),
        many(200, () => frame(TYPE.more, 0, 1, literals([['x', 'y']]))),
      ]),
  ],
  [
    'empty CONTINUATION',
    20,
    (fields, round) =>
      Buffer.concat([
        ...(round === 0 ? [frame(TYPE.headers, END_STREAM, 1, literals(fields))] : []),
        many(500, () => frame(TYPE.more, 0, 1)),
      ]),
  ],
  [
    'empty DATA',
    20,
    (fields, round) =>
      Buffer.concat([
        ...(round === 0 ? [get([[':method', 'POST'], ...fields.slice(1)], 1, 0)] : []),
        many(500, () => frame(TYPE.data, 0, 1)),
      ]),
  ],
  ['a window over its limit', 2, () => many(3, () => frame(TYPE.window, 0, 0, Buffer.from([0x7f, 255, 255, 255])))],
  [
    'fields that grow in the table of HPACK',
    50,
    (fields, round) =>
      frame(
        TYPE.headers,
        END_HEADERS | END_STREAM,
        2 * round + 1,
        Buffer.concat([literals(fields), ...(round === 0 ? [BOMB_FIELD] : []), Buffer.alloc(12_000, 0xbe)]),
      ),
  ],
];

test.each(FLOODS)(
  '%s: the connection ends, others are served, and nothing of it stays',
  async (what, rounds, bytes) => {
    const rejected: unknown[] = [];
    const note = (reason: unknown): void => void rejected.push(reason);
    process.on('unhandledRejection', note);
    const { egress, fields, dial, served } = await startSite();
    await served();
    const before = process.memoryUsage().rss;
    const peer = await dial();
    for (let round = 0; round < rounds && !peer.closed && !peer.ended; round += 1) {
      peer.write(bytes(fields, round));
      await new Promise((done) => setImmediate(done));
      if (round === Math.floor(rounds / 2)) await served();
    }
    await served();
    await eventually(() => peer.closed || peer.ended, 'an end of the connection');
    // What is sent behind the last frame may cut it off. Heads that are too long are refused one by one.
    expect(goawayOf(peer) === 0).toBe(what.startsWith('fields'));
    peer.socket.destroy();
    await eventually(() => connections(egress.rig) === 0, 'no connection left');
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MEGABYTE);
    process.off('unhandledRejection', note);
    expect(rejected).toEqual([]);
  },
);

test('a client that opens no window holds back what it asked for, and no more than that', async () => {
  const chunk = Buffer.alloc(16 * 1024, 7);
  let sent = 0;
  const { egress, fields, dial, served } = await startSite((request, response) => {
    request.resume();
    if (request.httpVersion === '1.1' && request.headers['x-endless'] === undefined) return void response.end('small');
    Readable.from(
      (function* endless() {
        for (;;) {
          sent += chunk.length;
          yield chunk;
        }
      })(),
    )
      .on('error', () => undefined)
      .pipe(response);
    return undefined;
  });
  await served();
  const peer = await dial();
  peer.write(frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
  const before = process.memoryUsage().rss;
  peer.write(many(20, (at) => get([...fields, ['x-endless', '1']], 2 * at + 1)));
  await eventually(() => sent > 0);
  let last = -1;
  await eventually(async () => {
    const held = sent === last;
    last = sent;
    await new Promise((done) => setTimeout(done, 300));
    return held;
  }, 'the upstream to be held back');
  await served();
  expect(process.memoryUsage().rss - before).toBeLessThan(128 * MEGABYTE);
  peer.socket.destroy();
  await eventually(() => connections(egress.rig) === 0, 'no connection left');
});

test('a preface and nothing else is closed in its time', async () => {
  const { dial, served } = await startSite();
  const peer = await dial();
  await served();
  await closed(peer);
  expect(goawayOf(peer)).toBe(0);
});
