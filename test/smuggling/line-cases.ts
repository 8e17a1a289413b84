import { ALL_BYTES, FIRST, get, post, product, SMUGGLED } from './hostile-case.ts';
import type { Random } from './random.ts';

/** Chunks, trailers, start lines, targets, hosts, line ends, sizes, and what chance makes of them. */

const CHUNKED = ['Transfer-Encoding: chunked'];

function chunkSizes(): string[] {
  const sizes = [
    ...[
      '5',
      '05',
      '0000000005',
      '+5',
      '-5',
      ' 5',
      '5 ',
      '\t5',
      '5\t',
      '0x5',
      '0X5',
      '5h',
      '5_0',
      '0_5',
      '"5"',
      '',
      '5,5',
      '5.0',
    ],
    ...[
      'FFFFFFFF',
      '100000005',
      '7FFFFFFFFFFFFFFF',
      '8000000000000005',
      'FFFFFFFFFFFFFFFF',
      '10000000000000005',
      `${'0'.repeat(20)}5`,
    ],
    ...[
      'g',
      '5g',
      '\x005',
      '5\x00',
      '5\x0b',
      '\xa05',
      '5\x85',
      '５',
      '5;',
      '5;a',
      '5;a=b',
      '5 ;a=b',
      '5; a="b"',
      '5;a="\r\n"',
    ],
    ...[
      '5;a\n',
      '5;a\r',
      '5\n',
      '5\r',
      '5;\x00',
      '5;a=\xff',
      `5;${'a'.repeat(200)}`,
      '5;a=b;c',
      '5\r\n',
      '-0',
      '0;a\nX: y',
      '5;\r\r',
    ],
  ];
  const ends = ['\r\n', '\n', '\r', '', '\r\n\r\n', 'x\r\n', '\n\r', 'xx'];
  const lasts = ['0\r\n\r\n', '0\n\n', '00\r\n\r\n', '-0\r\n\r\n', '0\r\n\n'];
  return [
    ...product(sizes, ends, (size, end) => post(CHUNKED, `${size}\r\nhello${end}0\r\n\r\n`)),
    ...product(sizes, lasts, (size, last) => post(CHUNKED, `${size}\r\nhello\r\n${last}`)),
    ...sizes.map((size) => post(CHUNKED, `${size}\nhello\r\n0\r\n\r\n`)),
    ...sizes.map((size) => post(CHUNKED, `${size}\r\n\r\n`)),
  ];
}

function chunkExtensions(): string[] {
  const places: ((byte: string) => string)[] = [
    (byte) => `5;a${byte}=b\r\nhello\r\n0\r\n\r\n`,
    (byte) => `5${byte}\r\nhello\r\n0\r\n\r\n`,
    (byte) => `5\r\nhello${byte}\r\n0\r\n\r\n`,
    (byte) => `5\r\nhello\r\n0${byte}\r\n\r\n`,
  ];
  return product(ALL_BYTES, places, (byte, place) => post(CHUNKED, place(byte)));
}

function trailers(): string[] {
  const names = [
    ...[
      'Content-Length: 5',
      'Transfer-Encoding: chunked',
      'Host: evil.test',
      'X-Api-Key: mine',
      'x_api_key: mine',
      'Trailer: X',
    ],
    ...[
      'Connection: close',
      'Authorization: mine',
      'X: y',
      'X : y',
      ' X: y',
      'X',
      ': y',
      'X: \x00',
      'X: y\rZ: w',
      'X: y\nZ: w',
    ],
    ...['GET /k/<id>/trailer HTTP/1.1', 'Content-Length : 5', 'X: y\r\n Z: w', `X: ${'y'.repeat(40_000)}`],
  ];
  const ends = ['\r\n\r\n', '\n\n', '\r\n\n', '\n\r\n', '\r\r', ''];
  return product(names, ends, (name, end) => post([...CHUNKED, 'Trailer: X'], `5\r\nhello\r\n0\r\n${name}${end}`));
}

function startLines(): string[] {
  const versions = [
    ...[
      'HTTP/0.9',
      'HTTP/1.0',
      'HTTP/1.1',
      'HTTP/1.2',
      'HTTP/1.9',
      'HTTP/2.0',
      'HTTP/2',
      'HTTP/3',
      'HTTP/1',
      'HTTP/11',
      'HTTP/1.10',
    ],
    ...[
      'http/1.1',
      'HTTP/01.1',
      'HTTP/1.01',
      'HTTP /1.1',
      'HTTP/ 1.1',
      'HTTPS/1.1',
      'HTP/1.1',
      'HTTP/1.1 ',
      ' HTTP/1.1',
      'HTTP/1.1\t',
    ],
    ...[
      'HTTP/1.1 x',
      'HTTP/1.1\x00',
      '',
      'ICE/1.0',
      'RTSP/1.0',
      'HTTP/1,1',
      'HTTP/-1.1',
      'HTTP/+1.1',
      'HTTP/1.1\r',
      'HTTP/1.1\n',
    ],
  ];
  const methods = [
    ...[
      'GET',
      'get',
      'Get',
      'GE T',
      'GET\t',
      ' GET',
      '\tGET',
      'G\x00ET',
      'GET\x00',
      '',
      'FOO',
      'TRACE',
      'TRACK',
      'CONNECT',
      'PRI',
      'M-SEARCH',
    ],
    ...[
      'SOURCE',
      'DESCRIBE',
      'PURGE',
      '"GET"',
      'G(ET',
      'GET/',
      'GET,POST',
      'HEAD',
      'OPTIONS',
      'A'.repeat(300),
      'GET\r\n',
      'GET\n',
    ],
  ];
  const blanks = [' ', '  ', '\t', '\x0b', '\x0c', '\xa0', '', ' \t', '\r', '\n', '\r\n', '\x00'];
  return [
    ...product(methods, versions, (method, version) => get(`${method} ${FIRST} ${version}`)),
    ...product(blanks, blanks, (one, other) => get(`GET${one}${FIRST}${other}HTTP/1.1`)),
    get(`GET ${FIRST}`, []),
    `GET ${FIRST}\r\n${SMUGGLED}`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00${SMUGGLED}`,
    `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${SMUGGLED}`,
  ];
}

/** Each byte in each place of a head. */
function bytesInHead(): string[] {
  const places: ((byte: string) => string)[] = [
    (byte) => get(`GE${byte}T ${FIRST} HTTP/1.1`),
    (byte) => get(`GET ${FIRST}${byte} HTTP/1.1`),
    (byte) => get(`GET ${FIRST}?a${byte}b HTTP/1.1`),
    (byte) => get(`GET ${FIRST} HTTP/1.1${byte}`),
    (byte) => byte + get(`GET ${FIRST} HTTP/1.1`),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, [`${byte}Host: localhost`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, [`Host: localhost${byte}`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, [`Host: local${byte}host`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X${byte}Y: z`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X: y${byte}z`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X-Api-Key${byte}: mine`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X${byte}Api${byte}Key: mine`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `Connection:${byte}X-Api-Key`]),
    (byte) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X: y\r\n${byte}\r\n`]),
  ];
  return product(ALL_BYTES, places, (byte, place) => place(byte));
}

function targets(): string[] {
  const authorities = [
    ...[
      'localhost',
      'LOCALHOST',
      'localhost:80',
      'localhost:080',
      'localhost:',
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f.1',
      '[::1]',
    ],
    ...[
      'localhost.',
      'user@localhost',
      'localhost@evil.test',
      'evil.test',
      'a:b@localhost',
      '%6cocalhost',
      'local%00host',
      'local\x00host',
    ],
    ...[
      'localhost\t',
      'localhost%20',
      ' localhost',
      'localhost,evil.test',
      'localhost#',
      'localhost?',
      'localhost\\',
      '',
      ':80',
      '[::1',
      '::1',
    ],
  ];
  const forms = [
    ...[
      '*',
      '/',
      '//',
      'localhost:80',
      'k',
      '?a',
      '#',
      'http:',
      'http:/k',
      'http:///k',
      'ftp://localhost/',
      'file:///etc/passwd',
      'javascript:1',
    ],
    ...[
      '/k\\..',
      '/%',
      '/%0d%0aHost:x',
      '/\x7f',
      '/#f',
      '/a b',
      'http://localhost',
      'http://localhost?x',
      'HTTP://localhost/',
      'https://localhost/',
    ],
  ];
  return [
    ...product(authorities, authorities, (one, other) => get(`GET http://${one}${FIRST} HTTP/1.1`, [`Host: ${other}`])),
    ...product(forms, ['GET', 'OPTIONS', 'CONNECT'], (form, method) => get(`${method} ${form} HTTP/1.1`)),
    ...product(authorities, ['localhost', 'evil.test'], (one, other) =>
      get(`GET ${FIRST} HTTP/1.1`, [`Host: ${one}`, `Host: ${other}`]),
    ),
    ...authorities.flatMap((one) => [
      get(`GET ${FIRST} HTTP/1.1`, [`Host: ${one}`]),
      get(`GET ${FIRST} HTTP/1.1`, [`Host:${one}`, 'host_: x']),
      get(`GET ${FIRST} HTTP/1.0`, one === '' ? [] : [`Host: ${one}`]),
      get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X-Forwarded-Host: ${one}`, `Forwarded: host=${one}`]),
    ]),
    get(`GET ${FIRST} HTTP/1.1`, []),
  ];
}

/** Every mixture of line ends, and what stands before the first line. */
function lineEnds(): string[] {
  const ends = ['\r\n', '\n', '\r', '\r\r\n', '\n\r', '\x0b', '\x85', '\u0000\r\n', '\r\n\x00'];
  const make = (a: string, b: string, c: string): string =>
    `POST ${FIRST} HTTP/1.1${a}Host: localhost${b}Transfer-Encoding: chunked${c}${a}0\r\n\r\n${SMUGGLED}`;
  const leads = [
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '\r\n'.repeat(50),
    ' \r\n',
    '\x00',
    '\xef\xbb\xbf',
    ' ',
    '\t',
    'X: y\r\n',
    '0\r\n\r\n',
    '\r\n\n',
  ];
  return [
    ...ends.flatMap((a) => product(ends, ends, (b, c) => make(a, b, c))),
    ...leads.map((lead) => lead + get(`GET ${FIRST} HTTP/1.1`)),
    ...leads.map((lead) => `GET ${FIRST} HTTP/1.1\r\nHost: localhost\r\n\r\n${lead}${SMUGGLED}`),
    ...leads.map((lead) => post(['Content-Length: 5'], `hello${lead}`)),
  ];
}

function hopsAndSizes(): string[] {
  const spelled = ['X-Api-Key', 'x-api-key', 'X_Api_Key', 'X-API_KEY', 'x_api-key', 'X-Api-Key '].map((name) => [
    `${name}: mine`,
    `${name}: twice`,
  ]);
  const options = [
    'X-Api-Key',
    'x-api-key, close',
    'Host',
    'Content-Length',
    'Transfer-Encoding',
    'keep-alive, X_Api_Key',
    '\xa0Host',
    'close',
    ',,,',
  ];
  const upgrades = ['websocket', 'h2c', 'HTTP/2.0', 'TLS/1.0', 'WebSocket, h2c', '\xa0websocket'];
  const long = [8_000, 16_000, 33_000, 70_000];
  return [
    ...spelled.map((fields) => get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', ...fields])),
    ...options.map((option) => post([`Connection: ${option}`, 'Content-Length: 5'], 'hello')),
    ...product(upgrades, ['Content-Length: 5', ...CHUNKED, 'X: y'], (upgrade, field) =>
      post(
        [
          `Upgrade: ${upgrade}`,
          'Connection: Upgrade',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
          field,
        ],
        'hello',
      ),
    ),
    ...['100-continue', '100-Continue', '200-ok', '100-continue, x'].map((expect) =>
      post([`Expect: ${expect}`, 'Content-Length: 5'], 'hello'),
    ),
    ...long.flatMap((size) => [
      get(`GET ${FIRST}?${'a'.repeat(size)} HTTP/1.1`),
      get(`GET ${FIRST} HTTP/1.1`, ['Host: localhost', `X: ${'y'.repeat(size)}`]),
      get(`GET ${FIRST} HTTP/1.1`, [
        'Host: localhost',
        ...Array.from({ length: size / 10 }, (_, at) => `X${at}: y`),
        'Content-Length: 0',
      ]),
      post(CHUNKED, `5;${'a'.repeat(size)}\r\nhello\r\n0\r\n\r\n`),
    ]),
  ];
}

/** Well-formed and hostile texts with one to four random edits. */
export function edited(random: Random, count: number, texts: readonly string[]): string[] {
  const pieces = [
    '\r',
    '\n',
    '\r\n',
    '\0',
    ' ',
    '\t',
    ':',
    ',',
    ';',
    '0',
    '5',
    '\r\n ',
    'chunked',
    'Transfer-Encoding: chunked\r\n',
    'Content-Length: 5\r\n',
  ];
  return Array.from({ length: count }, () => {
    // The request behind stays whole: it is what must not be smuggled.
    let text = random.pick(texts).replace(SMUGGLED, '').slice(0, 2_000);
    for (let edits = 1 + random.below(4); edits > 0; edits -= 1) {
      const at = random.below(text.length + 1);
      const cut = random.below(3) === 0 ? 1 + random.below(6) : 0;
      const piece = random.below(3) === 0 ? String.fromCharCode(random.below(256)) : random.pick(pieces);
      text = text.slice(0, at) + piece + text.slice(at + cut);
    }
    return text + SMUGGLED;
  });
}

export const LINE_FAMILIES: Readonly<Record<string, () => string[]>> = {
  'chunk sizes': chunkSizes,
  'chunk extensions': chunkExtensions,
  trailers: trailers,
  'start lines': startLines,
  'bytes in a head': bytesInHead,
  'targets and hosts': targets,
  'line ends': lineEnds,
  'hop-by-hop fields and sizes': hopsAndSizes,
};
