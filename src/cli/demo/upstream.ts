import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

/** The credentials of the demo: made anew for each run. */
export interface DemoCredentials {
  readonly token: string;
  readonly password: string;
  readonly key: string;
  readonly consumerSecret: string;
  readonly accessSecret: string;
}

export interface Seen {
  /** Label of the demo row, from the header `X-Demo`. */
  readonly row: string;
  readonly method: string;
  readonly path: string;
  /** What it accepted: the name of the credential and its length, never the value. */
  readonly credential: string;
}

export interface DemoUpstream {
  readonly port: number;
  readonly seen: readonly Seen[];
  close(): void;
}

/** An API that answers 401 to everyone without the right credential. */
export async function openUpstream(credentials: DemoCredentials): Promise<DemoUpstream> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const credential = accepted(request, credentials);
    if (request.headers['x-demo'] !== undefined) {
      const [path = ''] = request.url!.split('?');
      seen.push({
        row: String(request.headers['x-demo']),
        method: request.method!,
        path,
        credential: credential ?? 'none',
      });
    }
    if (credential === undefined) response.writeHead(401, { 'content-type': 'text/plain' }).end('who are you?\n');
    else answer(request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => upgrade(request, socket, credentials, seen));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, seen, close: () => end(server) };
}

function end(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (!request.url!.includes('/events')) {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":["one","two","three"]}\n');
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let event = 0;
  const timer = setInterval(() => {
    event += 1;
    response.write(`data: ${event}\n\n`);
    if (event === 3) {
      clearInterval(timer);
      response.end();
    }
  }, 100);
}

/** RFC 6455 section 1.3: the fixed GUID of the handshake. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function upgrade(request: IncomingMessage, socket: Duplex, credentials: DemoCredentials, seen: Seen[]): void {
  const credential = accepted(request, credentials);
  seen.push({
    row: String(request.headers['x-demo']),
    method: 'GET',
    path: request.url!,
    credential: credential ?? 'none',
  });
  if (credential === undefined) {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${WEBSOCKET_GUID}`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.pipe(socket);
}

/** The credential that a request brings, described; undefined where it brings none that is right. */
function accepted(request: IncomingMessage, credentials: DemoCredentials): string | undefined {
  const authorization = request.headers.authorization ?? '';
  if (isSame(authorization, `Bearer ${credentials.token}`))
    return `Bearer token (${credentials.token.length} characters)`;
  const basic = `Basic ${Buffer.from(`demo-user:${credentials.password}`).toString('base64')}`;
  if (isSame(authorization, basic)) return `Basic demo-user + password (${credentials.password.length} characters)`;
  const url = new URL(request.url!, `http://${request.headers.host}`);
  const key = url.searchParams.getAll('key');
  if (key.length === 1 && isSame(key[0]!, credentials.key)) return `?key= (${key[0]!.length} characters)`;
  if (isSigned(request.method!, url, authorization, credentials)) return 'OAuth 1.0a signature (2 secrets)';
  return undefined;
}

export function isSame(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** RFC 5849 section 3.2: recomputes an HMAC-SHA1 signature. */
function isSigned(method: string, url: URL, authorization: string, credentials: DemoCredentials): boolean {
  if (!authorization.startsWith('OAuth ')) return false;
  const fields = [...authorization.matchAll(/(oauth_[a-z_]+)="([^"]*)"/g)].map(
    ([, name, value]) => [name!, decodeURIComponent(value!)] as const,
  );
  const signature = fields.find(([name]) => name === 'oauth_signature')?.[1] ?? '';
  const pairs = [...url.searchParams, ...fields.filter(([name]) => name !== 'oauth_signature')]
    .map(([name, value]) => `${percent(name)}=${percent(value)}`)
    .sort();
  const base = [method, `${url.origin}${url.pathname}`, pairs.join('&')].map(percent).join('&');
  const key = `${percent(credentials.consumerSecret)}&${percent(credentials.accessSecret)}`;
  return isSame(signature, createHmac('sha1', key).update(base).digest('base64'));
}

function percent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
