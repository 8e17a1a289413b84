import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as NetServer, Socket } from 'node:net';
import type { ListenAddress } from '../config/config.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { createServer } from '../node-http.ts';
import type { Log } from './log.ts';

const HEADER_BYTES_MAX = 8 * 1024;
const BODY_BYTES_MAX = 4 * 1024;
const CONNECTIONS_MAX = 64;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
const CHECK_INTERVAL_MS = 5_000;

export interface LocalAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Runs once the answer is out. */
  readonly after?: () => void;
}

/** `query` of the target. Errors become problem+json (RFC 9457). */
export type LocalRoute = (query: URLSearchParams) => LocalAnswer | Promise<LocalAnswer>;

export interface LocalServerOptions {
  /** Routes by path, then method. HEAD is answered by GET. POST takes a JSON body of at most 4 KiB, or none. */
  readonly routes: Readonly<Record<string, Partial<Record<'GET' | 'POST', LocalRoute>>>>;
  /** Whether a `Host` field names this server: keeps out pages that rebind a DNS name to a local address. */
  readonly hostAllowed: (host: string) => boolean;
  readonly log: Log;
}

/**
 * A small strict HTTP server for local programs, never for browsers: foreign `Host` is 421, any `Origin` is 403, and
 * every limit is low. It does not listen yet.
 */
export function createLocalServer(options: LocalServerOptions): Server {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    (request, response) => void serve(options, request, response),
  );
  makeRoom(server);
  // An accept error such as EMFILE arrives here as well and must not end the process.
  server.on('error', (error) => options.log.warn({ error }, 'local server failed'));
  return server;
}

/**
 * Holds at most `CONNECTIONS_MAX` sockets. A new one pushes out the one that has waited longest without asking: silent
 * connections must not keep a probe from its answer.
 */
function makeRoom(server: Server): void {
  const waiting = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    waiting.add(socket);
    socket.once('close', () => waiting.delete(socket));
    if (waiting.size > CONNECTIONS_MAX) for (const oldest of waiting) return void oldest.destroy();
  });
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    waiting.delete(socket);
    response.once('close', () => {
      if (!socket.destroyed) waiting.add(socket);
    });
  });
}

async function serve(options: LocalServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let answer: LocalAnswer;
  try {
    const { route, query } = admit(options, request);
    if (request.method === 'POST') await readJson(request);
    answer = await route(query);
  } catch (thrown) {
    const error = asSidecarError(thrown);
    if (error.fault === 'internal') options.log.error({ error }, 'local request failed');
    answer = problem(error);
  }
  if (response.destroyed) return;
  if (answer.after !== undefined) response.once('finish', answer.after);
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(answer.status === 405 ? { allow: allowedMethods(options, request) } : {}),
    // What is left of a refused body is not read.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

function admit(options: LocalServerOptions, request: IncomingMessage): { route: LocalRoute; query: URLSearchParams } {
  const hosts = request.headersDistinct['host'] ?? [];
  if (hosts.length !== 1 || !options.hostAllowed(hosts[0]!)) throw new SidecarError('host-mismatch');
  if (request.headers['origin'] !== undefined) throw new SidecarError('origin-refused');
  const { path, query } = splitTarget(request);
  const methods = Object.hasOwn(options.routes, path) ? options.routes[path] : undefined;
  if (methods === undefined) throw new SidecarError('not-found');
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const route = method === 'GET' || method === 'POST' ? methods[method] : undefined;
  if (route === undefined) throw new SidecarError('method-refused');
  return { route, query: new URLSearchParams(query) };
}

function splitTarget(request: IncomingMessage): { path: string; query: string } {
  const target = request.url ?? '';
  const mark = target.indexOf('?');
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

function allowedMethods(options: LocalServerOptions, request: IncomingMessage): string {
  const methods = Object.keys(options.routes[splitTarget(request).path] ?? {});
  return methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
}

/**
 * Reads a JSON body, or none. The content type is demanded either way: a form of a web page cannot send it
 * (Fetch standard, CORS-safelisted request-header).
 */
async function readJson(request: IncomingMessage): Promise<void> {
  const mediaType = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (mediaType !== 'application/json') throw new SidecarError('media-type-refused');
  const text = await readText(request);
  if (text === '') return;
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new SidecarError('media-type-refused', { cause });
  }
}

function readText(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
      else {
        request.pause();
        reject(new SidecarError('body-too-large'));
      }
    });
    request.once('end', () => resolve(Buffer.concat(chunks).toString()));
    request.once('close', () => reject(new SidecarError('request-timeout')));
  });
}

/** Problem details (RFC 9457). The configuration's problems are the only details that are told: the caller wrote it. */
function problem(error: SidecarError): LocalAnswer {
  const details = error.code === 'config-invalid' && error.detail !== undefined ? error.detail : error.next;
  const body = {
    type: `urn:secretless:problem:${error.code}`,
    title: error.sentence,
    status: error.status,
    code: error.code,
    detail: details,
  };
  return { status: error.status, contentType: 'application/problem+json', body: `${JSON.stringify(body)}\n` };
}

export function jsonAnswer(status: number, body: unknown, after?: () => void): LocalAnswer {
  const answer = { status, contentType: 'application/json', body: `${JSON.stringify(body)}\n` };
  return after === undefined ? answer : { ...answer, after };
}

/**
 * Listens, and returns the address with the port the system chose. A Unix socket gets `mode` from its first instant;
 * what lies at its path must be gone already. Errors: `address-unavailable`.
 */
export function listenOn(server: NetServer, address: ListenAddress, mode = 0o600): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void =>
      reject(new SidecarError('address-unavailable', { detail: cause.message, cause }));
    server.once('error', failed);
    const listening = (): void => {
      server.off('error', failed);
      const bound = server.address();
      if (address.kind === 'tcp' && typeof bound === 'object' && bound !== null) {
        resolve({ kind: 'tcp', host: address.host, port: bound.port });
      } else resolve(address);
    };
    if (address.kind === 'tcp') server.listen({ host: address.host, port: address.port }, listening);
    else underUmask(~mode & 0o777, () => server.listen({ path: address.path }, listening));
  });
}

/** The bind of a Unix socket happens inside `listen`, so the mask covers exactly that: no chmod, no moment between. */
function underUmask(mask: number, act: () => void): void {
  const before = process.umask(mask);
  try {
    act();
  } finally {
    process.umask(before);
  }
}

/** Closes at once: requests of this kind are short and repeated. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
