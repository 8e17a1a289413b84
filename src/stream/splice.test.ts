import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startToy, toyService } from './testdata/rig.ts';

async function spliced(options: Parameters<typeof startToy>[0] = {}) {
  const toy = await startToy(options);
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('welcome\n');
  return { toy, agent };
}

test('64 MiB come back byte for byte', async () => {
  const { agent, toy } = await spliced();
  const sent = randomBytes(64 * 1024 * 1024);
  agent.socket.end(sent);
  await once(agent.socket, 'end');
  expect(Buffer.from(agent.text().slice('welcome\n'.length), 'latin1').equals(sent)).toBe(true);
  await toy.noted({ bytesUp: sent.length, bytesDown: sent.length });
});

test('a side that ended may still hear', async () => {
  const { agent } = await spliced({
    upstream: (socket) => {
      socket.once('data', () => socket.write('ok'));
      socket.once('end', () => socket.end('last words'));
    },
  });
  agent.socket.end();
  await agent.hears('last words');
});

test('a reader that stops holds back the writer: memory does not grow with what is sent', async () => {
  const { agent, toy } = await spliced({
    upstream: (socket) => {
      socket.once('data', () => socket.write('ok'));
      socket.on('data', (data) => {
        if (data.toString() !== 'go') return;
        const chunk = Buffer.alloc(1024 * 1024);
        const pump = (): void => {
          while (!socket.destroyed && socket.write(chunk));
        };
        socket.on('drain', pump);
        pump();
      });
    },
  });
  agent.socket.pause();
  agent.send('go');
  await pause(500);
  const [socket] = toy.upstreamSockets;
  const held = socket!.bytesWritten;
  await pause(300);
  expect(socket!.bytesWritten).toBe(held);
  // What the kernel's socket buffers take, and one buffer of each stream.
  expect(held).toBeLessThan(64 * 1024 * 1024);
  agent.socket.destroy();
});

test('the loss of one side ends the other', async () => {
  const first = await spliced();
  first.agent.socket.resetAndDestroy();
  while (first.toy.upstreamSockets.size > 0) await pause(5);
  const second = await spliced();
  for (const socket of second.toy.upstreamSockets) socket.resetAndDestroy();
  await second.agent.closed;
});

test('a sender that is held back goes on when the reader does, many times over', async () => {
  const { agent } = await spliced({
    upstream: (socket) => {
      socket.once('data', () => socket.write('ok'));
      socket.on('data', (data) => {
        if (data.toString() !== 'go') return;
        for (let at = 0; at < 64; at += 1) socket.write(Buffer.alloc(256 * 1024, at));
        socket.end();
      });
    },
  });
  agent.socket.removeAllListeners('data');
  let bytes = 0;
  const seen = new Set<number>();
  agent.socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    for (const byte of new Set(chunk)) seen.add(byte);
    agent.socket.pause();
    setTimeout(() => agent.socket.resume(), 1);
  });
  agent.send('go');
  await once(agent.socket, 'end');
  expect(bytes).toBe(64 * 256 * 1024);
  expect(seen.size).toBe(64);
});

test('a command that comes while a connection is about to be ended is answered first', async () => {
  const splice = { restsAfter: (chunk: Uint8Array) => chunk.at(-1) === 0x2e, farewell: () => Buffer.from('bye\n') };
  const toy = await startToy({ service: (port) => toyService(port, splice), rules: [{ id: 'yes', effect: 'allow' }] });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('welcome\n');
  agent.send('one.');
  await agent.hears('one.');
  toy.setRules([]);
  toy.front.recheck();
  // It rests, and ends in 20 ms; what arrives before that is work in progress.
  await pause(5);
  agent.send('two');
  await pause(100);
  agent.send('.');
  await agent.hears('bye\n');
  expect(agent.text()).toBe('welcome\none.two.bye\n');
});
