import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { readRequests, type StrictRequest } from './strict-reader.ts';

/** One request as an upstream read it. */
export interface Seen {
  /** Number of the connection it came on. */
  readonly connection: number;
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** False where the connection ended before the body did. */
  readonly complete: boolean;
  /** Present where the strict reader read it. */
  readonly strict?: StrictRequest;
}

export interface Recorder {
  readonly port: number;
  /** Requests by order of arrival on each connection. */
  seen(): readonly Seen[] | Promise<readonly Seen[]>;
  /** What no reader of RFC 9112 takes for a request. */
  problems(): readonly string[];
}

/** A recorder whose requests are at hand at once. */
export interface InProcessRecorder extends Recorder {
  seen(): readonly Seen[];
}

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Kept {
  readonly whole: StrictRequest[];
  /** Not yet a whole request. */
  rest: Buffer;
}

/** Keeps every byte per connection and answers each request that the strict reader takes for whole. */
export async function startStrictRecorder(): Promise<InProcessRecorder> {
  const connections: Kept[] = [];
  const sockets = new Set<Socket>();
  const server = createRawServer((socket) => {
    const kept: Kept = { whole: [], rest: Buffer.alloc(0) };
    connections.push(kept);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      const bytes = Buffer.concat([kept.rest, chunk]);
      const { messages, end, problem } = readRequests(bytes);
      const whole = messages.filter(({ complete }) => complete);
      kept.whole.push(...whole);
      kept.rest = bytes.subarray(end);
      socket.write(ANSWER.repeat(whole.length));
      if (problem !== undefined)
        socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
  });
  const port = await listen(server, () => sockets.forEach((socket) => socket.destroy()));
  return {
    port,
    seen: () =>
      connections.flatMap(({ whole, rest }, connection) =>
        [...whole, ...readRequests(rest).messages].map((strict) => ({ connection, ...strict, strict })),
      ),
    problems: () =>
      connections.map(({ rest }) => readRequests(rest).problem).filter((problem) => problem !== undefined),
  };
}

/** A second pair of eyes: what node:http takes for requests. */
export async function startNodeRecorder(): Promise<InProcessRecorder> {
  const seen: Seen[] = [];
  const problems: string[] = [];
  const numbers = new Map<Socket, number>();
  // Takes larger heads than the sidecar does, so that no limit of its own stands in for a reading.
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (request, response) => {
    const record = { ...recordOf(request), connection: numbers.get(request.socket)!, body: '', complete: false };
    seen.push(record);
    request.setEncoding('latin1');
    request.on('data', (chunk: string) => (record.body += chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      record.complete = true;
      response.end('ok');
    });
  });
  server.on('connection', (socket) => numbers.set(socket, numbers.size));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') problems.push(error.message);
    socket.destroy();
  });
  const port = await listen(server, () => server.closeAllConnections());
  return { port, seen: () => seen, problems: () => problems };
}

function recordOf(request: IncomingMessage): Pick<Seen, 'method' | 'target' | 'fields'> {
  const fields: [string, string][] = [];
  const { rawHeaders } = request;
  for (let at = 0; at < rawHeaders.length; at += 2) fields.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
  return { method: request.method!, target: request.url!, fields };
}

export async function listen(server: Server, closeAll: () => void, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(() => {
    server.close();
    closeAll();
  });
  return (server.address() as AddressInfo).port;
}
