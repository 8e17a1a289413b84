import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https';
import { connect as connectTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import type { Identity } from '../src/certificate/certificate.ts';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { canary, keepArtefact } from './canary.ts';
import { Peer } from './http-kit.ts';
import { startRig, temporaryFolder, type Rig } from './rig.ts';

/** Issues the certificates of upstreams: one for all tests of a file, its key takes a while. */
let authority: Promise<Identity> | undefined;

export function testAuthority(): Promise<Identity> {
  return (authority ??= issueAuthority('authority of the upstreams'));
}

export interface Origin {
  readonly server: HttpsServer | Server;
  readonly port: number;
  readonly requests: IncomingMessage[];
  /** Connections accepted. */
  readonly dialled: () => number;
  /** PEM of its certificate. */
  readonly certificate: string;
}

const hello: RequestListener = (request, response) => {
  request.resume();
  request.on('end', () => response.end(`hello from ${request.headers.host}`));
};

/** An https upstream on loopback with a certificate for `names`; `issuer` other than the test's own makes it untrusted. */
export async function startOrigin(
  names: readonly string[],
  answer: RequestListener = hello,
  issuer?: Identity,
): Promise<Origin> {
  const identity = await issueServerIdentity(issuer ?? (await testAuthority()), names);
  const requests: IncomingMessage[] = [];
  const server = createTlsServer({ key: identity.key, cert: identity.certificate }, (request, response) => {
    requests.push(request);
    answer(request, response);
  });
  return { ...(await listening(server)), requests, certificate: identity.certificate };
}

/** The same in clear. */
export async function startPlainOrigin(answer: RequestListener = hello): Promise<Origin> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  return { ...(await listening(server)), requests, certificate: '' };
}

async function listening<Kind extends HttpsServer | Server>(server: Kind) {
  let dialled = 0;
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    dialled += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { server, port: (server.address() as AddressInfo).port, dialled: () => dialled };
}

export interface EgressRig {
  readonly rig: Rig;
  readonly port: number;
  /** PEM that clients trust. */
  readonly ca: string;
  /** File with the authority of the upstreams. */
  readonly upstreamCa: string;
  readonly token: string;
  /** The text that the rig was made of, for reloads. */
  readonly yaml: string;
}

export interface EgressLines {
  /** YAML of services, indented by two; `{ca}` is the file of the upstreams' authority. */
  readonly services?: string;
  /** YAML of `egress` without `listenOn`, indented by two. */
  readonly egress?: string;
  /** More top-level lines. */
  readonly top?: string;
  readonly env?: Record<string, string>;
}

/** For tests in which no service is used. */
const ELSEWHERE = service('elsewhere', 'https://elsewhere.test');

/** A sidecar with an egress listener; the credential of its services is `{ from: env, get: EGRESS_TOKEN }`. */
export async function startEgress({
  services = ELSEWHERE,
  egress = '',
  top = '',
  env = {},
}: EgressLines): Promise<EgressRig> {
  const upstreamCa = join(temporaryFolder(), 'ca.pem');
  writeFileSync(upstreamCa, (await testAuthority()).certificate);
  const token = canary();
  const yaml = `services:\n${services}\negress:\n  listenOn: tcp://127.0.0.1:0\n${egress}\n${top}`.replaceAll(
    '{ca}',
    upstreamCa,
  );
  const rig = await startRig(yaml, { EGRESS_TOKEN: token, ...env });
  const ca = readFileSync(join(rig.folder, 'egress-ca.pem'), 'utf8');
  return { rig, port: egressPort(rig), ca, upstreamCa, token, yaml };
}

export function egressPort(rig: Rig): number {
  const { address } = rig.sidecar.status().listeners.find(({ egress }) => egress !== undefined)!;
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** One service that injects the credential as `X-Api-Key`. */
export function service(name: string, target: string, more = ''): string {
  return [
    `  ${name}:`,
    '    connector: http',
    `    target: ${target}`,
    '    credentials: { token: { from: env, get: EGRESS_TOKEN } }',
    '    config: { headers: { X-Api-Key: "{{ .token }}" } }',
    '    tls: { ca: "{ca}" }',
    ...(more === '' ? [] : [`    ${more}`]),
    '',
  ].join('\n');
}

export interface Tunnel {
  readonly status: number;
  /** Head and what came behind it. */
  readonly text: string;
  readonly socket: Socket;
}

/** Asks for a tunnel and waits for the answer. */
export async function connectTunnel(port: number, target: string, fields: readonly string[] = []): Promise<Tunnel> {
  const lines = [`CONNECT ${target} HTTP/1.1`, ...fields];
  if (!fields.some((field) => /^host:/i.test(field))) lines.splice(1, 0, `Host: ${target}`);
  const socket = connectTcp(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.write(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
  const text = await answerOf(socket);
  return { status: Number(text.split(' ')[1] ?? 0), text, socket };
}

/** The head of an answer; of a refusal all that comes. */
function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const done = (): void => {
      socket.off('data', took).off('close', done);
      socket.pause();
      keepArtefact('downstream', text);
      resolve(text);
    };
    const took = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (/^HTTP\/1\.1 200[^]*\r\n\r\n$/.test(text)) done();
    };
    socket.on('data', took).on('close', done);
  });
}

/** TLS on a tunnel; rejects where the handshake fails. */
export function secure(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  const tls = connectTls({ socket, ...options });
  onTestFinished(() => void tls.destroy());
  return new Promise((resolve, reject) => {
    tls.once('secureConnect', () => resolve(tls));
    tls.once('error', reject);
    tls.once('close', () => reject(new Error('closed during the handshake')));
  });
}

/** One request on a connection, read to its end. */
export async function askOn(socket: Socket, request: string): Promise<string> {
  const peer = new Peer(socket, 'downstream');
  peer.write(request);
  socket.resume();
  return peer.end();
}

/** A whole GET through the proxy, as a client that knows nothing of the sidecar. */
export async function getThrough(
  { port, ca }: Pick<EgressRig, 'port' | 'ca'>,
  authority: string,
  path = '/',
  fields: readonly string[] = [],
): Promise<string> {
  const { status, text, socket } = await connectTunnel(port, authority, fields);
  if (status !== 200) return text;
  const [host] = authority.split(':');
  const tls = await secure(socket, { servername: host!, ca });
  return askOn(tls, `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
}
