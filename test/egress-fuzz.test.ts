import { createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, test } from 'vitest';
import { formatAuthority } from '../src/connector/origin.ts';
import { HelloReader } from '../src/egress/client-hello.ts';
import { connectTarget } from '../src/egress/connect-request.ts';
import { SidecarError } from '../src/error.ts';
import { parseHost } from '../src/http/authority.ts';
import { strayDials, watchWires } from './egress-confusion-kit.ts';
import { connectTunnel, getThrough, service, startEgress, startOrigin, startPlainOrigin } from './egress-core-kit.ts';
import { inParallel, mutatedBytes, mutatedText, throwAt, watchStrays } from './egress-fuzz-kit.ts';
import { END_HEADERS, END_STREAM, frame, literals, PREFACE, TYPE } from './http2-kit.ts';
import { eventually, type Rig } from './rig.ts';
import { Random, SEED } from './smuggling/random.ts';

const TARGETS = [
  'api.test:443',
  'a-b.c_d.example:8443',
  '127.0.0.1:80',
  '[::1]:443',
  '[2001:db8::ffff:10.0.0.1]:65535',
  '[1:2:3:4:5:6:7:8]:1',
  'xn--bcher-kva.example:443',
  'user:pass@host.test:443',
];
const ALPHABET = [
  ...'.:@/\\?#%[]-_~!$&*+,;=0123456789abfxzAZ \t\r\n\0',
  ...['%00', '%2e', '%25', '0x', '::', '..', '\u00e9', '\u0130', '\u212a', '\u3002', '\uff0e', '\u00ad', '\ud800'],
];
/** Sessions of HTTP/2: most of the time of this file. */
const SESSIONS = Number(process.env['FUZZ_RUNS'] ?? 3_000);
/** What a host can be, and nothing else. */
const HOST = /^(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:]+)$/;

/** As WHATWG reads it; undefined where that refuses, as it does for what only looks like punycode. */
function urlHost(text: string): { host: string; port: number } | undefined {
  try {
    const { hostname, port, username, pathname } = new URL(`https://${text}`);
    if (username !== '' || pathname !== '/') return { host: `${username}@${hostname}${pathname}`, port: 0 };
    return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) };
  } catch {
    return undefined;
  }
}

test('a million CONNECT lines: each is refused, or read as every URL parser reads it', () => {
  const random = new Random(SEED);
  let taken = 0;
  for (let round = 0; round < 1_000_000; round += 1) {
    const target = mutatedText(random, TARGETS, ALPHABET);
    const host = random.below(4) === 0 ? mutatedText(random, TARGETS, ALPHABET) : undefined;
    try {
      const asked = connectTarget({ target, headers: host === undefined ? [] : ['Host', host] } as never);
      taken += 1;
      const written = formatAuthority({ scheme: 'https', ...asked });
      const again = connectTarget({ target: `${written.replace(/:443$/, '')}:${asked.port}`, headers: [] } as never);
      const url = urlHost(target);
      const fits = HOST.test(asked.host) && asked.port > 0 && asked.port < 65_536 && Number.isInteger(asked.port);
      const same = url === undefined ? asked.host.includes('xn--') : url.host === asked.host && url.port === asked.port;
      if (
        fits &&
        same &&
        again.host === asked.host &&
        parseHost(asked.host.includes(':') ? `[${asked.host}]` : asked.host) === asked.host
      )
        continue;
      expect.fail(
        `seed ${SEED}: ${JSON.stringify(target)} was read as ${JSON.stringify(asked)}, by URL as ${JSON.stringify(url)}`,
      );
    } catch (thrown) {
      if (!(thrown instanceof SidecarError)) throw thrown;
      if (thrown.code !== 'request-malformed' && thrown.code !== 'host-mismatch') throw thrown;
      if (thrown.detail?.includes(target) === true && target.length > 3)
        expect.fail(`quoted: ${JSON.stringify(target)}`);
    }
  }
  // Neither is everything refused.
  expect(taken).toBeGreaterThan(50_000);
}, 150_000);

function connections({ sidecar }: Rig): number {
  return sidecar.status().listeners.reduce((sum, listener) => sum + listener.connections, 0);
}

/** The first bytes of node's client. */
async function helloOf(servername: string): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const got = new Promise<Buffer>((done) => server.once('connection', (socket) => socket.once('data', done)));
  const client = connectTls({
    port: (server.address() as { port: number }).port,
    host: '127.0.0.1',
    servername,
    ALPNProtocols: ['h2', 'http/1.1'],
    ecdhCurve: 'X25519',
  });
  client.on('error', () => undefined);
  const hello = await got;
  client.destroy();
  server.close();
  return hello;
}

test('ten thousand ClientHellos through a listener: nothing is dialled, nothing is left, and it serves on', async () => {
  const strays = watchStrays();
  const random = new Random(SEED);
  const egress = await startEgress({
    services: service('api', 'https://api.test'),
    egress: '  mode: transparent\n  allow: ["https://*.open.test"]\n  resolve: { api.test: 127.0.0.1 }\n',
  });
  const seeds = [await helloOf('api.test'), await helloOf('evil.test'), await helloOf('api.test')];
  const watch = watchWires();
  let handshakes = 0;
  await inParallel(10_000, 100, async (at) => {
    // One in a hundred is left as it is.
    const bytes = at % 100 === 0 ? seeds[0]! : mutatedBytes(random, random.pick(seeds));
    const answer = await throwAt(egress.port, bytes, random.below(2) === 0 ? undefined : random.below(bytes.length));
    if (answer[0] === 22) handshakes += 1;
  });
  await eventually(() => connections(egress.rig) === 0, 'no connection left');
  expect(handshakes).toBeGreaterThanOrEqual(100);
  expect(strays).toEqual([]);
  expect(watch.lookups).toEqual([]);
  expect(strayDials(watch, egress)).toEqual([]);
}, 150_000);

test('a hundred thousand ClientHellos, read in parts as at once: the same is found, and never more than is there', async () => {
  const random = new Random(SEED);
  const seeds = [await helloOf('api.test'), await helloOf('a.open.test')];
  let found = 0;
  for (let round = 0; round < 100_000; round += 1) {
    const bytes = mutatedBytes(random, random.pick(seeds));
    const whole = new HelloReader().push(bytes);
    const reader = new HelloReader();
    const cut = random.below(bytes.length);
    reader.push(bytes.subarray(0, cut));
    const parts = reader.push(bytes.subarray(cut));
    if ('hello' in whole) {
      found += 1;
      expect(parts).toEqual(whole);
      const { serverName } = whole.hello;
      if (serverName !== undefined) expect(parseHost(serverName)).toBe(serverName);
    } else expect('hello' in parts).toBe(false);
    expect(reader.bytes.equals(bytes)).toBe(true);
  }
  expect(found).toBeGreaterThan(1_000);
}, 150_000);

test('mutated sessions of HTTP/2 in a tunnel: what gets upstream is for its origin, and it serves on', async () => {
  const strays = watchStrays();
  const random = new Random(SEED);
  const [plain, secured] = [await startPlainOrigin(), await startOrigin(['api.test'])];
  const authority = `plain.test:${plain.port}`;
  const egress = await startEgress({
    services: service('plain', `http://${authority}`) + service('api', `https://api.test:${secured.port}`),
    egress: '  resolve: { api.test: 127.0.0.1, plain.test: 127.0.0.1 }\n',
  });
  const fields = (method: string, to = authority) =>
    literals([
      [':method', method],
      [':scheme', 'http'],
      [':authority', to],
      [':path', '/some/path'],
      ['x-some', 'field'],
    ]);
  const session = Buffer.concat([
    PREFACE,
    frame(TYPE.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100])),
    frame(TYPE.headers, END_HEADERS | END_STREAM, 1, fields('GET')),
    frame(TYPE.headers, END_HEADERS, 3, fields('POST')),
    frame(TYPE.data, END_STREAM, 3, Buffer.from('body')),
    frame(TYPE.ping, 0, 0, Buffer.alloc(8)),
    frame(TYPE.window, 0, 0, Buffer.from([0, 0, 1, 0])),
    frame(TYPE.headers, 0, 5, fields('GET', 'evil.test').subarray(0, 20)),
    frame(TYPE.more, END_HEADERS, 5, fields('GET', 'evil.test').subarray(20)),
    frame(TYPE.reset, 0, 3, Buffer.from([0, 0, 0, 8])),
  ]);
  const connect = Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await inParallel(SESSIONS, 100, async (at) => {
    const whole = at % 20 === 0;
    const mutated = whole ? session : mutatedBytes(random, session);
    const bytes = Buffer.concat([connect, mutated]);
    const cut = random.below(2) === 0 ? undefined : connect.length + random.below(mutated.length);
    const answer = await throwAt(egress.port, bytes, cut, whole ? 5_000 : 150, 'hello from');
    expect(answer.subarray(0, 12).toString()).toBe('HTTP/1.1 200');
  });
  await eventually(() => connections(egress.rig) === 0, 'no connection left');
  // Those that are whole are waited for, so each of them is answered.
  expect(plain.requests.length).toBeGreaterThanOrEqual(SESSIONS / 20);
  const foreign = plain.requests.filter(({ headers }) => headers.host !== authority);
  expect(foreign.map(({ headers }) => headers.host)).toEqual([]);
  expect(strays).toEqual([]);
  expect(secured.requests).toEqual([]);
  expect(await getThrough(egress, `api.test:${secured.port}`)).toMatch(/^HTTP\/1\.1 200 /);
  (await connectTunnel(egress.port, authority)).socket.destroy();
}, 150_000);
