import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import * as ask from '../connector/handshake.ts';
import { SidecarError } from '../error.ts';
import { startToy, toyService } from './testdata/rig.ts';

test('a login leads to a splice: the upstream heard the secret, the downstream never did', async () => {
  const toy = await startToy();
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('welcome\n');
  agent.send('ping');
  expect(await agent.hears('ping')).toBe('welcome\nping');
  expect(agent.text()).not.toContain('swordfish');
  agent.socket.end();
  await agent.closed;
  expect(toy.counts.running).toBe(0);
  expect(toy.events.map(({ type }) => type)).toEqual(['decision', 'connection.closed']);
  expect(toy.events[0]).toMatchObject({ result: 'allow', database: '1', upstream: 'toy://up' });
  expect(toy.events[1]).toMatchObject({ result: 'allow', bytesUp: 4, bytesDown: 4, listener: 'tcp://toy' });
});

test('bytes that came with the login go upstream after it, one byte at a time or all at once', async () => {
  const toy = await startToy();
  for (const cut of [1, 100]) {
    const agent = await toy.connect();
    const all = 'hi1hello there';
    for (let at = 0; at < all.length; at += cut) {
      agent.send(all.slice(at, at + cut));
      if (cut === 1) await pause(2);
    }
    expect(await agent.hears('hello there')).toBe('welcome\nhello there');
    agent.socket.destroy();
  }
});

test('nothing is dialled before policy said yes, though the login asks for it', async () => {
  const service = () => ({
    *handshake(): ask.Handshake {
      yield* ask.read('downstream', 3);
      try {
        yield* ask.dial({ host: '127.0.0.1', port: 1 });
      } catch (thrown) {
        yield* ask.write('downstream', Buffer.from((thrown as SidecarError).code));
      }
      return { then: 'close' };
    },
  });
  const toy = await startToy({ service });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('internal');
  expect(toy.upstreamSockets.size).toBe(0);
});

test('a denied login dials nothing, and the denial is in the ledger', async () => {
  const toy = await startToy({ rules: [{ id: 'no', effect: 'deny' }] });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('refused policy-denied\n');
  await agent.closed;
  expect(toy.upstreamSockets.size).toBe(0);
  expect(toy.events).toMatchObject([{ type: 'decision', result: 'deny', rule: 'no' }]);
});

test('a ledger that cannot record refuses the use before the secret leaves', async () => {
  const toy = await startToy({ record: () => Promise.reject(new SidecarError('ledger-unavailable')) });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('refused ledger-unavailable\n');
  expect(toy.upstreamSockets.size).toBe(0);
});

test('a downstream that sends its login too slowly is cut off in time, however it drips', async () => {
  const toy = await startToy({ headerSeconds: 0.3 });
  const agent = await toy.connect();
  const begun = performance.now();
  agent.send('h');
  const drip = setInterval(() => agent.send(''), 50);
  expect(await agent.hears('refused login-timeout\n')).toBeDefined();
  clearInterval(drip);
  expect(performance.now() - begun).toBeLessThan(1500);
});

test('an upstream that says nothing is given up', async () => {
  const toy = await startToy({ upstream: () => undefined, binding: { loginSeconds: 0.2 } });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('refused upstream-timeout\n');
  expect(toy.outcomes).toEqual(['upstream']);
});

test.each([
  ['ends', (socket: { end(): void }) => socket.end()],
  ['resets', (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()],
])('an upstream that %s in the login is told as such', async (_, act) => {
  const toy = await startToy({ upstream: (socket) => socket.once('data', () => act(socket)) });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('refused upstream-closed\n');
});

test('a downstream that leaves during the login takes its upstream connection with it', async () => {
  const toy = await startToy({ upstream: (socket) => void socket.resume() });
  const agent = await toy.connect();
  agent.send('hi1');
  while (toy.upstreamSockets.size === 0) await pause(5);
  agent.socket.destroy();
  while (toy.upstreamSockets.size > 0) await pause(5);
  expect(toy.counts.running).toBe(0);
});

test('an upstream beyond the limit of the service is not dialled', async () => {
  const toy = await startToy({ binding: { upstreamConnections: 1 } });
  const first = await toy.connect();
  first.send('hi1');
  await first.hears('welcome\n');
  const second = await toy.connect();
  second.send('hi1');
  await second.hears('refused connections-exhausted\n');
  first.socket.destroy();
  while (toy.upstreamSockets.size > 0) await pause(5);
  const third = await toy.connect();
  third.send('hi1');
  await third.hears('welcome\n');
});

test('bytes of the upstream that stand before a TLS handshake are an attack, not data', async () => {
  const service = (port: () => number) => ({
    *handshake(context: ask.StreamContext): ask.Handshake {
      yield* ask.read('downstream', 3);
      yield* context.authorize({}, () => 'toy://up');
      yield* ask.dial({ host: '127.0.0.1', port: port() });
      yield* ask.read('upstream', 1);
      try {
        yield* ask.startUpstreamTls({ verify: 'none' });
      } catch (thrown) {
        yield* ask.write('downstream', Buffer.from((thrown as SidecarError).code));
      }
      return { then: 'close' };
    },
  });
  const toy = await startToy({ service, upstream: (socket) => socket.write('Sstuffed') });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('upstream-protocol');
});

test('a living connection is found by its key and no other address may be dialled on it', async () => {
  let peerPort = 0;
  const service = (port: () => number) => ({
    *handshake(context: ask.StreamContext): ask.Handshake {
      const greeting = (yield* ask.read('downstream', 3)).toString();
      if (greeting === 'key') {
        const found = yield* ask.recall(Buffer.from('secret key'));
        const target = found === undefined ? port() : (found as number);
        let answer = String(found);
        for (const each of [1, target]) {
          try {
            yield* ask.dial({ host: '127.0.0.1', port: each });
            answer += ' dialled';
          } catch (thrown) {
            answer += ` ${(thrown as SidecarError).code}`;
          }
        }
        yield* ask.write('downstream', Buffer.from(`${answer}.`));
        return { then: 'close' };
      }
      yield* context.authorize({}, () => 'toy://up');
      const peer = yield* ask.dial({ host: 'localhost', port: port() });
      peerPort = (peer as { port: number }).port;
      expect(peer).toMatchObject({ host: '127.0.0.1' });
      yield* ask.remember(Buffer.from('secret key'), peerPort);
      yield* ask.write('downstream', Buffer.from('in.'));
      return { then: 'splice' };
    },
  });
  const toy = await startToy({ service });
  const asks = async (): Promise<string> => {
    const agent = await toy.connect();
    agent.send('key');
    return agent.hears('.');
  };
  expect(await asks()).toBe('undefined internal internal.');
  const living = await toy.connect();
  living.send('hi1');
  await living.hears('in.');
  expect(await asks()).toBe(`${peerPort} internal dialled.`);
  living.socket.destroy();
  while (toy.upstreamSockets.size > 0) await pause(5);
  expect(await asks()).toBe('undefined internal internal.');
  expect(toy.recalls).toEqual(['unknown', 'found', 'unknown']);
});

test('a secret that was sent is overwritten', async () => {
  let message: Buffer | undefined;
  const service = (port: () => number) => ({
    *handshake(context: ask.StreamContext): ask.Handshake {
      yield* ask.read('downstream', 3);
      yield* context.authorize({}, () => 'toy://up');
      yield* ask.dial({ host: '127.0.0.1', port: port() });
      message = Buffer.from('swordfish\n');
      yield* ask.writeSecret('upstream', message);
      expect((yield* ask.read('upstream', 2)).toString()).toBe('ok');
      yield* ask.write('downstream', Buffer.from('.'));
      return { then: 'close' };
    },
  });
  const toy = await startToy({ service });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('.');
  expect(message).toEqual(Buffer.alloc(10));
});

test('a refusal that the listener makes comes in the protocol', async () => {
  const toy = await startToy();
  toy.server.removeAllListeners('connection').on('connection', (socket) => {
    toy.front.turnAway(socket, 'connections-exhausted');
  });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('refused connections-exhausted\n');
  expect(toy.upstreamSockets.size).toBe(0);
});

test('a connection whose permission ends is ended at rest, with a word', async () => {
  const rests = { restsAfter: (chunk: Buffer | Uint8Array) => chunk.at(-1) === 0x2e };
  const splice = { ...rests, farewell: (error: SidecarError) => Buffer.from(`bye ${error.code}\n`) };
  const toy = await startToy({
    service: (port) => toyService(port, splice),
    rules: [{ id: 'yes', effect: 'allow' }],
  });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('welcome\n');
  agent.send('working');
  await agent.hears('working');
  toy.setRules([{ id: 'no', effect: 'deny' }]);
  toy.front.recheck();
  await pause(60);
  expect(agent.socket.readableEnded).toBe(false);
  agent.send('done.');
  await agent.hears('bye grant-ended\n');
  await toy.noted({ type: 'connection.closed', reason: 'grant-ended' });
});

test('a connection that never rests is cut when its time to end is over', async () => {
  const toy = await startToy({
    service: (port) => toyService(port, { restsAfter: () => false }),
    rules: [{ id: 'yes', effect: 'allow' }],
  });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('welcome\n');
  agent.send('x');
  await agent.hears('x');
  toy.setRules([]);
  toy.front.recheck();
  await agent.closed;
  await toy.noted({ type: 'connection.closed', reason: 'grant-ended' });
});

test('a connection over its age is ended at rest', async () => {
  const splice = { ageSecondsMax: 0.1, restsAfter: () => true, farewell: () => Buffer.from('old\n') };
  const toy = await startToy({ service: (port) => toyService(port, splice) });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('old\n');
  await toy.noted({ type: 'connection.closed', reason: 'connection-aged' });
});

test('an idle connection is closed where the service says so, and only then', async () => {
  for (const [idleSeconds, ends] of [
    [0.2, true],
    [0, false],
  ] as const) {
    const toy = await startToy({ binding: { idleSeconds } });
    const agent = await toy.connect();
    agent.send('hi1');
    await agent.hears('welcome\n');
    await pause(500);
    expect(agent.socket.destroyed || agent.socket.readableEnded).toBe(ends);
  }
});

test('policy is asked once a connection: a login that asks again is refused', async () => {
  const service = () => ({
    *handshake(context: ask.StreamContext): ask.Handshake {
      yield* ask.read('downstream', 3);
      yield* context.authorize({}, () => 'toy://up');
      try {
        yield* context.authorize({ database: 'another' }, () => 'toy://up');
      } catch (thrown) {
        yield* ask.write('downstream', Buffer.from((thrown as SidecarError).code));
      }
      return { then: 'close' };
    },
  });
  const toy = await startToy({ service });
  const agent = await toy.connect();
  agent.send('hi1');
  await agent.hears('internal');
  expect(toy.events.filter(({ type }) => type === 'decision')).toHaveLength(1);
});

test('bytes of the downstream that stand before a TLS handshake are an attack, not data', async () => {
  const service = () => ({
    *handshake(): ask.Handshake {
      yield* ask.read('downstream', 3);
      try {
        yield* ask.startDownstreamTls({});
      } catch (thrown) {
        yield* ask.write('downstream', Buffer.from((thrown as SidecarError).code));
      }
      return { then: 'close' };
    },
  });
  const toy = await startToy({ service });
  const agent = await toy.connect();
  agent.send('hi1stuffed');
  await agent.hears('downstream-protocol');
});

test('refusals are bounded: beyond 64 at a time a connection is closed without a word', async () => {
  const toy = await startToy();
  toy.server.removeAllListeners('connection').on('connection', (socket) => {
    toy.front.turnAway(socket, 'connections-exhausted');
  });
  const waiting = [];
  for (let count = 0; count < 64; count += 1) waiting.push(await toy.connect());
  const late = await toy.connect();
  late.send('hi1');
  await late.closed;
  expect(late.text()).toBe('');
  expect(waiting.every(({ socket }) => !socket.destroyed)).toBe(true);
});
