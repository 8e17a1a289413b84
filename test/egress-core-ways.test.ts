import { connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer, WebSocket } from 'ws';
import { canary } from './canary.ts';
import { connectTunnel, getThrough, secure, service, startEgress, startOrigin } from './egress-core-kit.ts';
import { problemOf } from './http-kit.ts';

const resolve = '  resolve: { api.test: 127.0.0.1 }\n';

/** One request over HTTP/2 on a connection of its own. */
async function askHttp2(socket: Socket, fields: Record<string, string>) {
  const session = connectHttp2('https://api.test', { createConnection: () => socket });
  session.on('error', () => undefined);
  onTestFinished(() => session.destroy());
  const stream = session.request(fields);
  const headers = await new Promise<IncomingHttpHeaders>((done, fail) => {
    stream.once('response', done).once('error', fail);
  });
  let body = '';
  for await (const chunk of stream) body += String(chunk);
  return { status: headers[constants.HTTP2_HEADER_STATUS], body };
}

test('a client that speaks HTTP/2 is served in its tunnel, and held to the authority of it', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const open = async (): Promise<Socket> => {
    const { socket } = await connectTunnel(egress.port, authority);
    const tls = await secure(socket, { servername: 'api.test', ca: egress.ca, ALPNProtocols: ['h2', 'http/1.1'] });
    expect(tls.alpnProtocol).toBe('h2');
    return tls;
  };
  const good = await askHttp2(await open(), { ':path': '/x', ':authority': authority });
  expect([good.status, good.body.startsWith('hello from api.test')]).toEqual([200, true]);
  expect(upstream.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  const bad = await askHttp2(await open(), { ':path': '/x', ':authority': 'other.test' });
  expect([bad.status, JSON.parse(bad.body)]).toMatchObject([421, { code: 'host-mismatch' }]);
  expect(upstream.requests).toHaveLength(1);
});

test('a websocket goes through a tunnel, and the credential with its handshake', async () => {
  const upstream = await startOrigin(['api.test']);
  const sockets = new WebSocketServer({ server: upstream.server as never });
  onTestFinished(() => sockets.close());
  let shown: unknown;
  sockets.on('connection', (socket, request) => {
    shown = request.headers['x-api-key'];
    socket.on('message', (message) => socket.send(`echo ${(message as Buffer).toString()}`));
  });
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  const client = new WebSocket(`wss://${authority}/`, { createConnection: () => tls });
  const answer = await new Promise<string>((done, fail) => {
    client.on('open', () => client.send('hi')).on('error', fail);
    client.on('message', (message) => done((message as Buffer).toString()));
  });
  client.terminate();
  expect(answer).toBe('echo hi');
  expect(shown === egress.token).toBe(true);
});

/** A corporate proxy that opens tunnels to whoever logs in. */
async function startProxy(password: string) {
  const asked: { target: string; admitted: boolean }[] = [];
  const server = createServer().on('connect', (request, downstream: Socket) => {
    const login = `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
    const admitted = request.headers['proxy-authorization'] === login;
    asked.push({ target: request.url!, admitted });
    if (!admitted) return downstream.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const [host, port] = request.url!.split(':');
    const upstream = connect(Number(port), host);
    for (const one of [downstream, upstream]) one.on('error', () => undefined);
    downstream.write('HTTP/1.1 200 OK\r\n\r\n');
    downstream.pipe(upstream).pipe(downstream);
    return undefined;
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, asked };
}

test('connections lead through the proxy on the way, to the checked address, with its credentials', async () => {
  const password = canary();
  const proxy = await startProxy(password);
  const upstream = await startOrigin(['api.test']);
  const login = 'username: me, password: { from: env, get: PROXY_PASSWORD }';
  const egress = await startEgress({
    services: service('api', `https://api.test:${upstream.port}`),
    egress: `${resolve}  upstreamProxy: { url: "http://127.0.0.1:${proxy.port}", ${login} }\n`,
    env: { PROXY_PASSWORD: password },
  });
  expect(await getThrough(egress, `api.test:${upstream.port}`)).toMatch(/^HTTP\/1\.1 200/);
  expect(proxy.asked).toEqual([{ target: `127.0.0.1:${upstream.port}`, admitted: true }]);
});

test('a proxy on the way that refuses is told of in the answer, and not worked around', async () => {
  const proxy = await startProxy(canary());
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({
    services: service('api', `https://api.test:${upstream.port}`),
    egress: `${resolve}  upstreamProxy: "http://127.0.0.1:${proxy.port}"\n`,
  });
  const text = await getThrough(egress, `api.test:${upstream.port}`);
  expect(problemOf(text)).toMatchObject({ status: 502, code: 'proxy-refused' });
  expect(upstream.dialled()).toBe(0);
});
