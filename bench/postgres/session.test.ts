import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { openSession } from './session.ts';

const AUTHENTICATION_OK = [0x52, 0, 0, 0, 8, 0, 0, 0, 0];
const READY = [0x5a, 0, 0, 0, 5, 0x49];
const PASSWORD_ASKED = [0x52, 0, 0, 0, 8, 0, 0, 0, 3];

/** Answers every startup with these chunks; the port. */
async function answering(...chunks: readonly (readonly number[])[]): Promise<number> {
  const server = createServer((socket) => {
    socket.once('data', () => void greet());
    const greet = async (): Promise<void> => {
      for (const chunk of chunks) {
        socket.write(Uint8Array.from(chunk));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      socket.once('data', () => socket.end());
    };
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test('a session is open when the server is ready, however its messages are cut', async () => {
  const port = await answering(
    AUTHENTICATION_OK.slice(0, 3),
    [...AUTHENTICATION_OK.slice(3), ...READY.slice(0, 4)],
    READY.slice(4),
  );
  const session = await openSession(port, 'app', 'orders');
  await session.end();
});

test('a server that asks for a password fails the session', async () => {
  await expect(openSession(await answering(PASSWORD_ASKED), 'app', 'orders')).rejects.toThrow('asked for a password');
});
