import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Splicing } from './splice.ts';
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

/** The two ends of a connection over TCP. */
async function connected(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [near] = (await once(server, 'connection')) as [Socket];
  server.close();
  onTestFinished(() => void [far, near].map((socket) => socket.destroy()));
  return [near, far];
}

test('large chunks are freed once they have left, and arrive as they were', async () => {
  const [downstream, agent] = await connected();
  const [upstream, server] = await connected();
  const seen: Buffer[] = [];
  downstream.on('data', (chunk: Buffer) => seen.push(chunk));
  downstream.pause();
  new Splicing(downstream, upstream, { plan: { then: 'splice' }, idleSeconds: 0 });
  const sent = randomBytes(4 * 1024 * 1024);
  const arrived: Buffer[] = [];
  server.on('data', (chunk: Buffer) => arrived.push(chunk));
  agent.end(sent);
  await once(server, 'end');
  await pause(20);
  expect(Buffer.concat(arrived).equals(sent)).toBe(true);
  expect(seen.filter(({ length }) => length >= 8 * 1024)).toEqual([]);
  // All of them but what was small.
  expect(seen.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(sent.length / 4);
});

test('chunks that wait in memory are not freed before they have left', async () => {
  const [downstream, agent] = await connected();
  const [upstream, server] = await connected();
  const seen: Buffer[] = [];
  downstream.on('data', (chunk: Buffer) => seen.push(chunk));
  downstream.pause();
  upstream.cork();
  new Splicing(downstream, upstream, { plan: { then: 'splice' }, idleSeconds: 0 });
  const sent = randomBytes(64 * 1024);
  agent.write(sent);
  await pause(100);
  expect(Buffer.concat(seen).equals(sent.subarray(0, Buffer.concat(seen).length))).toBe(true);
  expect(seen.length).toBeGreaterThan(0);
  upstream.uncork();
  const arrived: Buffer[] = [];
  server.on('data', (chunk: Buffer) => arrived.push(chunk));
  await vi.waitFor(() => expect(Buffer.concat(arrived).equals(sent)).toBe(true));
});
