/** What our legs add to ssh2; each guard beside the ssh2 that is published, which lacks it. */
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import stock, { type ConnectConfig, type ParsedKey } from 'ssh2';
import { Secret } from 'secretless-sidecar/connector';
import { publicKeyOf } from 'secretless-sidecar/connector/ssh';
import { describe, expect, test } from 'vitest';
import { checkNegotiated, chooseAlgorithms } from './algorithms.ts';
import { answerWithPassword, loginKey } from './index.ts';
import { readPrompts } from './keyboard-interactive.ts';
import { between, faultOf, ourLogin, ourServer, pem, stockLogin, stockServer } from './testdata/peers.ts';
import { wire } from './wire.ts';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const authWithKey = [{ method: 'publickey', key: loginKey(ec) }] as const;

/** ssh2's client with a key that it offers and a signature that is none. */
function forger(): ConnectConfig {
  const parsed = stock.utils.parseKey(pem(ec)) as ParsedKey;
  class Forger extends stock.BaseAgent {
    override getIdentities(back: (error?: Error | null, keys?: ParsedKey[]) => void): void {
      back(undefined, [parsed]);
    }

    override sign(_key: unknown, _message: Buffer, ...rest: unknown[]): void {
      const back = rest.at(-1) as (error: undefined, signature: Buffer) => void;
      // A signature of something else: well formed, and false.
      const made = (parsed as unknown as { sign(message: Buffer): Buffer }).sign(Buffer.from('another'));
      back(undefined, made);
    }
  }
  return { agent: new Forger(), authHandler: ['agent'] };
}

describe('packets', () => {
  const exec = (port: number, bytes: number): Promise<string> =>
    new Promise((resolve) => {
      const client = new stock.Client();
      client.on('error', (error) => resolve(error.message));
      client.on('close', () => resolve('closed'));
      client.on('ready', () => {
        client.exec('a'.repeat(bytes), (error, channel) => {
          if (error) return resolve(error.message);
          channel.on('data', (chunk: Buffer) => resolve(chunk.toString()));
        });
      });
      client.connect({ host: '127.0.0.1', port, username: 'x', authHandler: ['none'] });
    });

  test('of 60 kB end the published ssh2, and those of 256 KiB do not end ours', async () => {
    const published = await stockServer();
    expect(await exec(published.port, 60_000)).toBe('closed');
    published.stop();
    const lengths: number[] = [];
    const ours = await ourServer({}, (leg) => {
      const raw = leg.accept();
      raw.attach({
        message: (message) => {
          lengths.push(message.length);
          // The channel is confirmed under the number that the client gave it.
          if (message[0] === 90)
            raw.send(
              wire(
                { byte: 91 },
                { uint32: message.readUInt32BE(12) },
                { uint32: 0 },
                { uint32: 1 << 20 },
                { uint32: 32768 },
              ),
            );
          if (message[0] !== 98) return;
          raw.send(wire({ byte: 99 }, { uint32: 0 }));
          raw.send(wire({ byte: 94 }, { uint32: 0 }, String(message.length)));
        },
        drained: () => undefined,
      });
    });
    expect(Number(await exec(ours.port, 250_000))).toBeGreaterThan(250_000);
    expect(await exec(ours.port, 270_000)).toBe('closed');
    expect(Math.max(...lengths)).toBeLessThan(262_144);
    ours.stop();
  });
});

describe('host keys', () => {
  const odd: [string, () => unknown][] = [
    ['a promise of false', () => Promise.resolve(false)],
    ['a promise of true', () => Promise.resolve(true)],
    ['null', () => null],
    ['zero', () => 0],
    ['one', () => 1],
    ['a text', () => 'true'],
  ];

  test.each([
    ...odd,
    ['false', () => false],
    ['undefined', () => undefined],
    [
      'a throw',
      () => {
        throw new Error('no');
      },
    ],
  ] as [string, () => boolean][])('are refused at %s', async (_name, hostKeyCheck) => {
    const server = await stockServer();
    expect(await faultOf(ourLogin(server.port, { hostKeyCheck, auth: authWithKey }))).toBe('host-key');
    server.stop();
  });

  test('are accepted at true, and by the published ssh2 at anything but false', async () => {
    const server = await stockServer();
    expect(await faultOf(ourLogin(server.port, { hostKeyCheck: () => true, auth: authWithKey }))).toBe('in');
    for (const [, hostVerifier] of odd) {
      expect(await stockLogin(server.port, { hostVerifier: hostVerifier as never, authHandler: ['none'] })).toBe('in');
    }
    server.stop();
  });
});

describe('client signatures', () => {
  test('that are forged let nobody in, and do with the published ssh2', async () => {
    const ours = await ourServer({ identity: { kind: 'keys', agentOf: () => 'someone' } });
    expect(await stockLogin(ours.port, forger())).not.toBe('in');
    expect(ours.legs).toEqual([]);
    expect(await stockLogin(ours.port, { privateKey: pem(ec), authHandler: ['publickey'] })).toBe('in');
    expect(ours.legs.map(({ agent }) => agent)).toEqual(['someone']);
    ours.stop();
    const published = await stockServer({}, (context) =>
      context.method === 'none' ? context.reject(['publickey']) : context.accept(),
    );
    expect(await stockLogin(published.port, forger())).toBe('in');
    published.stop();
  });

  test('tell who it is: a key that was only asked about does not', async () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const known = publicKeyOf(ec).blob.toString('base64');
    const agentOf = ({ blob }: { blob: Buffer }): string => (blob.toString('base64') === known ? 'first' : 'second');
    const ours = await ourServer({ identity: { kind: 'keys', agentOf } });
    // Asks for the key of the first (PK_OK), and logs in with its own.
    class Two extends stock.BaseAgent {
      override getIdentities(back: (error?: Error | null, keys?: ParsedKey[]) => void): void {
        back(
          undefined,
          [pem(ec), pem(other)].map((text) => stock.utils.parseKey(text) as ParsedKey),
        );
      }

      override sign(key: unknown, message: Buffer, ...rest: unknown[]): void {
        const back = rest.at(-1) as (error: Error | undefined, signature?: Buffer) => void;
        const { type } = key as { type: string };
        if (type !== 'ssh-rsa') return back(new Error('no'));
        const { hash } = rest[0] as { hash?: string };
        back(undefined, (key as { sign(message: Buffer, hash?: string): Buffer }).sign(message, hash));
      }
    }
    expect(await stockLogin(ours.port, { agent: new Two() as never, authHandler: ['agent'] })).toBe('in');
    expect(ours.legs.map(({ agent }) => agent)).toEqual(['second']);
    ours.stop();
  });

  test('of keys that nobody knows, and of SHA-1, let nobody in', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const ours = await ourServer({ identity: { kind: 'keys', agentOf: () => undefined } });
    expect(await stockLogin(ours.port, { privateKey: pem(rsa), authHandler: ['publickey'] })).not.toBe('in');
    ours.stop();
  });
});

describe('tokens', () => {
  const tokens = [
    { agent: 'one', token: new Secret('first-token') },
    { agent: 'two', token: new Secret('second-token') },
    { agent: 'empty', token: new Secret('') },
  ];

  test('let in whom they belong to', async () => {
    const ours = await ourServer({ identity: { kind: 'token', tokens } });
    expect(await stockLogin(ours.port, { password: 'second-token', authHandler: ['password'] })).toBe('in');
    for (const password of ['', 'first-toke', 'first-token ', 'third']) {
      expect(await stockLogin(ours.port, { password, authHandler: ['password'] })).not.toBe('in');
    }
    expect(ours.legs.map(({ agent }) => agent)).toEqual(['two']);
    ours.stop();
  });

  test('may be guessed at six times, and without end with the published ssh2', async () => {
    const guesses = async (port: number): Promise<number> => {
      let count = 0;
      const handler = (_left: unknown, _partial: unknown, next: (way: unknown) => void): void => {
        count += 1;
        next(count > 30 ? false : { type: 'password', username: 'x', password: `guess-${count}` });
      };
      await stockLogin(port, { username: 'x', authHandler: handler as never });
      return count;
    };
    const ours = await ourServer({ identity: { kind: 'token', tokens } });
    expect(await guesses(ours.port)).toBe(6);
    ours.stop();
    const published = await stockServer({}, (context) => context.reject(['password']));
    expect(await guesses(published.port)).toBe(31);
    published.stop();
  });
});

describe('keyboard-interactive', () => {
  test('questions are counted before memory is given, which the published ssh2 does after', () => {
    const count = 2 ** 25;
    const message = wire({ byte: 60 }, '', '', '', { uint32: count });
    const before = process.memoryUsage().heapUsed;
    expect(() => readPrompts(message)).toThrow('too many questions');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2 ** 22);
    const require = createRequire(import.meta.url);
    const handlers = require('ssh2/lib/protocol/handlers.misc.js') as Record<
      number,
      (self: unknown, message: Buffer) => void
    >;
    const prototype = { _authsQueue: ['keyboard-interactive'], _handlers: {}, disconnect: () => undefined };
    const self = { ...prototype, _destruct: () => undefined, _onError: () => undefined };
    const start = process.memoryUsage().heapUsed;
    handlers[60]?.(self, message);
    expect(process.memoryUsage().heapUsed - start).toBeGreaterThan(2 ** 26);
  });

  test('one hidden question for a password is answered', async () => {
    const server = await stockServer({}, (context) => {
      if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
      context.prompt([{ prompt: 'Password: ', echo: false }], (answers) =>
        answers?.[0] === 'pass-word' ? context.accept() : context.reject(),
      );
    });
    const auth = [{ method: 'keyboard-interactive', answer: answerWithPassword(new Secret('pass-word')) }] as const;
    expect(await faultOf(ourLogin(server.port, { auth }))).toBe('in');
    server.stop();
  });

  test.each([
    ['that is shown as it is typed', { prompt: 'Password: ', echo: true }],
    ['for anything else', { prompt: 'Your dog: ', echo: false }],
  ])('a question %s gets no password', async (_name, prompt) => {
    const answers: unknown[] = [];
    const server = await stockServer({}, (context) => {
      if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
      context.prompt([prompt], (given) => answers.push(given));
    });
    const auth = [{ method: 'keyboard-interactive', answer: answerWithPassword(new Secret('pass-word')) }] as const;
    expect(await faultOf(ourLogin(server.port, { auth }))).toBe('unsupported');
    expect(answers.flat()).not.toContain('pass-word');
    server.stop();
  });

  test('rounds have an end', async () => {
    const server = await stockServer({}, (context) => {
      if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
      const again = (): void => context.prompt([], again);
      again();
    });
    const auth = [{ method: 'keyboard-interactive', answer: () => undefined }] as const;
    expect(await faultOf(ourLogin(server.port, { auth }))).toBe('protocol');
    server.stop();
  });
});

describe('algorithms', () => {
  const weak: [string, NonNullable<ConnectConfig['algorithms']>][] = [
    ['SHA-1 for packets', { cipher: ['aes128-ctr'], hmac: ['hmac-sha1'] }],
    ['compression', { compress: ['zlib'] }],
    ['SHA-1 for keys', { kex: ['diffie-hellman-group14-sha1'] }],
    ['CBC', { cipher: ['aes256-cbc'] }],
  ];

  test.each(weak)(
    'with %s are refused, and taken by the published ssh2 where it is told to',
    async (_name, algorithms) => {
      const ours = await ourServer();
      expect(await stockLogin(ours.port, { algorithms, authHandler: ['none'] })).not.toBe('in');
      expect(ours.failures.map(({ fault }) => fault)).toEqual(['algorithms']);
      ours.stop();
      const published = await stockServer({ algorithms: { ...algorithms } });
      expect(await stockLogin(published.port, { algorithms, authHandler: ['none'] })).toBe('in');
      published.stop();
    },
  );

  test('with group exchange are refused cleanly, where the published ssh2 throws', async () => {
    const algorithms = { kex: ['diffie-hellman-group-exchange-sha256'] } as const;
    const ours = await ourServer();
    expect(await stockLogin(ours.port, { algorithms: algorithms as never })).not.toBe('in');
    expect(ours.failures.map(({ fault }) => fault)).toEqual(['algorithms']);
    ours.stop();
  });

  test('that are weak cannot be asked for', () => {
    expect(() => chooseAlgorithms('server', { kex: ['diffie-hellman-group-exchange-sha256'] })).toThrow(
      'is not offered here',
    );
    expect(() => chooseAlgorithms('client', { mac: ['hmac-sha1'] })).toThrow('is not offered here');
    expect(() => chooseAlgorithms('client', { hostKey: ['ssh-rsa'] })).toThrow('is not offered here');
    expect(() => chooseAlgorithms('client', { cipher: [] })).toThrow('no cipher');
  });

  test('ChaCha20 needs strict key exchange', () => {
    const side = { cipher: 'chacha20-poly1305@openssh.com', mac: '', compress: 'none' };
    const gcm = { ...side, cipher: 'aes128-gcm@openssh.com' };
    const base = { kex: 'curve25519-sha256', serverHostKey: 'ssh-ed25519' };
    expect(() => checkNegotiated({ ...base, cs: gcm, sc: side }, false)).toThrow('strict key exchange');
    expect(() => checkNegotiated({ ...base, cs: gcm, sc: side }, true)).not.toThrow();
    expect(() => checkNegotiated({ ...base, cs: gcm, sc: gcm }, false)).not.toThrow();
    expect(() => checkNegotiated({ ...base, cs: { ...gcm, compress: 'zlib' }, sc: gcm }, true)).toThrow('compression');
  });
});

describe('strict key exchange', () => {
  const MARK_S = 'kex-strict-s-v00@openssh.com';
  const strip =
    (mark: string) =>
    (chunk: Buffer): Buffer => {
      const at = chunk.indexOf(mark);
      return at === -1
        ? chunk
        : Buffer.concat([
            chunk.subarray(0, at),
            Buffer.from('x'.repeat(mark.length)),
            chunk.subarray(at + mark.length),
          ]);
    };

  test('is on where the peer has it', async () => {
    const server = await stockServer();
    expect((await ourLogin(server.port, { auth: authWithKey })).strict).toBe(true);
    server.stop();
  });

  test.each([
    ['downwards', { down: strip(MARK_S) }],
    ['upwards', { up: strip('kex-strict-c-v00@openssh.com') }],
  ])('cannot be taken out on the way %s', async (_name, change) => {
    const server = await stockServer();
    const proxy = await between(server.port, change);
    expect(await faultOf(ourLogin(proxy.port, { auth: authWithKey }))).not.toBe('in');
    proxy.stop();
    server.stop();
  });

  test('lets no message in before the keys', async () => {
    const server = await stockServer();
    // An IGNORE in front of the server's KEXINIT, as CVE-2023-48795 begins.
    const ignore = Buffer.from([0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let done = false;
    const down = (chunk: Buffer): Buffer => {
      const end = chunk.indexOf('\r\n');
      if (done || end === -1) return chunk;
      done = true;
      return Buffer.concat([chunk.subarray(0, end + 2), ignore, chunk.subarray(end + 2)]);
    };
    const proxy = await between(server.port, { down });
    expect(await faultOf(ourLogin(proxy.port, { auth: authWithKey }))).toBe('protocol');
    proxy.stop();
    server.stop();
  });
});

describe('time', () => {
  test('for the login has an end, and has none with the published ssh2', async () => {
    const waits = (port: number): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write('SSH-2.0-silent\r\n'));
        socket.resume();
        socket.on('close', () => resolve('closed'));
        setTimeout(() => (resolve('open'), socket.destroy()), 1500);
      });
    const ours = await ourServer({ loginSeconds: 0.3 });
    expect(await waits(ours.port)).toBe('closed');
    expect(ours.failures.map(({ fault }) => fault)).toEqual(['timeout']);
    ours.stop();
    const published = await stockServer();
    expect(await waits(published.port)).toBe('open');
    published.stop();
  });

  test('for the upstream’s login has an end', async () => {
    const silent = await ourServer({}, () => undefined);
    const auth = authWithKey;
    expect(await faultOf(ourLogin(silent.port, { auth, loginSeconds: 0.3 }))).toBe('unsupported');
    silent.stop();
    const mute = await stockServer({}, () => undefined);
    expect(await faultOf(ourLogin(mute.port, { auth, loginSeconds: 0.3 }))).toBe('timeout');
    const control = new AbortController();
    setTimeout(() => control.abort(), 100);
    expect(await faultOf(ourLogin(mute.port, { auth, signal: control.signal }))).toBe('aborted');
    mute.stop();
  });

  test('and bytes bring new keys, which the published ssh2 never makes by itself', async () => {
    const renewed = (port: number): Promise<boolean> =>
      new Promise((resolve) => {
        const client = new stock.Client();
        const say = (answer: boolean): void => (resolve(answer), void client.end());
        let count = 0;
        client.on('handshake', () => (++count === 2 ? say(true) : undefined));
        client.on('error', () => undefined);
        client.on('ready', () => {
          const { _protocol: protocol } = client as unknown as { _protocol: { ping(): void } };
          for (let each = 0; each < 3000; each++) protocol.ping();
          setTimeout(() => say(false), 3000);
        });
        client.connect({ host: '127.0.0.1', port, username: 'x', authHandler: ['none'] });
      });
    const ours = await ourServer({ rekey: { bytes: 50_000 } });
    expect(await renewed(ours.port)).toBe(true);
    ours.stop();
    const published = await stockServer();
    expect(await renewed(published.port)).toBe(false);
    published.stop();
  });
});
