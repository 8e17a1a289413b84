import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { generateEcKey } from '../../src/certificate/key.ts';
import { signerOf } from '../../src/certificate/certificate.ts';
import { makeAuthority } from '../../src/certificate/egress-authority.ts';
import { exposePrivateKey } from '../../src/certificate/key.ts';
import { issueLeaf } from '../../src/certificate/leaf.ts';
import { answer } from '../http/answers.ts';
import { OPEN_HOST, SERVED_HOST } from './hosts.ts';

/** The upstream, a process of its own: TLS alone, on the same kind of key as the sidecar's, HTTP/1.1 and HTTP/2. */
const token = process.env['BENCH_TOKEN'] ?? '';

async function openServer(): Promise<{ readonly server: Http2SecureServer; readonly ca: string }> {
  const authority = await makeAuthority([], 30, new Date());
  const signer = await signerOf(authority);
  const { publicKey, privateKey } = await generateEcKey();
  const validity = { now: new Date(), until: authority.validUntil };
  const key = exposePrivateKey(privateKey, (text) => String(text));
  const identity = async (host: string): Promise<{ readonly key: string; readonly cert: string }> => ({
    key,
    cert: await issueLeaf(host, publicKey, signer, validity),
  });
  const server = createSecureServer({ allowHTTP1: true, ...(await identity(SERVED_HOST)) }, serve);
  server.addContext(OPEN_HOST, await identity(OPEN_HOST));
  return { server, ca: authority.certificate };
}

/** The other protocol has the same surface. */
function serve(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (request.headers['content-type'] === 'application/grpc') echo(request, response);
  else answer(request as unknown as IncomingMessage, response as unknown as ServerResponse, token);
}

function echo(request: Http2ServerRequest, response: Http2ServerResponse): void {
  if (request.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401).end();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/grpc' });
  request.on('data', (chunk: Buffer) => response.write(chunk));
  request.on('end', () => {
    response.addTrailers({ 'grpc-status': '0' });
    response.end();
  });
}

const { server, ca } = await openServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () =>
  process.send!({ port: (server.address() as AddressInfo).port, ca }),
);
process.on('disconnect', () => process.exit());
