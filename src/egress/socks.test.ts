import { describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../error.ts';
import {
  chooseSocksMethod,
  readSocksGreeting,
  readSocksLogin,
  readSocksRequest,
  socksLoginReply,
  socksMethod,
  socksReply,
  socksReplyFor,
  type SocksReading,
} from './socks.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function named(name: string, port = 443): Buffer {
  const bytes = Buffer.from(name, 'latin1');
  return Buffer.concat([Buffer.of(5, 1, 0, 3, bytes.length), bytes, Buffer.of(port >> 8, port & 255)]);
}

/** The request, or the code of the reply that ends it. */
function outcome(bytes: Uint8Array): unknown {
  const reading = readSocksRequest(bytes);
  if ('answer' in reading) return reading.answer[1];
  return 'message' in reading ? reading.message : 'more';
}

describe('a greeting', () => {
  test('says which ways to log in there are', () => {
    expect(readSocksGreeting(hex('05 02 00 02'))).toEqual({ message: { methods: [0, 2] }, used: 4 });
  });

  test('is taken, and what is behind it is not', () => {
    expect(readSocksGreeting(hex('05 01 00 05 01'))).toEqual({ message: { methods: [0] }, used: 3 });
  });

  test.each(['04', '04 01 01 bb 7f 00 00 01 00', '04 01 01 bb 00 00 00 01 00 61 00'])(
    'of SOCKS 4 (%s) is refused in its own words',
    (bytes) => {
      expect(readSocksGreeting(hex(bytes))).toEqual({ problem: 'SOCKS 4', answer: hex('00 5b 00 00 00 00 00 00') });
    },
  );

  test('without any way to log in, and of another protocol, is refused', () => {
    expect(readSocksGreeting(hex('05 00'))).toMatchObject({ problem: 'no way to log in', answer: hex('05 ff') });
    expect(readSocksGreeting(hex('16 03'))).toMatchObject({ problem: 'not SOCKS 5' });
  });
});

describe('the way to log in', () => {
  test.each([
    [[0], { asks: false, anonymous: true }, 'no-login'],
    [[0, 2], { asks: false, anonymous: true }, 'no-login'],
    [[0, 2], { asks: true, anonymous: true }, 'login'],
    [[0, 2], { asks: true, anonymous: false }, 'login'],
    [[0], { asks: true, anonymous: true }, 'no-login'],
    [[0], { asks: true, anonymous: false }, 'none-fits'],
    [[1], { asks: false, anonymous: true }, 'none-fits'],
    [[2], { asks: false, anonymous: true }, 'login'],
    [[1, 3, 128], { asks: true, anonymous: true }, 'none-fits'],
  ] as const)('of %j where %j is %s', (methods, who, method) => {
    expect(chooseSocksMethod({ methods }, who)).toBe(method);
  });

  test('is answered with its number', () => {
    expect(socksMethod('no-login')).toEqual(hex('05 00'));
    expect(socksMethod('login')).toEqual(hex('05 02'));
    expect(socksMethod('none-fits')).toEqual(hex('05 ff'));
  });
});

describe('a login', () => {
  test('has a user and a password, each of which may be empty', () => {
    const reading = (text: string) => readSocksLogin(hex(text));
    expect(reading('01 01 61 02 62 63')).toEqual({ message: { user: hex('61'), password: hex('6263') }, used: 6 });
    expect(reading('01 00 01 62 ff')).toEqual({ message: { user: hex(''), password: hex('62') }, used: 4 });
    expect(reading('01 01 61 00')).toEqual({ message: { user: hex('61'), password: hex('') }, used: 4 });
  });

  test('of another version is refused', () => {
    expect(readSocksLogin(hex('05 01'))).toEqual({ problem: 'not a SOCKS login', answer: hex('01 01') });
  });

  test('of 255 bytes each is read', () => {
    const long = Buffer.alloc(255, 0x61);
    const reading = readSocksLogin(Buffer.concat([hex('01 ff'), long, hex('ff'), long]));
    expect(reading).toEqual({ message: { user: long, password: long }, used: 513 });
  });

  test('is answered with success or failure', () => {
    expect(socksLoginReply(true)).toEqual(hex('01 00'));
    expect(socksLoginReply(false)).toEqual(hex('01 01'));
  });
});

describe('a request', () => {
  test.each([
    ['a name', named('API.github.com'), { host: 'api.github.com', port: 443 }],
    ['an IPv4 address', hex('05 01 00 01 08 08 04 04 00 50'), { host: '8.8.4.4', port: 80 }],
    ['an IPv6 address', hex(`05 01 00 04 20010db8 ${'00'.repeat(11)} 01 01 bb`), { host: '2001:db8::1', port: 443 }],
    [
      'a mapped address',
      hex(`05 01 00 04 ${'00'.repeat(10)} ffff 7f000001 ffff`),
      { host: '::ffff:7f00:1', port: 65535 },
    ],
    ['a name that is an address', named('127.0.0.1'), { host: '127.0.0.1', port: 443 }],
  ])('for %s is read', (_, bytes, request) => {
    expect(outcome(bytes)).toEqual(request);
  });

  test.each([
    ['BIND', hex('05 02'), 7],
    ['UDP ASSOCIATE', hex('05 03 00 01 00000000 0000'), 7],
    ['an unknown command', hex('05 7f'), 7],
    ['an unknown type of address', hex('05 01 00 02'), 8],
    ['a reserved byte that is set', hex('05 01 01'), 1],
    ['another version', hex('04'), 1],
    ['port 0', named('a.example', 0), 1],
    ['no name', hex('05 01 00 03 00 01 bb'), 8],
    ['NUL in the name', named('a.example\0.github.com'), 8],
    ['a name of 255 bytes', named(`${'a.'.repeat(126)}com`), 8],
    ['a dot at the end', named('a.example.'), 8],
    ['a short IPv4 address as name', named('127.1'), 8],
    ['a number as name', named('2130706433'), 8],
    ['a port in the name', named('a.example:80'), 8],
    ['letters that are not ASCII', named('\xe4.example'), 8],
    ['CR LF in the name', named('a.example\r\n'), 8],
    ['a zone', named('[fe80::1%eth0]'), 8],
  ])('with %s is refused', (_, bytes, code) => {
    expect(outcome(bytes)).toBe(code);
  });

  test('is answered with the reply and an address that says nothing', () => {
    expect(socksReply('succeeded')).toEqual(hex('05 00 00 01 00000000 0000'));
    expect(socksReply('refused')).toEqual(hex('05 02 00 01 00000000 0000'));
  });
});

test('every message is read the same whatever came in first, and nothing behind it is taken', () => {
  const cases: [(bytes: Uint8Array) => SocksReading<unknown>, Buffer][] = [
    [readSocksGreeting, hex('05 03 00 01 02')],
    [readSocksLogin, hex('01 03 616263 02 6465')],
    [readSocksRequest, named('a.example')],
    [readSocksRequest, hex('05 01 00 01 08080404 0050')],
    [readSocksRequest, hex(`05 01 00 04 20010db8 ${'00'.repeat(12)} 01bb`)],
  ];
  for (const [read, bytes] of cases) {
    for (let cut = 0; cut < bytes.length; cut++) expect(read(bytes.subarray(0, cut))).toEqual({ need: 'more' });
    const whole = read(bytes);
    expect(whole).toMatchObject({ used: bytes.length });
    expect(read(Buffer.concat([bytes, Buffer.alloc(300, 5)]))).toEqual(whole);
  }
});

test('no message of any bytes throws, or needs more than 513 of them', () => {
  let state = 88172645;
  const random = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 16;
  for (let round = 0; round < 100_000; round++) {
    const bytes = Buffer.alloc(513);
    for (let at = 0; at < 8; at++) bytes[at] = random() % (random() % 2 === 0 ? 6 : 256);
    for (const read of [readSocksGreeting, readSocksLogin, readSocksRequest]) {
      if ('need' in read(bytes)) expect.unreachable(bytes.toString('hex'));
    }
  }
});

test.each([
  ['policy-denied', 2],
  ['no-service', 2],
  ['address-refused', 2],
  ['upstream-unreachable', 4],
  ['upstream-timeout', 4],
  ['upstream-closed', 5],
  ['request-malformed', 8],
  ['internal', 1],
  ['ledger-unavailable', 1],
] as const)('%s is told with reply %i', (code, reply) => {
  expect(socksReply(socksReplyFor(code))[1]).toBe(reply);
});

test('no error is told as a success', () => {
  for (const code of Object.keys(ERRORS)) expect(socksReply(socksReplyFor(code as ErrorCode))[1]).not.toBe(0);
});
