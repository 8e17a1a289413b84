import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startRelay } from './testdata/rig.ts';
import { onlyThis } from './testdata/toy.ts';

const BYTES = 24 * 2 ** 20;

test('a downstream that reads slowly gets all that was written before the end', async () => {
  const service = onlyThis(async ({ downstream }) => {
    downstream.write(Buffer.alloc(BYTES, 1));
    downstream.end();
    return {};
  });
  const rig = await startRelay({ service });
  const socket = connect((rig.server.address() as AddressInfo).port, '127.0.0.1');
  let got = 0;
  socket.on('data', (chunk: Buffer) => (got += chunk.length)).pause();
  await pause(2500);
  expect(rig.counts.running).toBe(1);
  socket.resume();
  await once(socket, 'end');
  expect(got).toBe(BYTES);
  socket.destroy();
  await rig.over();
});

test('one that reads nothing is closed a moment after a connection that had to end', async () => {
  const service = onlyThis(async ({ downstream, signal }) => {
    downstream.write(Buffer.alloc(BYTES, 1));
    await once(signal, 'abort');
    return {};
  });
  const rig = await startRelay({ service, drainSeconds: 0 });
  const socket = connect((rig.server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined).pause();
  await pause(100);
  rig.reload(undefined, false);
  await rig.over();
  socket.destroy();
});
