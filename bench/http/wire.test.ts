import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Wire, type Answer } from './wire.ts';

/** Answers each request with the next list of pieces, one write each; `null` closes. */
async function scripted(...answers: readonly (readonly (string | null)[])[]): Promise<number> {
  let at = 0;
  const server: Server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', () => {
      for (const piece of answers[at++]!) {
        if (piece === null) socket.end();
        else socket.write(piece);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

function client(port: number): () => Promise<Answer | Error> {
  let settle: (answer: Answer | Error) => void;
  const wire = new Wire(port, (answer) => settle(answer));
  onTestFinished(() => wire.close());
  return () =>
    new Promise((resolve) => {
      settle = resolve;
      wire.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    });
}

test('an answer in pieces is one answer', async () => {
  const ask = client(await scripted(['HTTP/1.1 200 OK\r\nContent-', 'Length: 5\r\n\r\nab', 'cde']));
  expect(await ask()).toEqual({ status: 200, bodyBytes: 5 });
});

test('an answer that closes is followed by a new connection', async () => {
  const closing = ['HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n', null];
  const ask = client(await scripted(closing, ['HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n']));
  expect(await ask()).toEqual({ status: 200, bodyBytes: 0 });
  expect(await ask()).toEqual({ status: 401, bodyBytes: 0 });
});

test('an answer cut short is a failure', async () => {
  const ask = client(await scripted(['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc', null]));
  expect(await ask()).toMatchObject({ message: 'closed before the answer was complete' });
});
