import { once } from 'node:events';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openLog } from '../telemetry/log.ts';
import { Listener } from './listener.ts';

async function openListener() {
  const folder = await mkdtemp(join(tmpdir(), 'sl-'));
  const path = join(folder, 'a.sock');
  const attached: Socket[] = [];
  const acceptor = {
    attach: (socket: Socket) => void attached.push(socket),
    turnAway: (socket: Socket) => void socket.destroy(),
    drain: () => undefined,
    close: () => undefined,
  };
  const listener = await Listener.open(
    {
      address: { kind: 'unix', path },
      connectionsMax: 10,
      silentSeconds: 10,
      socketMode: 0o660,
      metrics: { opened: () => undefined, closed: () => undefined },
      log: openLog({ level: 'error', stream: { write: () => undefined } }),
    },
    acceptor,
  );
  onTestFinished(async () => {
    listener.close();
    await rm(folder, { recursive: true });
  });
  return { listener, path, attached };
}

async function speak(path: string): Promise<Socket> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write('hello');
  return socket;
}

async function turns(): Promise<void> {
  for (let count = 0; count < 50; count += 1) await turn();
}

test('nobody is served before the configuration that opened the listener is whole', async () => {
  const { listener, path, attached } = await openListener();
  const socket = await speak(path);
  await turns();
  expect(attached).toHaveLength(0);
  listener.begin();
  await turns();
  expect(attached).toHaveLength(1);
  socket.destroy();
});

test('who came early to a listener that is given up is let go', async () => {
  const { listener, path, attached } = await openListener();
  const socket = await speak(path);
  await turns();
  listener.close();
  await once(socket, 'close');
  expect(attached).toHaveLength(0);
});

test('a socket has its mode from the start, and another one when it is changed', async () => {
  const { listener, path } = await openListener();
  expect(statSync(path).mode & 0o777).toBe(0o660);
  await listener.setMode(0o600);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
