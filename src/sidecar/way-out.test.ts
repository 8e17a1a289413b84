import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { EgressConfig } from '../config/config.ts';
import { Secret } from '../credential/secret.ts';
import type { SecretStore } from '../credential/store.ts';
import { openWayOut } from './way-out.ts';

/** A proxy that lets everything through, and what it was shown. */
async function proxy(): Promise<{ port: number; shown: string[] }> {
  const shown: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', (head) => {
      shown.push(/^proxy-authorization: basic (\S+)/im.exec(head.toString())?.[1] ?? 'none');
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, shown };
}

function egressBy(port: number): EgressConfig {
  return {
    listenOn: [],
    mode: 'proxy',
    unmatched: 'deny',
    allow: [],
    addresses: { deny: [], reach: [] },
    resolve: { 'api.test': '192.0.2.1' },
    upstreamProxy: {
      origin: { scheme: 'http', host: '127.0.0.1', port },
      username: { from: 'shop', get: 'name' },
      password: { from: 'shop', get: 'word' },
      resolves: false,
    },
    ca: { store: 'memory', names: [] },
    socketMode: 0o600,
  };
}

test('credentials of the proxy are fetched once for many dials, and wiped when the way is closed', async () => {
  const { port, shown } = await proxy();
  const given: Secret[] = [];
  const store: SecretStore = {
    fetch: (id) => {
      const secret = new Secret(`the ${id}`);
      given.push(secret);
      return Promise.resolve({ secret });
    },
    close: () => Promise.resolve(),
  };
  const wayOut = openWayOut(egressBy(port), () => store);
  const dialer = wayOut.dialer('service', 5);
  const { signal } = new AbortController();
  const dials = await Promise.all([1, 2].map(() => dialer.dial('api.test', 443, signal)));
  dials.push(await dialer.dial('api.test', 443, signal));
  for (const socket of dials) socket.destroy();
  const basic = Buffer.from('the name:the word').toString('base64');
  expect(shown).toEqual([basic, basic, basic]);
  expect(given.map(({ wiped }) => wiped)).toEqual([false, false]);
  await wayOut.close();
  await vi.waitFor(() => expect(given.every(({ wiped }) => wiped)).toBe(true));
});
