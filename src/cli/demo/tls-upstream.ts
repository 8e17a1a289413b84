import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Agent, fetch } from 'undici';
import type { Identity } from '../../certificate/certificate.ts';
import { issueServerIdentity } from '../../certificate/server.ts';
import { openCall, overSocket } from './grpc-call.ts';
import { medianMs } from './median.ts';
import { isSame, type Seen } from './upstream.ts';

/** An API that speaks TLS alone, HTTP/1.1 and HTTP/2, under two names: one wants a token, the other takes anybody. */
export interface TlsUpstream {
  readonly port: number;
  readonly seen: readonly Seen[];
  /** PEM of the authority that signed its certificate, as a file. */
  readonly caFile: string;
  /** SHA-256 of its certificate. */
  readonly fingerprint: string;
  /** Medians with the token and without the sidecar, in milliseconds. */
  readonly directMs: { readonly request: number; readonly message: number };
  close(): void;
}

/** Names that no DNS knows: the sidecar is told their address. */
export const GUARDED_HOST = 'api.demo.test';
export const OPEN_HOST = 'open.demo.test';

export async function openTlsUpstream(folder: string, token: string, authority: Identity): Promise<TlsUpstream> {
  const { key, certificate } = await issueServerIdentity(authority, [GUARDED_HOST, OPEN_HOST]);
  const caFile = join(folder, 'upstream-ca.pem');
  await writeFile(caFile, authority.certificate);
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const server = createSecureServer({ key, cert: certificate, allowHTTP1: true }, (request, response) => {
    const credential = credentialOf(request, token);
    const row = request.headers['x-demo'];
    if (row !== undefined) seen.push({ row: String(row), method: request.method, path: request.url, credential });
    const host = request.headers[':authority'] ?? request.headers.host ?? '';
    if (credential === 'none' && !host.startsWith(OPEN_HOST)) refuse(request, response);
    else if (request.headers['content-type'] === 'application/grpc') echoMessages(request, response);
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":["one","two","three"]}\n');
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const directMs = await measureDirect(port, authority.certificate, token);
  return { port, seen, caFile, fingerprint: new X509Certificate(certificate).fingerprint256, directMs, close };
}

function credentialOf({ headers }: Http2ServerRequest, token: string): string {
  const authorization = headers.authorization ?? '';
  if (isSame(authorization, `Bearer ${token}`)) return `Bearer token (${token.length} characters)`;
  return authorization === '' ? 'none' : 'none that is right';
}

function refuse(request: Http2ServerRequest, response: Http2ServerResponse): void {
  request.resume();
  response.writeHead(401, { 'content-type': 'text/plain' }).end('who are you?\n');
}

/** A gRPC method of streams: each message goes back as it came. It sees no need to tell where one begins. */
function echoMessages(request: Http2ServerRequest, response: Http2ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/grpc' });
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => response.write(chunk));
  request.on('end', () => {
    response.addTrailers({ 'grpc-status': '0' });
    response.end();
  });
}

async function measureDirect(port: number, ca: string, token: string): Promise<TlsUpstream['directMs']> {
  const headers = { authorization: `Bearer ${token}` };
  const dispatcher = new Agent({ connect: { ca, servername: GUARDED_HOST } });
  const ask = async (): Promise<unknown> =>
    (await fetch(`https://127.0.0.1:${port}/v1/items`, { headers, dispatcher })).text();
  await ask();
  const request = await medianMs(ask);
  await dispatcher.close();
  const socket = connect({ host: '127.0.0.1', port, ca, servername: GUARDED_HOST, ALPNProtocols: ['h2'] });
  await once(socket, 'secureConnect');
  const session = overSocket(`${GUARDED_HOST}:${port}`, socket);
  const call = openCall(session, headers);
  await call.exchange('a message');
  const message = await medianMs(() => call.exchange('another'));
  await call.end();
  session.destroy();
  return { request, message };
}
