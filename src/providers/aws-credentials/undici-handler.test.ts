import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { UndiciHandler } from './undici-handler.ts';

const open: (() => void)[] = [];
afterEach(() => open.splice(0).forEach((close) => close()));

async function serve(answer: Parameters<typeof createServer>[1]) {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => (server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  return { protocol: 'http:', hostname: '127.0.0.1', port, method: 'POST', path: '/', headers: {} };
}

function handlerFor(timeoutSeconds = 5, signal = new AbortController().signal): UndiciHandler {
  const handler = new UndiciHandler(timeoutSeconds, signal);
  open.push(() => handler.destroy());
  return handler;
}

it('sends method, path, query, host and body as they are, and hands back the whole answer', async () => {
  const request = await serve((received, response) => {
    void received.toArray().then((chunks) => {
      const body = Buffer.concat(chunks as Buffer[]).toString();
      response.setHeader('x-seen', `${received.method} ${received.url} ${received.headers.host} ${body}`);
      response.writeHead(418).end('answer');
    });
  });
  const query = { 'a b': "c'd", list: ['1', '2'], bare: null };
  const { response } = await handlerFor().handle({ ...request, query, headers: { host: 'sts.example' }, body: 'text' });
  expect(response).toMatchObject({ statusCode: 418 });
  expect(response.headers['x-seen']).toBe("POST /?a%20b=c'd&list=1&list=2&bare sts.example text");
  expect(Buffer.from(response.body).toString()).toBe('answer');
});

it('ends with the signal, though no answer came', async () => {
  const request = await serve(() => undefined);
  const controller = new AbortController();
  const answer = handlerFor(5, controller.signal).handle(request);
  const reason = new Error('gone');
  setTimeout(() => controller.abort(reason), 20);
  await expect(answer).rejects.toBe(reason);
});

it('waits for an answer no longer than it may', async () => {
  const request = await serve(() => undefined);
  await expect(handlerFor(0.1).handle(request)).rejects.toMatchObject({ name: 'HeadersTimeoutError' });
});

it('takes an answer of 256 KiB and none that is larger', async () => {
  for (const [bytes, fits] of [
    [256 * 1024, true],
    [256 * 1024 + 1, false],
  ] as const) {
    const request = await serve((_, response) => response.end(Buffer.alloc(bytes)));
    const answer = handlerFor().handle(request);
    if (fits) expect((await answer).response.body).toHaveLength(bytes);
    else await expect(answer).rejects.toThrow('262144 bytes');
  }
});
