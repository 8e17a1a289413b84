import { expect, test } from 'vitest';
import { loginKey } from '../transport/index.ts';
import { ourLogin } from '../transport/testdata/peers.ts';
import { wire } from '../transport/wire.ts';
import { startRelay } from './testdata/relay-server.ts';
import { noSshd, startSshd } from './testdata/sshd.ts';

test.skipIf(noSshd !== undefined)(
  'a client that grants a window of 2 GiB and then reads nothing costs no memory',
  async () => {
    const sshd = await startSshd();
    const server = await startRelay({ upstream: sshd, identity: { kind: 'keys', agentOf: () => 'someone' } });
    const { raw } = await ourLogin(server.port, { auth: [{ method: 'publickey', key: loginKey(sshd.key) }] });
    let got = 0;
    raw.attach({
      message: (message) => {
        got += message.length;
        if (message[0] !== 91) return;
        const number = message.readUInt32BE(5);
        raw.send(wire({ byte: 98 }, { uint32: number }, 'exec', { boolean: false }, 'cat /dev/zero'));
      },
      drained: () => undefined,
    });
    raw.send(wire({ byte: 90 }, 'session', { uint32: 0 }, { uint32: 2 ** 31 - 1 }, { uint32: 32768 }));
    while (got < 2 ** 20) await new Promise((resolve) => setTimeout(resolve, 10));
    raw.pause();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = process.memoryUsage.rss();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(process.memoryUsage.rss() - before).toBeLessThan(24 * 2 ** 20);
    server.stop();
    sshd.stop();
  },
);
