import type { IncomingMessage, ServerResponse } from 'node:http';

const ITEM = Buffer.from(
  JSON.stringify({ items: [{ id: 1, name: 'first', done: false, tags: ['a', 'b'] }], next: null }),
);
const BLOCK = Buffer.alloc(64 * 1024, 'x');
const JSON_HEAD = { 'content-type': 'application/json', 'content-length': ITEM.length };

/**
 * Answers as an upstream of the benches: a small JSON document for the right credential, 401 for any other; `/v1/sink`
 * counts a body, `/v1/body?bytes=N` sends one.
 */
export function answer(request: IncomingMessage, response: ServerResponse, token: string): void {
  if (request.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401, { 'content-length': 0 }).end();
    request.resume();
    return;
  }
  if (request.url === '/v1/items') response.writeHead(200, JSON_HEAD).end(ITEM);
  else if (request.url === '/v1/sink') sink(request, response);
  else source(Number(request.url?.split('bytes=')[1] ?? 0), response);
}

function sink(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  request.once('end', () => {
    const text = String(bytes).padStart(16, '0');
    const intact = bytes === Number(request.headers['content-length']);
    response.writeHead(intact ? 200 : 400, { 'content-length': text.length }).end(text);
  });
}

function source(bytes: number, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
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
