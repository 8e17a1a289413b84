import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import type { ListenAddress } from '../config/config.ts';
import { isOurHost, openTelemetryServer, type HealthStatus } from './health.ts';
import { openLog } from './log.ts';
import { openMetrics } from './metrics.ts';

const READY: HealthStatus = { live: true, ready: true, reasons: [] };
const log = openLog({ level: 'error', stream: { write: () => undefined } });

async function openOn(address: ListenAddress, status: HealthStatus): Promise<number> {
  const metrics = openMetrics({ version: '1' });
  const server = await openTelemetryServer({ address, metrics, status: () => status, log });
  onTestFinished(() => server.close());
  if (server.address.kind !== 'tcp') throw new Error('expected a port');
  return server.address.port;
}

function open(status: HealthStatus = READY): Promise<number> {
  return openOn({ kind: 'tcp', host: '127.0.0.1', port: 0 }, status);
}

interface Asked {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Asked> {
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

test.each(['/live', '/ready'])('%s answers as the broker does', async (path) => {
  const port = await open();
  expect(await ask(port, path)).toMatchObject({ status: 200, body: '{}\n' });
  expect(JSON.parse((await ask(port, `${path}?full=1`)).body)).toEqual({ listening: 'OK', ready: 'OK' });
});

test('a sidecar that is not ready is alive, and says why', async () => {
  const port = await open({ live: true, ready: false, reasons: ['the ledger cannot record'] });
  expect((await ask(port, '/live')).status).toBe(200);
  expect(await ask(port, '/ready')).toMatchObject({ status: 503, body: '{}\n' });
  expect(JSON.parse((await ask(port, '/ready?full=1')).body)).toEqual({
    listening: 'OK',
    ready: 'secretless is not ready',
  });
  expect(await ask(port, '/healthz')).toMatchObject({ status: 200, body: '{"ok":true,"reasons":[]}\n' });
  expect(await ask(port, '/readyz')).toMatchObject({
    status: 503,
    body: '{"ok":false,"reasons":["the ledger cannot record"]}\n',
  });
});

test('a sidecar that does not listen is neither alive nor ready', async () => {
  const port = await open({ live: false, ready: true, reasons: [] });
  expect(await ask(port, '/live?full=1')).toMatchObject({
    status: 503,
    body: '{"listening":"secretless is not listening","ready":"OK"}\n',
  });
  for (const path of ['/ready', '/healthz', '/readyz']) expect((await ask(port, path)).status).toBe(503);
});

test('metrics come in the text format', async () => {
  const answer = await ask(await open(), '/metrics');
  expect(answer.headers['content-type']).toContain('version=0.0.4');
  expect(answer.body).toContain('secretless_build_info{version="1"} 1');
});

test('HEAD gets the head of GET and no body', async () => {
  expect(await ask(await open(), '/ready', {}, 'HEAD')).toMatchObject({ status: 200, body: '' });
});

test.each(['localhost', '127.0.0.1', '[::1]', 'localhost:9', '127.0.0.1:80', 'LOCALHOST'])(
  'Host %s is accepted',
  async (host) => {
    expect((await ask(await open(), '/live', { host })).status).toBe(200);
  },
);

test.each(['evil.example', '127.0.0.1.evil.example', 'localhost.evil', '10.0.0.7', 'a@localhost', 'localhost:x'])(
  'Host "%s" is refused on loopback',
  async (host) => {
    const answer = await ask(await open(), '/metrics', { host });
    expect(answer.status).toBe(421);
    expect(answer.body).not.toContain('build_info');
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'host-mismatch', status: 421 });
  },
);

test('beyond loopback an address of the pod is accepted and a name is not', async () => {
  const port = await openOn({ kind: 'tcp', host: '0.0.0.0', port: 0 }, READY);
  expect((await ask(port, '/live', { host: '10.1.2.3:5335' })).status).toBe(200);
  expect((await ask(port, '/live', { host: '[fd00::7]:5335' })).status).toBe(200);
  expect((await ask(port, '/live', { host: 'evil.example:5335' })).status).toBe(421);
});

test('a configured name and the bound name are accepted', () => {
  expect(isOurHost('Pod-1.ns:80', { kind: 'tcp', host: '0.0.0.0', port: 1 }, ['pod-1.ns'])).toBe(true);
  expect(isOurHost('box', { kind: 'tcp', host: 'box', port: 1 }, [])).toBe(true);
  expect(isOurHost('10.0.0.1', { kind: 'unix', path: '/x' }, [])).toBe(false);
});

test.each(['http://127.0.0.1', 'null', 'https://evil.example'])(
  'a request of a page (%s) is refused',
  async (origin) => {
    expect(await ask(await open(), '/metrics', { origin })).toMatchObject({ status: 403 });
  },
);

test('other methods and other paths are refused', async () => {
  const port = await open();
  const posted = await ask(port, '/live', { 'content-type': 'application/json' }, 'POST');
  expect(posted.status).toBe(405);
  expect(posted.headers['allow']).toBe('GET, HEAD');
  expect((await ask(port, '/')).status).toBe(404);
  expect((await ask(port, '/__proto__')).status).toBe(404);
  expect((await ask(port, 'http://127.0.0.1/live')).status).toBe(404);
});

test.each([
  ['two Host fields', 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n'],
  ['an empty Host', 'GET /metrics HTTP/1.1\r\nHost:\r\n'],
  ['no Host', 'GET /metrics HTTP/1.0\r\n'],
])('%s is refused', async (_what, head) => {
  const socket = connect(await open(), '127.0.0.1');
  socket.write(`${head}Connection: close\r\n\r\n`);
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 4(00|21) /);
});

test('a scraper keeps its connection, a refused request loses it', async () => {
  const socket = connect(await open(), '127.0.0.1');
  socket.write('GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [first] = (await once(socket, 'data')) as [Buffer];
  expect(first.toString()).toContain('Connection: keep-alive');
  socket.write('GET /live HTTP/1.1\r\nHost: evil.example\r\n\r\n');
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 421 /);
});

test('an address in use is a clear error', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  onTestFinished(() => void holder.close());
  const { port } = holder.address() as { port: number };
  await expect(openOn({ kind: 'tcp', host: '127.0.0.1', port }, READY)).rejects.toMatchObject({
    code: 'address-unavailable',
    detail: expect.stringContaining('EADDRINUSE'),
  });
});

test('silent connections do not keep a probe from its answer', async () => {
  const port = await open();
  const silent = await Promise.all(
    Array.from({ length: 80 }, async () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    }),
  );
  onTestFinished(() => silent.forEach((socket) => socket.destroy()));
  expect((await fetch(`http://127.0.0.1:${port}/live`)).status).toBe(200);
});
