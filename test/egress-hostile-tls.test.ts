import { spawn, spawnSync } from 'node:child_process';
import { connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { startDownstreamTls } from '../src/stream/start-tls.ts';
import {
  connectTunnel,
  getThrough,
  secure,
  service,
  startEgress,
  startOrigin,
  testAuthority,
} from './egress-core-kit.ts';
import { Peer } from './http-kit.ts';
import { eventually, type Rig } from './rig.ts';

/** Clients that break off, stall or go wild below HTTP: each costs what its connection costs, and nobody else anything. */

const resolve = '  resolve: { api.test: 127.0.0.1, open.test: 127.0.0.1 }\n';
const SHORT = 'limits: { drain: 2s, header: 500ms }';
const OPENSSL = spawnSync('openssl', ['version']).status === 0;

async function startApi(top = '') {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve, top });
  return { upstream, authority, egress };
}

function connections({ sidecar }: Rig): number {
  return sidecar.status().listeners.reduce((sum, listener) => sum + listener.connections, 0);
}

const nothingLeft = (rig: Rig): Promise<void> => eventually(() => connections(rig) === 0, 'no connection left');

test.each([
  ['before a request', ''],
  ['within a head', 'GET / HTTP/1.1\r\nHost: '],
  ['within a body', 'POST / HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 9\r\n\r\n1'],
])('bytes that are no TLS behind the handshake, %s, end the connection at once', async (_when, begun) => {
  const { authority, egress } = await startApi();
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  if (begun !== '') tls.write(begun.replace('{authority}', authority));
  await new Promise((done) => setTimeout(done, 50));
  // A record of application data that nobody has encrypted.
  socket.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 64]), Buffer.alloc(64, 7)]));
  await nothingLeft(egress.rig);
});

test.skipIf(!OPENSSL)('a client that renegotiates TLS 1.2 is not given a second handshake', async () => {
  const { authority, egress } = await startApi();
  const child = spawn('openssl', [
    's_client',
    ...['-proxy', `127.0.0.1:${egress.port}`, '-connect', authority, '-servername', 'api.test', '-tls1_2'],
  ]);
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually(() => said.includes('Verify return code'), 'a first handshake');
  for (let round = 0; round < 8 && child.exitCode === null; round += 1) {
    child.stdin.on('error', () => undefined).write('R\n');
    await new Promise((done) => setTimeout(done, 60));
  }
  await eventually(() => child.exitCode !== null || /no renegotiation|alert/i.test(said), 'a refusal');
  expect(said.match(/RENEGOTIATING/g)!.length).toBeLessThanOrEqual(2);
  child.kill('SIGKILL');
  await nothingLeft(egress.rig);
});

/** What a client sends first for a host: the bytes of a ClientHello. */
async function helloFor(servername: string): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const got = new Promise<Buffer>((done) => server.once('connection', (socket) => socket.once('data', done)));
  const { port } = server.address() as { port: number };
  const client = connectTls({ port, host: '127.0.0.1', servername, ALPNProtocols: ['h2', 'http/1.1'] });
  client.on('error', () => undefined);
  const hello = await got;
  client.destroy();
  server.close();
  return hello;
}

test('a connection that is cut at any byte of CONNECT and ClientHello leaves nothing behind', async () => {
  const rejected: unknown[] = [];
  const note = (reason: unknown): void => void rejected.push(reason);
  process.on('unhandledRejection', note).on('uncaughtException', note);
  onTestFinished(() => void process.off('unhandledRejection', note).off('uncaughtException', note));
  const { upstream, authority, egress } = await startApi();
  const head = Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const whole = Buffer.concat([head, await helloFor('api.test')]);
  const cut = (bytes: Buffer, hard: boolean): Promise<void> =>
    new Promise((done) => {
      const socket = connectTcp(egress.port, '127.0.0.1', () => {
        socket.write(bytes);
        if (hard) setImmediate(() => socket.resetAndDestroy());
        else socket.end();
      });
      socket.on('error', () => undefined).resume();
      socket.once('close', () => done());
    });
  for (let from = 1; from <= whole.length; from += 600) {
    const lengths = Array.from({ length: Math.min(600, whole.length + 1 - from) }, (_, at) => from + at);
    await Promise.all(lengths.map((length) => cut(whole.subarray(0, length), length % 2 === 0)));
  }
  await nothingLeft(egress.rig);
  expect(rejected).toEqual([]);
  expect(upstream.dialled()).toBe(0);
  expect(await getThrough(egress, authority)).toMatch(/^HTTP\/1\.1 200 /);
});

test('a thousand half ClientHellos, and one that comes byte by byte, are closed in their time while others are served', async () => {
  const { authority, egress } = await startApi(SHORT);
  const hello = await helloFor('api.test');
  const before = process.memoryUsage().rss;
  const ask = Buffer.from(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const halves = Array.from({ length: 1000 }, () => {
    const socket = connectTcp(egress.port, '127.0.0.1', () =>
      socket.write(Buffer.concat([ask, hello.subarray(0, 200)])),
    );
    onTestFinished(() => void socket.destroy());
    return new Promise<void>((done) =>
      socket
        .on('error', () => undefined)
        .resume()
        .once('close', () => done()),
    );
  });
  const { socket } = await connectTunnel(egress.port, authority);
  let at = 0;
  const drip = setInterval(() => {
    if (!socket.writable || at >= hello.length) clearInterval(drip);
    else socket.write(hello.subarray(at, ++at));
  }, 40);
  const closedSlow = new Promise<void>((done) => socket.resume().once('close', () => done()));
  expect(await getThrough(egress, authority)).toMatch(/^HTTP\/1\.1 200 /);
  await Promise.all([...halves, closedSlow]);
  expect(at).toBeLessThan(hello.length);
  await nothingLeft(egress.rig);
  expect(process.memoryUsage().rss - before).toBeLessThan(192 * 1024 * 1024);
  expect(await getThrough(egress, authority)).toMatch(/^HTTP\/1\.1 200 /);
}, 60_000);

test('a reload retires what is held by tunnels that were left half-way', async () => {
  const { authority, egress } = await startApi(SHORT);
  const open = await connectTunnel(egress.port, authority);
  const tls = await secure((await connectTunnel(egress.port, authority)).socket, {
    servername: 'api.test',
    ca: egress.ca,
  });
  const peer = new Peer(tls, 'downstream');
  open.socket.write(Buffer.from([22, 3, 1]));
  peer.write('GET / HTTP/1.1\r\nHost:');
  await egress.rig.rewrite(`${egress.yaml}\n# again`);
  open.socket.destroy();
  await peer.end();
  await nothingLeft(egress.rig);
});

test('bytes that are no TLS behind the handshake end the TLS of a stream too', async () => {
  const identity = await issueServerIdentity(await testAuthority(), ['api.test']);
  const ended: boolean[] = [];
  let begun = 0;
  const server = createServer((raw) => {
    void startDownstreamTls(raw, identity, {}, performance.now() + 5_000).then((tls) => {
      begun += 1;
      tls.on('error', () => undefined).once('close', () => ended.push(true));
      tls.resume();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const raw = connectTcp((server.address() as { port: number }).port, '127.0.0.1');
  const tls = await secure(raw, { servername: 'api.test', ca: (await testAuthority()).certificate });
  expect(tls.authorized).toBe(true);
  await eventually(() => begun === 1);
  raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 64]), Buffer.alloc(64, 7)]));
  await eventually(() => ended.length === 1, 'the end of the stream');
});
