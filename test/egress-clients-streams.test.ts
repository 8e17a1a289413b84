import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import { canary } from './canary.ts';
import { connectTunnel, secure } from './egress-core-kit.ts';
import { helloAnswer, startOrigin, type Answer, type Origin, type Response } from './egress/origins.ts';
import { useShell } from './egress/shell.ts';
import { askHttp2 } from './http2-kit.ts';
import { Peer } from './http-kit.ts';
import { eventually } from './rig.ts';

/** What streams through connections that the sidecar intercepts stays a stream, whichever HTTP is spoken on either side. */

const SECRET = canary();
const CREDENTIAL = `Bearer ${SECRET}`;
const MIB = 1024 * 1024;
const LARGE_BYTES = 96 * MIB;
/** What may be between an upstream and a reader that stopped: windows and buffers of two connections. */
const UNDERWAY_BYTES_MAX = 24 * MIB;
const NAMES = ['both', 'first', 'second', 'open'] as const;
type Name = (typeof NAMES)[number];

const folder = mkdtempSync(join(tmpdir(), 'sl-'));
const authorityFile = join(folder, 'authority.pem');
let authority: string;
const origins = {} as Record<Name, Origin>;
/** What the origins wait for, and what they count. */
let events: Response | undefined;
let sentBytes = 0;
let takenBytes = 0;
let takes: () => void = () => undefined;

const answer: Answer = (request, response, path) => {
  if (path === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: one\n\n');
    events = response;
  } else if (path === '/large') sendLarge(response);
  else if (path === '/slow') {
    takes = () => {
      request.on('data', (chunk: Buffer) => (takenBytes += chunk.length));
      request.on('end', () => response.end(String(takenBytes)));
    };
  } else helloAnswer(request, response, path);
};

function sendLarge(response: Response): void {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const more = (): void => {
    while (sentBytes < LARGE_BYTES) {
      sentBytes += chunk.length;
      if (!response.write(chunk)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

beforeAll(async () => {
  const issuer = await issueAuthority('authority of the origins');
  authority = issuer.certificate;
  writeFileSync(authorityFile, authority);
  const speaks = { both: 'both', first: '1.1', second: '2', open: 'both' } as const;
  for (const name of NAMES) {
    const options = { issuer, host: `${name}.example.test`, credential: CREDENTIAL, speaks: speaks[name], answer };
    origins[name] = await startOrigin(options);
  }
}, 60_000);

afterAll(() => {
  for (const name of NAMES) origins[name].close();
  rmSync(folder, { recursive: true, force: true });
});

const shell = useShell(() => {
  const service = (name: Name) => ({
    connector: 'http',
    target: `https://${place(name)}`,
    tls: { ca: authorityFile },
    credentials: { token: { from: 'env', get: 'S_TOKEN' } },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  });
  const services = { both: service('both'), first: service('first'), second: service('second') };
  const resolve = Object.fromEntries(NAMES.map((name) => [`${name}.example.test`, '127.0.0.1']));
  const egress = { resolve, allow: [`https://${place('open')}`] };
  return { text: JSON.stringify({ version: '2', services, egress }), env: { S_TOKEN: SECRET } };
});

beforeEach(() => {
  for (const name of NAMES) origins[name].seen.splice(0);
  events = undefined;
  [sentBytes, takenBytes] = [0, 0];
});

const place = (name: Name): string => `${name}.example.test:${origins[name].port}`;

/** TLS through the proxy, as a client offers it. */
async function through(name: Name, protocols?: string[]): Promise<TLSSocket> {
  const { status, socket } = await connectTunnel(shell().port, place(name));
  expect(status).toBe(200);
  const ca = name === 'open' ? authority : shell().ca;
  const offer = protocols === undefined ? {} : { ALPNProtocols: protocols };
  return secure(socket, { servername: `${name}.example.test`, ca, ...offer });
}

async function http2(name: Name): Promise<ClientHttp2Session> {
  const socket = await through(name, ['h2', 'http/1.1']);
  expect(socket.alpnProtocol).toBe('h2');
  const session = connectHttp2(`https://${place(name)}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

const head = (name: Name, path: string, fields: readonly string[] = [], method = 'GET'): string =>
  [`${method} ${path} HTTP/1.1`, `Host: ${place(name)}`, ...fields, '', ''].join('\r\n');

/** A whole exchange over the HTTP of the client. */
async function ask(version: '1.1' | '2', name: Name, path: string, body?: Buffer): Promise<string> {
  if (version === '2') {
    const session = await http2(name);
    const fields = { ':path': path, ':method': body === undefined ? 'GET' : 'POST' };
    return (await askHttp2(session, fields, body)).body.toString();
  }
  const socket = await through(name, ['http/1.1']);
  const peer = new Peer(socket, 'downstream');
  const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
  peer.write(head(name, path, ['Connection: close', ...length], body === undefined ? 'GET' : 'POST'));
  if (body !== undefined) peer.write(body);
  return (await peer.end()).split('\r\n\r\n').slice(1).join('\r\n\r\n');
}

describe.each(['1.1', '2'] as const)('a client of HTTP/%s', (version) => {
  test.each([
    ['both', version === '2' ? '2.0' : '1.1'],
    ['first', '1.1'],
    ['second', '2.0'],
  ] as const)('comes to an origin that speaks %s as HTTP/%s', async (name, spoken) => {
    expect(await ask(version, name, '/hello')).toContain(`hello over ${spoken}`);
    expect(await ask(version, name, '/body', Buffer.alloc(2 * MIB, 'b'))).toContain(String(2 * MIB));
    const { seen } = origins[name];
    expect(seen.map(({ credentials }) => credentials.map((one) => one === CREDENTIAL))).toEqual([[true], [true]]);
  });

  test('hears each event of a stream when it is sent', async () => {
    const stream = await opened(version, 'both', '/events');
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    stream.resume();
    await eventually(() => text.includes('data: one\n\n'), 'the first event');
    expect(text).not.toContain('two');
    events!.write('data: two\n\n');
    await eventually(() => text.includes('data: two\n\n'), 'the second event');
    events!.end();
  });

  test('that stops reading stops the upstream, and the sidecar holds little of it', { timeout: 60_000 }, async () => {
    const before = shell().residentBytes();
    const stream = await opened(version, 'both', '/large');
    let bytes = 0;
    await settled(() => sentBytes);
    expect(sentBytes).toBeLessThan(UNDERWAY_BYTES_MAX);
    expect(shell().residentBytes() - before).toBeLessThan(2 * UNDERWAY_BYTES_MAX);
    stream.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
    await all(() => bytes);
    expect(shell().residentBytes() - before).toBeLessThan(2 * UNDERWAY_BYTES_MAX);
  });

  test('is stopped by an upstream that does not read', { timeout: 60_000 }, async () => {
    const before = shell().residentBytes();
    const chunk = Buffer.alloc(64 * 1024, 'u');
    const { up, answered } = await uploading(version, 'both', '/slow', LARGE_BYTES);
    let sent = 0;
    const more = (): void => {
      while (sent < LARGE_BYTES) {
        sent += chunk.length;
        if (!up.write(chunk)) return void up.once('drain', more);
      }
      if (version === '2') up.end();
    };
    more();
    await settled(() => sent);
    expect(sent).toBeLessThan(UNDERWAY_BYTES_MAX);
    expect(shell().residentBytes() - before).toBeLessThan(2 * UNDERWAY_BYTES_MAX);
    takes();
    expect(await answered).toContain(String(LARGE_BYTES));
  });
});

/** Resolves when what is counted has not moved for a while. */
async function settled(count: () => number): Promise<void> {
  await eventually(() => count() > 0, 'a beginning');
  for (let before = -1; before !== count(); await pause(700)) before = count();
}

/** Resolves when all of a large answer is there: the machine may be busy. */
async function all(count: () => number): Promise<void> {
  while (count() < LARGE_BYTES) await pause(20);
}

/** The body of an answer, with the head of HTTP/1.1 before it; nobody reads yet. */
async function opened(version: '1.1' | '2', name: Name, path: string): Promise<Readable> {
  if (version === '2') return (await http2(name)).request({ ':path': path }).pause();
  const socket = await through(name, ['http/1.1']);
  socket.pause();
  socket.write(head(name, path));
  return socket;
}

async function uploading(
  version: '1.1' | '2',
  name: Name,
  path: string,
  length: number,
): Promise<{ up: Writable; answered: Promise<string> }> {
  let text = '';
  const textOf = async (stream: Readable): Promise<string> => {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await once(stream, version === '2' ? 'end' : 'data');
    return text;
  };
  if (version === '2') {
    const stream = (await http2(name)).request({ ':path': path, ':method': 'POST' });
    return { up: stream, answered: textOf(stream) };
  }
  const socket = await through(name, ['http/1.1']);
  socket.write(head(name, path, [`Content-Length: ${length}`], 'POST'));
  return { up: socket, answered: textOf(socket) };
}

test('a hundred requests follow each other on one tunnel, and on one connection to the upstream', async () => {
  const before = origins.first.dialled();
  const peer = new Peer(await through('first'), 'downstream');
  for (let at = 1; at <= 100; at += 1) {
    peer.write(head('first', `/hello?${at}`));
    await eventually(() => peer.text.match(/hello over 1\.1/g)?.length === at);
  }
  peer.socket.destroy();
  expect(origins.first.dialled() - before).toBeLessThanOrEqual(1);
  expect(origins.first.seen.every(({ credentials }) => credentials.length === 1)).toBe(true);
});

test('a hundred requests at once share one tunnel, and one connection to the upstream', async () => {
  const before = origins.second.dialled();
  const session = await http2('second');
  const asked = Array.from({ length: 100 }, (_, at) => askHttp2(session, { ':path': `/hello?${at}` }));
  expect(new Set((await Promise.all(asked)).map(({ body }) => body.toString()))).toEqual(new Set(['hello over 2.0']));
  expect(origins.second.dialled() - before).toBeLessThanOrEqual(1);
});

describe('what a client offers by ALPN', () => {
  test.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1', 'h2'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [undefined, false],
  ])('%j is answered by %s', async (offered, chosen) => {
    expect((await through('both', offered)).alpnProtocol).toBe(chosen);
  });

  test('is refused where it is nothing that is served', async () => {
    await expect(through('both', ['imap'])).rejects.toThrow(/no.application.protocol/i);
  });
});

test('who expects 100 Continue is asked for the body once the request may go on, and not where it may not', async () => {
  const fields = ['Expect: 100-continue', 'Content-Length: 5'];
  const peer = new Peer(await through('first'), 'downstream');
  peer.write(head('first', '/body', fields, 'POST'));
  await peer.until('HTTP/1.1 100 Continue\r\n\r\n');
  peer.write('hello');
  await peer.until('5 2cf24dba');
  const refused = new Peer(await through('first'), 'downstream');
  refused.write(head('second', '/body', fields, 'POST'));
  await refused.until('HTTP/1.1 421 ');
  expect(refused.text).not.toContain('100 Continue');
  expect(origins.first.seen).toHaveLength(1);
});

test('what passes untouched waits for its reader too', { timeout: 60_000 }, async () => {
  const before = shell().residentBytes();
  const socket = await through('open', ['http/1.1']);
  socket.pause();
  // Nobody adds a credential here: the client has its own.
  socket.write(head('open', '/large', [`Authorization: ${CREDENTIAL}`]));
  await settled(() => sentBytes);
  expect(sentBytes).toBeLessThan(UNDERWAY_BYTES_MAX);
  expect(shell().residentBytes() - before).toBeLessThan(2 * UNDERWAY_BYTES_MAX);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
  await all(() => bytes);
});
