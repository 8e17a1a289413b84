import { readFileSync } from 'node:fs';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { dial, get, problemOf, startApi, startForward } from './http-kit.ts';

const folder = join(import.meta.dirname, 'testdata', 'tls');
const file = (name: string): string => join(folder, name);
const pem = (name: string): string => readFileSync(file(name), 'utf8');

interface TlsUpstream {
  readonly port: number;
  /** All that was decrypted, over all connections. */
  readonly seen: () => string;
  readonly names: (string | undefined)[];
  readonly clients: string[];
  readonly handshakes: () => number;
}

/** An https upstream that answers every head with 200 and `Connection: close`. */
async function startTlsUpstream(name: string, options: TlsOptions = {}): Promise<TlsUpstream> {
  let seen = '';
  let handshakes = 0;
  const names: (string | undefined)[] = [];
  const clients: string[] = [];
  const server: Server = createServer({ key: pem(`${name}.key`), cert: pem(`${name}.pem`), ...options }, (socket) => {
    // @types/node has it on the client's side only.
    names.push((socket as { servername?: string }).servername);
    clients.push(String(socket.getPeerCertificate().subject?.CN));
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
      if (seen.endsWith('\r\n\r\n')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
  });
  server.on('connection', () => (handshakes += 1));
  server.on('tlsClientError', () => undefined);
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
  onTestFinished(() => void server.close());
  return { port, seen: () => seen, names, clients, handshakes: () => handshakes };
}

async function ask(port: number, request = get('/', 'Connection: close')): Promise<string> {
  return (await dial(port, request)).end();
}

test('an https upstream of our own authority gets the credential', async () => {
  const upstream = await startTlsUpstream('local');
  const { port, token } = await startApi(`https://localhost:${upstream.port}`, {
    service: [`tls: { ca: ${file('ca.pem')} }`],
  });
  expect(await ask(port)).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.seen().includes(token)).toBe(true);
  expect(upstream.names).toEqual(['localhost']);
});

test.each([
  ['of an authority that is not trusted', 'stranger', 'ca.pem', '127.0.0.1'],
  ['for another name', 'named', 'ca.pem', '127.0.0.1'],
  ['that is over', 'expired', 'ca.pem', '127.0.0.1'],
])('an upstream with a certificate %s never sees the request', async (_, name, ca, host) => {
  const upstream = await startTlsUpstream(name);
  const { port } = await startApi(`https://${host}:${upstream.port}`, { service: [`tls: { ca: ${file(ca)} }`] });
  const text = await ask(port);
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(text).code).toBe('upstream-tls');
  expect(upstream.handshakes()).toBe(1);
  expect(upstream.seen()).toBe('');
});

test('without an authority of its own a service trusts those of the system, not ours', async () => {
  const upstream = await startTlsUpstream('local');
  const { port } = await startApi(`https://localhost:${upstream.port}`);
  expect(problemOf(await ask(port)).code).toBe('upstream-tls');
  expect(upstream.seen()).toBe('');
});

test('an upstream that speaks no TLS never sees the request', async () => {
  let seen = '';
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port, token } = await startApi(`https://localhost:${(server.address() as AddressInfo).port}`);
  const text = await ask(port);
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(text).code).toBe('upstream-tls');
  expect(seen.includes(token)).toBe(false);
});

test('`servername` is what is verified and sent as SNI', async () => {
  const upstream = await startTlsUpstream('named');
  const tls = `tls: { ca: ${file('ca.pem')}, servername: api.internal.test }`;
  const { port } = await startApi(`https://127.0.0.1:${upstream.port}`, { service: [tls] });
  expect(await ask(port)).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.names).toEqual(['api.internal.test']);
});

test('a client certificate is shown to an upstream that asks for one', async () => {
  const options = { requestCert: true, rejectUnauthorized: true, ca: pem('ca.pem') };
  const upstream = await startTlsUpstream('local', options);
  const url = `https://localhost:${upstream.port}`;
  const shown = `tls: { ca: ${file('ca.pem')}, cert: ${file('client.pem')}, key: { from: file, get: ${file('client.key')} } }`;
  expect(await ask((await startApi(url, { service: [shown] })).port)).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.clients).toEqual(['client']);
  const without = await ask((await startApi(url, { service: [`tls: { ca: ${file('ca.pem')} }`] })).port);
  expect(without).toMatch(/^HTTP\/1\.1 502 /);
  expect(upstream.clients).toHaveLength(1);
});

const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==',
];

test('a websocket uses the same certificates, name and authority', async () => {
  const options = { requestCert: true, rejectUnauthorized: true, ca: pem('ca.pem') };
  const upstream = await startTlsUpstream('named', options);
  const tls = `tls: { ca: ${file('ca.pem')}, cert: ${file('client.pem')}, key: { from: file, get: ${file('client.key')} }, servername: api.internal.test }`;
  const { port, token } = await startApi(`https://127.0.0.1:${upstream.port}`, { service: [tls] });
  expect(await ask(port, get('/ws', ...HANDSHAKE))).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.names).toEqual(['api.internal.test']);
  expect(upstream.clients).toEqual(['client']);
  expect(upstream.seen().includes(token)).toBe(true);
});

test('a websocket to an upstream with a wrong certificate is a 502 of ours, and nothing was sent', async () => {
  const upstream = await startTlsUpstream('stranger');
  const { port } = await startApi(`https://127.0.0.1:${upstream.port}`, {
    service: [`tls: { ca: ${file('ca.pem')} }`],
  });
  const text = await ask(port, get('/ws', ...HANDSHAKE));
  expect(text).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(text).code).toBe('upstream-tls');
  expect(upstream.seen()).toBe('');
});

test('`forceSSL: true` turns an http:// request into https', async () => {
  const upstream = await startTlsUpstream('local');
  const pattern = `^http://localhost:${upstream.port}/`;
  const { port, token } = await startForward([pattern], ['forceSSL: true'], {
    service: [`tls: { ca: ${file('ca.pem')} }`],
  });
  const url = `http://localhost:${upstream.port}/a`;
  const text = await ask(port, `GET ${url} HTTP/1.1\r\nHost: localhost:${upstream.port}\r\nConnection: close\r\n\r\n`);
  expect(text).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.seen()).toMatch(/^GET \/a HTTP\/1\.1\r\n/);
  expect(upstream.seen().includes(token)).toBe(true);
});
