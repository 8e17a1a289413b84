import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseHost } from '../http/authority.ts';
import { HELLO_BYTES_MAX, HelloReader, type ClientHello, type HelloReading } from './client-hello.ts';
import { builtHello, extension, recordsOf, serverNames, u16, vector, type HelloParts } from './testdata/built-hello.ts';

interface Captured {
  readonly client: string;
  readonly serverName?: string;
  /** Null for the long list of the client that was given one. */
  readonly alpn: string[] | null;
  readonly versions: number[];
  readonly hello: string;
}

/** What real clients sent to a socket that never answered, beside what they were told to send. */
const captured = (
  JSON.parse(readFileSync(join(import.meta.dirname, 'testdata/client-hellos.json'), 'utf8')) as Captured[]
).map(({ hello, alpn, ...rest }) => ({
  ...rest,
  alpn: alpn ?? Array.from({ length: 165 }, (_, at) => `protocol-${at}-`.padEnd(100, 'x')),
  bytes: Buffer.from(hello, 'hex'),
}));

/** More by `FUZZ_RUNS=1000000`. */
const ROUNDS = Number(process.env['FUZZ_RUNS'] ?? 100_000);

function read(bytes: Uint8Array): HelloReading {
  return new HelloReader().push(bytes);
}

function helloOf(reading: HelloReading): ClientHello {
  if (!('hello' in reading)) throw new Error(JSON.stringify(reading));
  return reading.hello;
}

function problemOf(parts: HelloParts): string {
  const reading = read(builtHello(parts));
  return 'problem' in reading ? reading.problem : JSON.stringify(reading);
}

/** The handshake bytes of captured records. */
function messageOf(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    parts.push(bytes.subarray(at + 5, at + 5 + bytes.readUInt16BE(at + 3)));
  }
  return Buffer.concat(parts);
}

describe.each(captured)('the hello of $client', ({ serverName, alpn, versions, bytes }) => {
  test('says exactly what the client was told to send', () => {
    const hello = helloOf(read(bytes));
    expect(hello.serverName).toBe(serverName);
    expect(hello.alpn).toEqual(alpn);
    expect(hello.versions.filter((version) => (version & 0x0f0f) !== 0x0a0a)).toEqual(versions);
    expect(hello.ech).toBe(false);
  });

  test('is read the same when it comes byte by byte, and is kept as it came', () => {
    const reader = new HelloReader();
    for (const [at, byte] of bytes.entries()) {
      const reading = reader.push(Uint8Array.of(byte));
      if (at < bytes.length - 1) expect(reading).toEqual({ need: 'more' });
      else expect(reading).toEqual(read(bytes));
    }
    expect(reader.bytes.equals(bytes)).toBe(true);
  });

  test('is read the same when it comes in two pieces, cut at every byte', () => {
    const whole = read(bytes);
    const step = bytes.length > 4096 ? 7 : 1;
    for (let cut = 0; cut < bytes.length; cut += step) {
      const reader = new HelloReader();
      if ('need' in reader.push(bytes.subarray(0, cut))) expect(reader.push(bytes.subarray(cut))).toEqual(whole);
      else expect.unreachable(`cut at ${cut}`);
    }
  });

  test.each([1, 2, 3, 5, 100])('is read the same in records of %i bytes, where it fits', (size) => {
    const message = messageOf(bytes);
    const records = recordsOf(message, size);
    const expected = records.length <= HELLO_BYTES_MAX ? read(bytes) : { problem: 'the hello is over 64 KiB' };
    expect(read(records)).toEqual(expected);
  });
});

describe('what comes first', () => {
  test.each([
    ['a request', Buffer.from('GET / HTTP/1.1\r\n'), 'not a TLS handshake'],
    ['SSH', Buffer.from('SSH-2.0-x\r\n'), 'not a TLS handshake'],
    ['the first byte of an alert', Buffer.from([21]), 'not a TLS handshake'],
    ['an SSLv2 hello', Buffer.from('802e0100020015000000100100800200', 'hex'), 'not TLS, or an SSLv2 hello'],
    ['TLS of another world', Buffer.from([22, 2]), 'not a version of TLS'],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0]), 'an empty record'],
    ['a record over 2^14', Buffer.from([22, 3, 1, 0x40, 1]), 'a record over its limit'],
    ['a ServerHello', Buffer.from([22, 3, 1, 0, 80, 2]), 'no hello comes first'],
    ['a message over 64 KiB', Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0]), 'the hello is over 64 KiB'],
  ])('%s is told from a hello as soon as it can be', (_, bytes, problem) => {
    expect(read(bytes)).toEqual({ problem });
    expect(read(bytes.subarray(0, -1))).not.toHaveProperty('hello');
  });

  test('a record of another type between the pieces of a hello ends it', () => {
    const message = messageOf(builtHello({ names: ['a.example'] }));
    const pieces = recordsOf(message, 20);
    const between = Buffer.concat([pieces.subarray(0, 25), Buffer.from([20, 3, 3, 0, 1, 1]), pieces.subarray(25)]);
    expect(read(pieces)).toHaveProperty('hello');
    expect(read(between)).toEqual({ problem: 'not a TLS handshake' });
  });

  test('bytes behind the hello in its record end it, and a record behind it is left alone', () => {
    const hello = builtHello({ names: ['a.example'] });
    const message = messageOf(hello);
    expect(read(recordsOf(Buffer.concat([message, Buffer.from([1])]), 16_384))).toEqual({
      problem: 'bytes behind the hello in its record',
    });
    const reader = new HelloReader();
    const early = Buffer.concat([hello, Buffer.from('1703030001ff', 'hex')]);
    expect(helloOf(reader.push(early)).serverName).toBe('a.example');
    expect(reader.bytes.equals(early)).toBe(true);
  });

  test('a hello of 64 KiB with the heads of its records is read, and one byte more is not', () => {
    const message = (padding: number): Buffer =>
      messageOf(builtHello({ names: ['a.example'], more: [extension(21, Buffer.alloc(padding))] }));
    const padding = HELLO_BYTES_MAX - message(0).length;
    const heads = 4 * 5;
    expect(helloOf(read(recordsOf(message(padding - heads), 16_384))).serverName).toBe('a.example');
    expect(read(recordsOf(message(padding - heads + 1), 16_384))).toEqual({ problem: 'the hello is over 64 KiB' });
  });

  test('a hello that says itself that it is over 64 KiB is refused before it is there', () => {
    const start = Buffer.from('160301400001', 'hex');
    expect(read(Buffer.concat([start, Buffer.from('00fffc', 'hex')]))).toEqual({ need: 'more' });
    expect(read(Buffer.concat([start, Buffer.from('00fffd', 'hex')]))).toEqual({ problem: 'the hello is over 64 KiB' });
  });
});

describe('the server name', () => {
  test.each([
    ['a.example', 'a.example'],
    ['API.GitHub.COM', 'api.github.com'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
  ])('%s is %s', (sent, name) => {
    expect(helloOf(read(builtHello({ names: [sent] }))).serverName).toBe(name);
  });

  test.each([
    'a.example\0.github.com',
    'api.github.com.',
    'api.github.com:443',
    'user@api.github.com',
    'a b',
    '.a',
    'a..b',
    '*.example.com',
    'bücher.example',
    'a\u3002com',
    '127.1',
    '0x7f.0.0.1',
    '2130706433',
    `${'a.'.repeat(130)}com`,
    '',
  ])('%j is no server name', (sent) => {
    expect(problemOf({ names: [sent] })).toBe('a server name that no host has');
  });

  test.each(['127.0.0.1', '8.8.8.8', '[::1]', '[2001:db8::1]'])('%s is an address, not a server name', (sent) => {
    expect(problemOf({ names: [sent] })).toBe('an address as server name');
  });

  test('two names, two extensions, another type of name and no name at all are refused', () => {
    expect(problemOf({ names: ['a.example', 'b.example'] })).toBe('bytes behind the server name');
    expect(problemOf({ names: ['a.example'], more: [serverNames(['b.example'])] })).toBe('extension 0 twice');
    expect(
      problemOf({ more: [extension(0, vector(2, Buffer.concat([Buffer.of(1), vector(2, Buffer.from('a'))])))] }),
    ).toBe('a server name that is no host name');
    expect(problemOf({ more: [extension(0, vector(2, Buffer.alloc(0)))] })).toBe('a length reaches beyond the hello');
    expect(problemOf({ more: [extension(0, Buffer.alloc(0))] })).toBe('a length reaches beyond the hello');
    expect(
      problemOf({ more: [extension(0, Buffer.concat([serverNames(['a.example']).subarray(4), Buffer.of(0)]))] }),
    ).toBe('bytes behind the list of server names');
  });

  test('a name that ends before its list does is refused', () => {
    const short = vector(2, Buffer.concat([Buffer.of(0), u16(3), Buffer.from('ab')]));
    expect(problemOf({ more: [extension(0, short)] })).toBe('a length reaches beyond the hello');
  });
});

describe('the other extensions', () => {
  test('values of GREASE are passed over wherever they stand', () => {
    const grease = [extension(0x0a0a, Buffer.alloc(0)), extension(0xfafa, Buffer.of(0))];
    const versions = extension(43, vector(1, Buffer.concat([u16(0x4a4a), u16(0x0304), u16(0x0303)])));
    const hello = helloOf(
      read(builtHello({ names: ['a.example'], alpn: ['\x0a\x0a', 'h2'], more: [...grease, versions] })),
    );
    expect(hello).toEqual({
      serverName: 'a.example',
      alpn: ['\x0a\x0a', 'h2'],
      ech: false,
      versions: [0x4a4a, 0x304, 0x303],
    });
  });

  test('an encrypted hello is seen', () => {
    expect(helloOf(read(builtHello({ names: ['a.example'], more: [extension(0xfe0d, Buffer.alloc(40))] }))).ech).toBe(
      true,
    );
    expect(helloOf(read(builtHello({ names: ['a.example'], more: [extension(0xffce, Buffer.alloc(40))] }))).ech).toBe(
      true,
    );
  });

  test('a hello without extensions has no name, no protocols, and the version of its head', () => {
    expect(read(builtHello({ bare: true }))).toEqual({ hello: { alpn: [], ech: false, versions: [0x0303] } });
  });

  test.each([
    ['an empty list of protocols', extension(16, vector(2, Buffer.alloc(0))), 'a length reaches beyond the hello'],
    ['an empty protocol', extension(16, vector(2, Buffer.of(0))), 'an empty protocol name'],
    ['257 protocols', extension(16, vector(2, Buffer.alloc(514, 1))), 'too many protocols'],
    ['half a version', extension(43, vector(1, Buffer.alloc(3))), 'no list of versions'],
    ['no version', extension(43, vector(1, Buffer.alloc(0))), 'no list of versions'],
    ['bytes behind the versions', extension(43, Buffer.from([2, 3, 4, 0])), 'bytes behind the list of versions'],
  ])('%s is refused', (_, more, problem) => {
    expect(problemOf({ more: [more] })).toBe(problem);
  });

  test('more than 256 extensions are refused', () => {
    const many = (count: number): Buffer[] =>
      Array.from({ length: count }, (_, at) => extension(1000 + at, Buffer.alloc(0)));
    expect(read(builtHello({ more: many(256) }))).toHaveProperty('hello');
    expect(problemOf({ more: many(257) })).toBe('too many extensions');
  });

  test('lengths of the fixed part are held against what is there', () => {
    expect(problemOf({ session: 33 })).toBe('a session id over its limit');
    expect(problemOf({ suites: Buffer.alloc(0) })).toBe('no list of cipher suites');
    expect(problemOf({ suites: Buffer.alloc(3) })).toBe('no list of cipher suites');
    expect(problemOf({ compression: Buffer.alloc(0) })).toBe('no list of compression methods');
    expect(problemOf({ version: 0x0200 })).toBe('not a version of TLS');
    expect(problemOf({ behind: Buffer.of(0) })).toBe('bytes behind the extensions');
  });
});

test(`${ROUNDS} damaged hellos: none throws, and a name that is read is one that a host has`, () => {
  const seeds = captured.filter(({ bytes }) => bytes.length < 2048).map(({ bytes }) => bytes);
  let state = 0x9e3779b9;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const scratch = Buffer.alloc(4096);
  const count = { hello: 0, problem: 0, need: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const length = damaged(scratch, seeds[random(seeds.length)]!, random);
    const cut = random(4) === 0 ? random(length + 1) : length;
    const reader = new HelloReader();
    let reading = reader.push(scratch.subarray(0, cut));
    if (cut < length) reading = reader.push(scratch.subarray(cut, length));
    if ('problem' in reading) count.problem += 1;
    else if ('need' in reading) count.need += 1;
    else {
      count.hello += 1;
      const { serverName } = reading.hello;
      // Compared without `expect`, which costs more than all the rest.
      if (serverName !== undefined && parseHost(serverName) !== serverName) expect.unreachable(serverName);
    }
  }
  // All three ends are reached in earnest.
  for (const some of Object.values(count)) expect(some).toBeGreaterThan(ROUNDS / 50);
}, 120_000);

/** Writes a damaged copy of `hello`, and returns its length. */
function damaged(into: Buffer, hello: Buffer, random: (below: number) => number): number {
  let length = hello.copy(into);
  for (let change = random(4); change >= 0; change--) {
    const at = random(4) === 0 ? random(Math.min(length, 160)) : random(length);
    switch (random(6)) {
      case 0:
        into[at]! ^= 1 << random(8);
        break;
      case 1:
        into[at] = random(256);
        break;
      case 2:
        into[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)]!;
        break;
      case 3: {
        const gone = Math.min(1 + random(8), length - at);
        into.copyWithin(at, at + gone, length);
        length = Math.max(1, length - gone);
        break;
      }
      case 4: {
        const size = 1 + random(8);
        into.copyWithin(at + size, at, length);
        length += size;
        break;
      }
      default:
        length = Math.max(1, length - random(40));
    }
  }
  return length;
}
