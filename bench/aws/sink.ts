import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The upstream: takes every call and every object, sends objects of any length, and verifies nothing but the length of
 * what it gets, so that it is not what is measured.
 */
const ITEM = Buffer.from('{}');
const JSON_HEAD = { 'content-type': 'application/x-amz-json-1.0', 'content-length': ITEM.length };
const BLOCK = Buffer.alloc(64 * 1024, 'x');

const server = createServer({ highWaterMark: 256 * 1024 }, (request, response) => {
  if (request.headers.authorization === undefined) {
    response.writeHead(403, { 'content-length': 0 }).end();
    request.resume();
  } else if (request.method === 'GET') {
    source(Number(request.url?.split('bytes=')[1] ?? 0), response);
  } else {
    sink(request, response);
  }
});

function sink(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  request.once('end', () => {
    if (bytes !== Number(request.headers['content-length'])) response.writeHead(400, { 'content-length': 0 }).end();
    else if (request.method === 'POST') response.writeHead(200, JSON_HEAD).end(ITEM);
    else response.writeHead(200, { etag: '"bench"', 'content-length': 0 }).end();
  });
}

function source(bytes: number, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': bytes });
  let left = bytes;
  const more = (): void => {
    let room = true;
    while (left > 0 && room) {
      const chunk = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK;
      left -= chunk.length;
      room = response.write(chunk);
    }
    if (left === 0) response.end();
    else response.once('drain', more);
  };
  more();
}

server.keepAliveTimeout = 120_000;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () =>
  process.send!({ port: (server.address() as AddressInfo).port }),
);
process.on('disconnect', () => process.exit());
