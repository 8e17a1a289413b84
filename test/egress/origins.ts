import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest } from 'node:http2';
import { createServer as createHttpsServer, type Server } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { WebSocketServer } from 'ws';
import type { Identity } from '../../src/certificate/certificate.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';

/** A request as an origin saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  /** `1.1` or `2.0`. */
  readonly version: string;
  /** Every value of Authorization. */
  readonly credentials: readonly string[];
  readonly rawHeaders: readonly string[];
}

export interface Origin {
  readonly port: number;
  /** All since the last `splice`. */
  readonly seen: Seen[];
  /** Connections accepted. */
  readonly dialled: () => number;
  readonly close: () => void;
}

export type Request = IncomingMessage | Http2ServerRequest;
/** What both engines have. */
export type Response = Pick<ServerResponse, 'setHeader' | 'write' | 'end' | 'on' | 'once' | 'writableNeedDrain'> & {
  writeHead(status: number, fields?: Record<string, string>): unknown;
};
export type Answer = (request: Request, response: Response, path: string) => void;

export interface OriginOptions {
  readonly issuer: Identity;
  readonly host: string | readonly string[];
  /** The one value of Authorization that opens it. */
  readonly credential: string;
  /** What it speaks; default both, by ALPN. */
  readonly speaks?: '1.1' | '2' | 'both';
  /** Default: any free port of 127.0.0.1. */
  readonly at?: { readonly address: string; readonly port: number };
  readonly answer: Answer;
}

/** An https origin on loopback that answers 401 to everybody without the credential. */
export async function startOrigin(options: OriginOptions): Promise<Origin> {
  const { issuer, host, credential, speaks = 'both', at = ANYWHERE, answer } = options;
  const { certificate: cert, key } = await issueServerIdentity(issuer, [host].flat());
  const seen: Seen[] = [];
  const admits = (request: Request): boolean => {
    const { method = '', url = '/', httpVersion: version, rawHeaders } = request;
    const credentials = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'authorization' && at % 2);
    seen.push({ method, path: url, version, credentials, rawHeaders });
    return credentials.length === 1 && credentials[0] === credential;
  };
  const listener = (request: Request, response: unknown): void => {
    const to = response as Response;
    request.on('error', () => undefined);
    to.on('error', () => undefined);
    if (admits(request)) return answer(request, to, request.url!.replace(/\?.*/, ''));
    request.resume();
    to.writeHead(401, { 'www-authenticate': 'Basic realm="origin"' });
    to.end('who are you?');
  };
  const server: Server | Http2SecureServer =
    speaks === '1.1'
      ? createHttpsServer({ cert, key }, listener)
      : createSecureServer({ cert, key, allowHTTP1: speaks === 'both' }, listener as never);
  const sockets = new WebSocketServer({ noServer: true });
  (server as Server).on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined);
    if (!admits(request)) return void socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (one) =>
      one.on('message', (message: Buffer) => one.send(`you said ${message.toString()}`)),
    );
  });
  return { seen, ...(await listening(server as Server, at)) };
}

const ANYWHERE = { address: '127.0.0.1', port: 0 };

async function listening(server: Server, { address, port } = ANYWHERE) {
  const sockets = new Set<Socket>();
  let dialled = 0;
  server.on('connection', (socket: Socket) => {
    dialled += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  server.listen(port, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    dialled: () => dialled,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** TLS in front of a server that speaks in clear. */
export async function startTlsBefore(issuer: Identity, host: string, port: number) {
  const { certificate: cert, key } = await issueServerIdentity(issuer, [host]);
  const server = createTlsServer({ cert, key }, (socket) => {
    const inner = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.pipe(other);
    }
  });
  return listening(server as unknown as Server);
}

/** `GET /hello`; bodies are answered by their length and SHA-256. */
export const helloAnswer: Answer = (request, response) => {
  if (request.method === 'GET') {
    response.end(`hello over ${request.httpVersion}`);
    return;
  }
  const hash = createHash('sha256');
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`));
};
