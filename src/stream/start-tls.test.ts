import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startUpstreamTls } from './start-tls.ts';

/** A socket to a server that accepts and says nothing. */
async function silent(): Promise<Socket> {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  return socket;
}

test('a name is needed to verify one', async () => {
  const started = startUpstreamTls(await silent(), { verify: 'full' }, performance.now() + 100);
  await expect(started).rejects.toMatchObject({ code: 'internal' });
});

test('a key is overwritten even where it was no key', async () => {
  const key = Buffer.from('-----BEGIN PRIVATE KEY-----');
  const started = startUpstreamTls(await silent(), { verify: 'none', key }, performance.now() + 100);
  await expect(started).rejects.toMatchObject({ code: 'upstream-tls' });
  expect(key).toEqual(Buffer.alloc(key.length));
});

test('an upstream that says nothing to the handshake is given up in time', async () => {
  const started = startUpstreamTls(await silent(), { verify: 'none' }, performance.now() + 50);
  await expect(started).rejects.toMatchObject({ code: 'upstream-timeout' });
});
