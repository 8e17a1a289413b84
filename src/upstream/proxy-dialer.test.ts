import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { issueSelfSigned } from '../certificate/self-signed.ts';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import { openGuard } from './guard.ts';
import { REPLY_BYTES_MAX } from './proxy-connect.ts';
import { openProxyDialer, type ProxyDialerOptions } from './proxy-dialer.ts';

const signal = new AbortController().signal;
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Proxy {
  readonly port: number;
  /** Heads of the requests, as they came. */
  readonly heads: string[];
  readonly sockets: Socket[];
}

/** A proxy that hands each head to `answer`; every byte by hand, for what it says is wrong as often as it is right. */
async function proxyThat(answer: (socket: Socket, head: string, nth: number) => void, tls?: object): Promise<Proxy> {
  const heads: string[] = [];
  const sockets: Socket[] = [];
  const serve = (socket: Socket): void => {
    sockets.push(socket);
    ends.push(() => socket.destroy());
    socket.on('error', () => undefined);
    let text = '';
    const collect = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      socket.off('data', collect);
      heads.push(text);
      answer(socket, text, heads.length);
    };
    socket.on('data', collect);
  };
  const server: Server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  server.on('tlsClientError', () => undefined);
  ends.push(() => server.close());
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return { port: (server.address() as AddressInfo).port, heads, sockets };
}

function dialerBy(proxy: Proxy, more: Partial<ProxyDialerOptions> & { addresses?: readonly string[] } = {}) {
  const { addresses = ['93.184.216.34'], ...options } = more;
  const lookup = async () => addresses.map((address) => ({ address }));
  return openProxyDialer({
    proxy: { scheme: 'http', host: '127.0.0.1', port: proxy.port },
    resolves: false,
    guard: openGuard({ deny: [], reach: [], resolve: { 'fixed.example': '10.0.0.7' }, lookup }),
    mode: 'passed',
    connectSeconds: 5,
    ...options,
  });
}

async function refusal(dialing: Promise<Socket>): Promise<SidecarError> {
  try {
    (await dialing).destroy();
  } catch (error) {
    if (error instanceof SidecarError) return error;
    throw error;
  }
  return expect.unreachable('connected');
}

async function firstBytes(socket: Socket, count: number): Promise<string> {
  let text = '';
  ends.push(() => socket.destroy());
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += (chunk as Buffer).toString('latin1');
    if (text.length >= count) break;
  }
  return text;
}

const accepting = (socket: Socket): void => {
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
};

describe('the target', () => {
  test('is the checked address', async () => {
    const proxy = await proxyThat(accepting);
    (await dialerBy(proxy).dial('a.example', 443, signal)).destroy();
    expect(proxy.heads).toEqual(['CONNECT 93.184.216.34:443 HTTP/1.1\r\nHost: 93.184.216.34:443\r\n\r\n']);
  });

  test('is in brackets where it is an IPv6 address', async () => {
    const proxy = await proxyThat(accepting);
    (await dialerBy(proxy, { addresses: ['2606:4700::1'] }).dial('a.example', 8443, signal)).destroy();
    expect(proxy.heads[0]).toMatch(/^CONNECT \[2606:4700::1\]:8443 HTTP\/1\.1\r\nHost: \[2606:4700::1\]:8443\r\n/);
  });

  test('is the name where the proxy resolves, and no resolver of ours is asked', async () => {
    const proxy = await proxyThat(accepting);
    const dialer = dialerBy(proxy, { resolves: true, addresses: ['127.0.0.1'] });
    (await dialer.dial('a.example', 443, signal)).destroy();
    (await dialer.dial('fixed.example', 443, signal)).destroy();
    expect(proxy.heads.map((head) => head.split('\r\n')[0])).toEqual([
      'CONNECT a.example:443 HTTP/1.1',
      'CONNECT 10.0.0.7:443 HTTP/1.1',
    ]);
  });

  test.each(['127.0.0.1', '169.254.169.254', '::1', '::ffff:7f00:1', 'localhost', 'app.localhost'])(
    '%s is refused without a word to the proxy, whoever resolves',
    async (host) => {
      const proxy = await proxyThat(accepting);
      for (const resolves of [true, false]) {
        expect((await refusal(dialerBy(proxy, { resolves }).dial(host, 443, signal))).code).toBe('address-refused');
      }
      expect(proxy.sockets).toEqual([]);
    },
  );

  test('that a name leads to is checked before the proxy hears of it', async () => {
    const proxy = await proxyThat(accepting);
    const dialer = dialerBy(proxy, { addresses: ['93.184.216.34', '169.254.169.254'] });
    expect((await refusal(dialer.dial('metadata.google.internal', 80, signal))).code).toBe('address-refused');
    expect(proxy.sockets).toEqual([]);
  });

  test('is the next address where the proxy cannot get to one, IPv4 first, and three at most', async () => {
    const proxy = await proxyThat((socket, _, nth) => socket.end(`HTTP/1.1 ${nth < 3 ? 503 : 200} x\r\n\r\n`));
    const addresses = ['2606:4700::1', '93.184.216.34', '93.184.216.35', '93.184.216.36'];
    (await dialerBy(proxy, { addresses }).dial('a.example', 443, signal)).destroy();
    expect(proxy.heads.map((head) => head.split(' ')[1])).toEqual([
      '93.184.216.34:443',
      '93.184.216.35:443',
      '93.184.216.36:443',
    ]);
    const never = await proxyThat((socket) => socket.end('HTTP/1.1 502 x\r\n\r\n'));
    expect((await refusal(dialerBy(never, { addresses }).dial('a.example', 443, signal))).code).toBe('proxy-refused');
    expect(never.heads.length).toBe(3);
  });
});

test('a proxy that says no is not asked for the next address', async () => {
  const proxy = await proxyThat((socket) => socket.end('HTTP/1.1 403 x\r\n\r\n'));
  const dialer = dialerBy(proxy, { addresses: ['93.184.216.34', '93.184.216.35'] });
  expect((await refusal(dialer.dial('a.example', 443, signal))).code).toBe('proxy-refused');
  expect(proxy.heads.length).toBe(1);
});

describe('credentials', () => {
  const password = 'p\u00e4ss:word with-canary';
  const credentials = async () => ({ username: 'corp', password: new Secret(password) });
  const sent = `Basic ${Buffer.from(`corp:${password}`).toString('base64')}`;

  test.each(['', 'a', 'ab', 'abc', 'abcd', password])('of password %j are sent as RFC 7617 says', async (text) => {
    const proxy = await proxyThat(accepting);
    const dialer = dialerBy(proxy, { credentials: async () => ({ username: 'u', password: new Secret(text) }) });
    (await dialer.dial('a.example', 443, signal)).destroy();
    const field = `Proxy-Authorization: Basic ${Buffer.from(`u:${text}`).toString('base64')}`;
    expect(proxy.heads[0]!.split('\r\n').slice(2)).toEqual([field, '', '']);
  });

  test('are released once they are sent, and left out where there are none', async () => {
    const proxy = await proxyThat(accepting);
    let released = 0;
    const lent = async () => ({ ...(await credentials()), release: () => (released += 1) });
    (await dialerBy(proxy, { credentials: lent }).dial('a.example', 443, signal)).destroy();
    expect(released).toBe(1);
    (await dialerBy(proxy, { credentials: async () => undefined }).dial('a.example', 443, signal)).destroy();
    expect(proxy.heads[1]).not.toContain('Authorization');
  });

  test('are overwritten in memory once they were written', async () => {
    const proxy = await proxyThat(accepting);
    const written: Buffer[] = [];
    const { dial } = await import('./dial.ts');
    const dialer = dialerBy(proxy, {
      credentials,
      connect: async (address, seconds, until) => {
        const socket = await dial(address, seconds, until);
        const write = socket.write.bind(socket) as (bytes: Buffer, done: () => void) => boolean;
        socket.write = ((bytes: Buffer, done: () => void) => {
          written.push(bytes);
          return write(bytes, done);
        }) as never;
        return socket;
      },
    });
    (await dialer.dial('a.example', 443, signal)).destroy();
    expect(proxy.heads[0]).toContain(sent);
    expect(written.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true]);
  });

  test('with a colon or a line break in the username are refused before anybody is dialled', async () => {
    const proxy = await proxyThat(accepting);
    for (const username of ['a:b', 'a\r\nX: y']) {
      const dialer = dialerBy(proxy, { credentials: async () => ({ username, password: new Secret('x') }) });
      expect((await refusal(dialer.dial('a.example', 443, signal))).code).toBe('config-invalid');
    }
    expect(proxy.sockets).toEqual([]);
  });

  test('that cannot be had end the dial with their own error, and those that never come with its time', async () => {
    const proxy = await proxyThat(accepting);
    const failing = () => Promise.reject(new SidecarError('credential-unavailable'));
    const dialing = dialerBy(proxy, { credentials: failing }).dial('a.example', 443, signal);
    expect((await refusal(dialing)).code).toBe('credential-unavailable');
    const never = dialerBy(proxy, { credentials: () => new Promise(() => undefined), connectSeconds: 0.2 });
    expect((await refusal(never.dial('a.example', 443, signal))).code).toBe('upstream-unreachable');
    expect(proxy.sockets).toEqual([]);
  });

  test('are in no error, though the proxy sends them back', async () => {
    const proxy = await proxyThat((socket, head) => socket.end(`HTTP/1.1 407 ${head.split('\r\n')[2]}\r\n\r\n${head}`));
    const error = await refusal(dialerBy(proxy, { credentials }).dial('a.example', 443, signal));
    expect(error).toMatchObject({ code: 'proxy-refused', detail: '93.184.216.34:443: the proxy answered 407' });
    expect(inspect(error, { depth: 10 })).not.toMatch(/canary|Basic/);
    expect(inspect(error, { depth: 10 })).not.toContain(sent.slice(6, 20));
  });
});

describe('the answer', () => {
  test.each([
    ['HTTP/1.1 200 OK\r\n\r\n'],
    ['HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\nContent-Length: 5\r\n\r\n'],
    ['HTTP/1.1 204\r\n\r\n'],
  ])('%j opens the tunnel, and what is behind it is left for whoever comes next', async (head) => {
    const proxy = await proxyThat((socket) => socket.write(`${head}first bytes`));
    const socket = await dialerBy(proxy).dial('a.example', 443, signal);
    expect(await firstBytes(socket, 11)).toBe('first bytes');
    proxy.sockets[0]!.write('second');
    expect(await firstBytes(socket, 6)).toBe('second');
  });

  test('is read whatever pieces it comes in', async () => {
    const drip = async (socket: Socket): Promise<void> => {
      for (const character of 'HTTP/1.1 200 OK\r\nVia: x\r\n\r\nrest') {
        socket.write(character);
        await sleep(1);
      }
    };
    const proxy = await proxyThat((socket) => void drip(socket));
    const socket = await dialerBy(proxy).dial('a.example', 443, signal);
    expect(await firstBytes(socket, 4)).toBe('rest');
  });

  test.each([
    ['HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', 'the proxy answered 407'],
    ['HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno', 'the proxy answered 403'],
    ['HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n', 'the proxy answered 302'],
    ['HTTP/1.1 504 Gateway Timeout\r\n\r\n', 'the proxy answered 504'],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', 'no HTTP'],
    ['HTTP/2 200\r\n\r\n', 'no HTTP'],
    ['HTTP/1.1 2000 OK\r\n\r\n', 'no HTTP'],
    [' HTTP/1.1 200 OK\r\n\r\n', 'no HTTP'],
    ['SSH-2.0-x\r\n\r\n', 'no HTTP'],
    ['HTTP/1.1 200 OK\n\n', 'without an answer'],
    ['HTTP/1.1 200 OK\r\n', 'without an answer'],
    ['', 'without an answer'],
  ])('%j is a refusal', async (answer, reason) => {
    const proxy = await proxyThat((socket) => socket.end(answer));
    const error = await refusal(dialerBy(proxy).dial('a.example', 443, signal));
    expect(error.code).toBe('proxy-refused');
    expect(error.detail).toContain(reason);
    await expect.poll(() => proxy.sockets[0]!.destroyed).toBe(true);
  });

  test('over 16 KiB is a refusal, and one just below is not', async () => {
    const start = 'HTTP/1.1 200 OK\r\nX: ';
    const filler = 'x'.repeat(REPLY_BYTES_MAX - start.length - 4);
    const below = await proxyThat((socket) => socket.write(`${start}${filler}\r\n\r\nrest`));
    expect(await firstBytes(await dialerBy(below).dial('a.example', 443, signal), 4)).toBe('rest');
    const over = await proxyThat((socket) => socket.write(`${start}${filler}x\r\n\r\n`));
    const error = await refusal(dialerBy(over).dial('a.example', 443, signal));
    expect([error.code, error.detail]).toEqual(['proxy-refused', 'the proxy answered with a head over 16384 bytes']);
  });

  test('that never comes ends with the time, and with the signal', async () => {
    const proxy = await proxyThat(() => undefined);
    const late = await refusal(dialerBy(proxy, { connectSeconds: 0.2 }).dial('a.example', 443, signal));
    expect(late).toMatchObject({ code: 'upstream-unreachable', detail: 'a.example by proxy: not within 0.2 s' });
    const controller = new AbortController();
    const dialing = dialerBy(proxy).dial('a.example', 443, controller.signal);
    await expect.poll(() => proxy.heads.length).toBe(2);
    controller.abort(new SidecarError('grant-ended'));
    expect((await refusal(dialing)).code).toBe('grant-ended');
    await expect.poll(() => proxy.sockets.every(({ destroyed }) => destroyed)).toBe(true);
  });

  test('of one address that never comes leaves time for the next', async () => {
    const proxy = await proxyThat((socket, _, nth) => nth > 1 && accepting(socket));
    const addresses = ['93.184.216.34', '93.184.216.35'];
    (await dialerBy(proxy, { addresses, connectSeconds: 1 }).dial('a.example', 443, signal)).destroy();
    expect(proxy.heads.length).toBe(2);
  });
});

test('a proxy that is not there is an upstream that cannot be reached', async () => {
  const proxy = await proxyThat(accepting);
  for (const end of ends.splice(0)) end();
  await sleep(20);
  expect((await refusal(dialerBy(proxy).dial('a.example', 443, signal))).code).toBe('upstream-unreachable');
});

describe('a proxy that speaks TLS', () => {
  test('is reached once its certificate is verified, and carries TLS inside TLS', async () => {
    const identity = await issueSelfSigned();
    const tls = { cert: identity.certificate, key: identity.key };
    const proxy = await proxyThat((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      const inner = new TLSSocket(socket, { isServer: true, ...tls });
      inner.on('error', () => undefined).on('data', (chunk: Buffer) => inner.write(`heard ${chunk.toString()}`));
    }, tls);
    for (const host of ['127.0.0.1', 'localhost']) {
      const origin = { scheme: 'https', host, port: proxy.port } as const;
      const socket = await dialerBy(proxy, { proxy: origin, ca: identity.certificate }).dial('a.example', 443, signal);
      ends.push(() => socket.destroy());
      const inner = connectTls({ socket, ca: identity.certificate, servername: 'localhost' });
      inner.write('hello');
      expect(await firstBytes(inner, 11)).toBe('heard hello');
    }
    expect(proxy.heads.length).toBe(2);
  });

  test('with a certificate that nobody vouches for, or for another name, hears nothing', async () => {
    const identity = await issueSelfSigned();
    const other = await issueSelfSigned();
    const proxy = await proxyThat(accepting, { cert: identity.certificate, key: identity.key });
    const origin = { scheme: 'https', host: '127.0.0.1', port: proxy.port } as const;
    const credentials = async () => ({ username: 'u', password: new Secret('x') });
    for (const more of [{ ca: other.certificate }, {}]) {
      const dialing = dialerBy(proxy, { proxy: origin, credentials, ...more }).dial('a.example', 443, signal);
      expect((await refusal(dialing)).code).toBe('proxy-refused');
    }
    const elsewhere = dialerBy(proxy, {
      proxy: { ...origin, host: 'proxy.example' },
      ca: identity.certificate,
      connect: async (address, seconds, until) => {
        const { dial } = await import('./dial.ts');
        return dial({ ...address, host: '127.0.0.1' }, seconds, until);
      },
    });
    expect((await refusal(elsewhere.dial('a.example', 443, signal))).code).toBe('proxy-refused');
    expect(proxy.heads).toEqual([]);
  });

  test('that never answers the handshake is given up in time', async () => {
    const silent = await proxyThat(() => undefined);
    const origin = { scheme: 'https', host: '127.0.0.1', port: silent.port } as const;
    const late = dialerBy(silent, { proxy: origin, connectSeconds: 0.2 }).dial('a.example', 443, signal);
    expect((await refusal(late)).code).toBe('upstream-unreachable');
    await expect.poll(() => silent.sockets[0]!.destroyed).toBe(true);
  });
});
