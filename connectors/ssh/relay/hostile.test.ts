import { duplexPair } from 'node:stream';
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { hostKeyOf, loginKey, loginSsh } from '../transport/index.ts';
import { Transport } from '../transport/transport.ts';
import { wire } from '../transport/wire.ts';
import { relay } from './index.ts';
import { FakeSide, say } from './testdata/fake-side.ts';
import { sessionWatcher } from './testdata/session-watcher.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test.each(['downstream', 'upstream'] as const)(
  'a %s that is asked as often as is allowed and never answers is gone, and takes nobody else along',
  async (silent) => {
    const [down, up] = [new FakeSide(), new FakeSide()];
    const asking = silent === 'upstream' ? down : up;
    const end = relay(down, up, { watcher: sessionWatcher(), keepalive: { seconds: 0.05, count: 1000 } });
    // What is thrown in a timer would end the process.
    for (let each = 0; each < 4096; each++) asking.says(...say.global('keepalive@openssh.com', true));
    const beat = setInterval(() => asking.says(...say.global('other', false)), 10);
    expect(await end).toMatchObject({ side: silent, error: { fault: 'timeout' } });
    clearInterval(beat);
  },
);

test('an upstream that breaks the protocol right behind its yes ends the connection like any other', async () => {
  const [client, far] = duplexPair();
  const hostKey = generateKeyPairSync('ed25519').privateKey;
  const server = new Transport(far, { role: 'server', hostKey: hostKeyOf(hostKey) }, { ident: 'x' });
  server.onMessage = (message) => {
    if (message[0] === 5) return server.send(wire({ byte: 6 }, 'ssh-userauth'));
    server.send(wire({ byte: 52 }));
    for (let each = 0; each < 3; each++) server.send(Buffer.of(80, 0, 0, 1, 0));
  };
  void server.start();
  const auth = [{ method: 'publickey', key: loginKey(generateKeyPairSync('ed25519').privateKey) }] as const;
  const leg = await loginSsh(client, { ident: 'ours', user: 'me', hostKeyCheck: () => true, auth });
  await turn();
  const down = new FakeSide();
  expect(await relay(down, leg.raw, { watcher: sessionWatcher() })).toMatchObject({
    side: 'upstream',
    error: { fault: 'protocol' },
  });
  expect(down.ended).toBeDefined();
});
