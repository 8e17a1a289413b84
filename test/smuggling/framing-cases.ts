import { ALL_BYTES, FIRST, post, product, SMUGGLED } from './hostile-case.ts';

/** What announces how long a body is (RFC 9112 section 6). */

const LENGTHS = [
  ...[
    '',
    '5',
    '+5',
    '-5',
    '05',
    '005',
    '5 ',
    ' 5',
    '5\t',
    '\t5',
    '5,5',
    '5, 5',
    '5,6',
    '6,5',
    '5;5',
    '5 5',
    '5.0',
    '5e0',
  ],
  ...[
    '0x5',
    '0X5',
    '0o5',
    '0b101',
    '5h',
    '1_0',
    '"5"',
    "'5'",
    '5\x00',
    '\x005',
    '5\x0b',
    '\x0c5',
    '\xa05',
    '5\x85',
    '\xb2',
  ],
  ...['4294967301', '9007199254740993', '18446744073709551615', '18446744073709551616', '18446744073709551621'],
  ...[
    '9'.repeat(40),
    '0'.repeat(40) + '5',
    'NaN',
    'Infinity',
    'chunked',
    '-0',
    '+0',
    '0',
    '00',
    ',5',
    '5,',
    ',',
    'five',
  ],
];

const LENGTH_NAMES = [
  ...['content-length', 'CONTENT-LENGTH', 'Content_Length', 'Content-Length ', 'Content-Length\t', ' Content-Length'],
  ...[
    '\tContent-Length',
    'Content-Length\x00',
    'Content\x00-Length',
    'Content Length',
    '"Content-Length"',
    'Content-Length\xa0',
  ],
  ...[
    'Content-Length:',
    'X\r\nContent-Length',
    'X\nContent-Length',
    'X\rContent-Length',
    'Content\xadLength',
    'Content-Len\xefth',
  ],
];

const CODINGS = [
  ...[
    'chunked',
    'Chunked',
    'CHUNKED',
    ' chunked',
    '\tchunked',
    'chunked ',
    'chunked\t',
    'chunked,',
    ',chunked',
    ', chunked',
  ],
  ...['identity', 'chunked, identity', 'identity, chunked', 'identity,chunked', 'chunked, chunked', 'chunked,chunked'],
  ...[
    'xchunked',
    'x-chunked',
    'chunkedx',
    '"chunked"',
    "'chunked'",
    'chunked;q=1',
    'chunked; a=b',
    'chunked chunked',
    'chunk',
  ],
  ...[
    'chunke\x00d',
    'chunked\x00',
    '\x00chunked',
    'chunked\x0b',
    '\x0bchunked',
    'chunked\x0c',
    '\xa0chunked',
    'chunked\x85',
  ],
  ...[
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'deflate',
    'compress',
    'trailers',
    'none',
    '',
    'chun\rked',
    'chun\nked',
  ],
  ...[
    'c\xe9unked',
    'ch\u0000unked',
    'chunk\xadd',
    'cow',
    'chunked\r\n ',
    '\r\n chunked',
    '\r\n\tchunked',
    'a\r\nb: chunked',
  ],
];

const CODING_NAMES = [
  ...['Transfer-Encoding', 'transfer-encoding', 'TRANSFER-ENCODING', 'tRANSFER-eNCODING', 'Transfer_Encoding'],
  ...['Transfer-Encoding ', 'Transfer-Encoding\t', ' Transfer-Encoding', '\tTransfer-Encoding', 'Transfer Encoding'],
  ...[
    'X: y\rTransfer-Encoding',
    'X: y\nTransfer-Encoding',
    'X: y\r\n Transfer-Encoding',
    'Transfer-Encoding\x00',
    'Transfer-Encoding\x0b',
  ],
];

/** The second reading of each: ends at once for who reads chunks, or holds the next request for who reads a length. */
const BODIES = [`0\r\n\r\n`, `5\r\nhello\r\n0\r\n\r\n`, 'hello', ''];

/** A length that takes the smuggled request for body, and more. */
const COVERING = SMUGGLED.length + 5;

function lengths(): string[] {
  const alone = product(LENGTHS, ['hello', ''], (value, body) => post([`Content-Length:${value}`], body));
  const twice = product(LENGTHS, LENGTHS.slice(0, 14), (one, other) =>
    post([`Content-Length: ${one}`, `Content-Length: ${other}`], 'hello'),
  );
  const named = product(LENGTH_NAMES, ['5', '0', String(COVERING)], (name, value) =>
    post([`${name}: ${value}`], 'hello'),
  );
  const both = product(LENGTH_NAMES, ['5', '0'], (name, value) =>
    post(['Content-Length: 5', `${name}: ${value}`], 'hello'),
  );
  const onGet = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'get', 'QUERY'].flatMap((method) =>
    ['5', '0', String(COVERING)].map((value) => post([`Content-Length: ${value}`], 'hello').replace('POST', method)),
  );
  return [...alone, ...twice, ...named, ...both, ...onGet];
}

/** Both framing fields, in both orders: every reader must refuse or agree. */
function both(): string[] {
  return CODINGS.flatMap((coding) => {
    const te = `Transfer-Encoding: ${coding}`;
    return BODIES.flatMap((body) => [
      post([`Content-Length: ${body.length}`, te], body),
      post([te, `Content-Length: ${body.length}`], body),
      post([`Content-Length: ${body.length + COVERING}`, te], body),
      post([te, 'X: y', 'Content-Length: 0'], body),
    ]);
  });
}

function codings(): string[] {
  const alone = product(CODINGS, BODIES, (coding, body) => post([`Transfer-Encoding: ${coding}`], body));
  const twice = product(CODINGS, ['chunked', 'identity', 'xchunked', ''], (one, other) =>
    post([`Transfer-Encoding: ${one}`, `Transfer-Encoding: ${other}`], BODIES[0]),
  );
  const named = product(CODING_NAMES, CODING_NAMES.slice(0, 5), (name, other) =>
    post([`${name}: chunked`, `${other}: chunked`], BODIES[0]),
  );
  const withLength = CODING_NAMES.flatMap((name) => [
    post([`${name}: chunked`, 'Content-Length: 5'], BODIES[0]),
    post(['Content-Length: 5', `${name}: chunked`], BODIES[0]),
    post([`${name}: chunked`], BODIES[0]),
  ]);
  const old = product(CODINGS, ['HTTP/1.0', 'HTTP/0.9', 'HTTP/1.2', 'HTTP/2.0'], (coding, version) =>
    post([`Transfer-Encoding: ${coding}`], BODIES[0], version),
  );
  return [...alone, ...twice, ...named, ...withLength, ...old];
}

/** Each byte in each place around and inside `Transfer-Encoding: chunked`, alone and with a length beside it. */
function codingBytes(): string[] {
  const places: ((byte: string) => string)[] = [
    (byte) => `${byte}Transfer-Encoding: chunked`,
    (byte) => `Transfer${byte}-Encoding: chunked`,
    (byte) => `Transfer-Encoding${byte}: chunked`,
    (byte) => `Transfer-Encoding:${byte}chunked`,
    (byte) => `Transfer-Encoding: chun${byte}ked`,
    (byte) => `Transfer-Encoding: chunked${byte}`,
    (byte) => `X: y${byte}Transfer-Encoding: chunked`,
    (byte) => `X: y${byte}\r\nTransfer-Encoding: chunked`,
    (byte) => `Transfer-Encoding: chunked\r${byte}X: y`,
    (byte) => `Transfer${byte}Encoding: chunked`,
  ];
  return product(ALL_BYTES, places, (byte, place) => post([place(byte), 'Content-Length: 5'], BODIES[0])).concat(
    product(ALL_BYTES, places, (byte, place) => post([place(byte)], BODIES[0])),
  );
}

/** Field lines folded onto the next line (RFC 9112 section 5.2), and blanks where no blank may be. */
function folds(): string[] {
  const breaks = ['\r\n ', '\r\n\t', '\n ', '\r ', '\r\n \r\n ', '\r\n\x0b', '\r\n\xa0', '\r\r\n ', '\n\t'];
  const lines = [
    'Transfer-Encoding:@chunked',
    'Transfer-Encoding: chun@ked',
    'Content-Length:@5',
    'Content-Length: 5@',
  ];
  const more = [
    'X: y@Transfer-Encoding: chunked',
    'X:@y',
    'Transfer-Encoding@: chunked',
    '@Transfer-Encoding: chunked',
    '@X: y',
  ];
  const all = product([...lines, ...more], breaks, (line, fold) => line.replace('@', fold));
  const hosts = breaks.map(
    (fold) => `POST ${FIRST} HTTP/1.1${fold}Host: localhost\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`,
  );
  return [...all.flatMap((line) => [post([line], BODIES[0]), post([line, 'Content-Length: 5'], BODIES[0])]), ...hosts];
}

export const FRAMING_FAMILIES: Readonly<Record<string, () => string[]>> = {
  lengths: lengths,
  'a length and a coding': both,
  codings: codings,
  'bytes around a coding': codingBytes,
  'folded lines': folds,
};
