import { ALL_BYTES } from './hostile-case.ts';

/**
 * What a hostile upstream may send instead of one well-formed answer. `evil` marks bytes that belong to no answer, or
 * stand behind the only one; they must never reach the downstream as an answer of their own.
 */
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: 1\r\n\r\nevil';

function answer(fields: readonly string[], body: string, line = 'HTTP/1.1 200 OK'): string {
  return `${[line, ...fields].join('\r\n')}\r\n\r\n${body}`;
}

function framing(): string[] {
  const lengths = [
    '5',
    '+5',
    '-5',
    '0',
    '05',
    '5,5',
    '5, 6',
    '6',
    '0x5',
    '18446744073709551621',
    '9007199254740993',
    '5 5',
    '',
    'five',
    '"5"',
  ];
  const codings = [
    'chunked',
    'identity',
    'xchunked',
    'chunked, identity',
    'identity, chunked',
    ',chunked',
    'gzip, chunked',
    '"chunked"',
    'chunked\x00',
    '\x0bchunked',
    '',
  ];
  const bodies = ['hello', '5\r\nhello\r\n0\r\n\r\n', '0\r\n\r\n'];
  return bodies.flatMap((body) => [
    ...lengths.map((length) => answer([`Content-Length: ${length}`], body + EVIL)),
    ...codings.map((coding) => answer([`Transfer-Encoding: ${coding}`], body + EVIL)),
    ...lengths.flatMap((length) => [
      answer([`Content-Length: ${length}`, 'Transfer-Encoding: chunked'], body + EVIL),
      answer(['Transfer-Encoding: chunked', `Content-Length: ${length}`], body + EVIL),
      answer([`Content-Length: ${length}`, 'Content-Length: 5'], body + EVIL),
    ]),
    ...[
      'Content_Length: 0',
      'Transfer_Encoding: chunked',
      'Content-Length : 5',
      'Transfer-Encoding : chunked',
      'Connection: Content-Length',
    ].map((field) => answer(['Content-Length: 5', field], body + EVIL)),
  ]);
}

function chunks(): string[] {
  const sizes = [
    '+5',
    '-5',
    ' 5',
    '5 ',
    '0x5',
    'FFFFFFFFFFFFFFFF',
    '10000000000000005',
    '',
    'g',
    '5;a=\x00',
    '5;a\n',
    '5;\r',
    '5\n',
    '5_',
  ];
  const ends = ['\r\n', '\n', '\r', '', 'xx'];
  const trailers = [
    ...[
      'Content-Length: 0',
      'Transfer-Encoding: chunked',
      'X-T: ok',
      'X-T: \x00',
      'X-T : y',
      ' X-T: y',
      'X-T: a\r\n b',
      'X-T: a\nX-U: b',
    ],
    ...[
      'Set-Cookie: a=b',
      'Connection: close',
      'Host: evil',
      'HTTP/1.1 200 OK',
      'X-T: \xe9',
      ': y',
      'Content-Type: text/html',
      'X-T: a\rb',
    ],
  ];
  const te = ['Transfer-Encoding: chunked'];
  return [
    ...sizes.flatMap((size) => ends.map((end) => answer(te, `${size}\r\nhello${end}0\r\n\r\n${EVIL}`))),
    ...trailers.map((trailer) => answer([...te, 'Trailer: X-T'], `5\r\nhello\r\n0\r\n${trailer}\r\n\r\n${EVIL}`)),
    ...ends.map((end) => answer(te, `5\r\nhello\r\n0${end}${end}${EVIL}`)),
  ];
}

function heads(): string[] {
  const bytes = ALL_BYTES.filter((byte) => !/[0-9A-Za-z]/.test(byte));
  const lines = [
    ...[
      'HTTP/1.0 200 OK',
      'HTTP/0.9 200 OK',
      'HTTP/1.2 200 OK',
      'HTTP/2.0 200 OK',
      'HTTP/1.1 200',
      'HTTP/1.1 200 ',
      'HTTP/1.1  200 OK',
      'http/1.1 200 OK',
    ],
    ...[
      'HTTP/1.1 2000 OK',
      'HTTP/1.1 20 OK',
      'HTTP/1.1 099 OK',
      'HTTP/1.1 000 OK',
      'HTTP/1.1 999 X',
      'HTTP/1.1 -20 OK',
      'HTTP/1.1 2x0 OK',
      'ICY 200 OK',
    ],
    ...[
      'HTTP/1.1 101 Switching Protocols',
      'HTTP/1.1 204 No Content',
      'HTTP/1.1 304 Not Modified',
      'HTTP/1.1 205 Reset',
      'HTTP/1.1 600 X',
      '',
    ],
  ];
  const breaks = ['\r\n ', '\r\n\t', '\n', '\r', '\n ', '\r ', '\x00', '\x0b', '\r\r\n', '\n\r'];
  return [
    ...lines.map((line) => answer(['Content-Length: 5'], `hello${EVIL}`, line)),
    ...bytes.flatMap((byte) => [
      answer(['Content-Length: 5'], `hello${EVIL}`, `HTTP/1.1 200 O${byte}K`),
      answer([`X-A: b${byte}c`, 'Content-Length: 5'], `hello${EVIL}`),
      answer([`X${byte}A: b`, 'Content-Length: 5'], `hello${EVIL}`),
      answer([`${byte}X-A: b`, 'Content-Length: 5'], `hello${EVIL}`),
      answer([`Content-Length:${byte}5`], `hello${EVIL}`),
      answer([`Content-Length: 5${byte}`], `hello${EVIL}`),
      byte + answer(['Content-Length: 5'], `hello${EVIL}`),
    ]),
    ...breaks.flatMap((at) => [
      answer([`X-A: b${at}X-B: c`, 'Content-Length: 5'], `hello${EVIL}`),
      answer([`X-A: b${at}Content-Length: 0`, 'Content-Length: 5'], `hello${EVIL}`),
      `HTTP/1.1 200 OK${at}Content-Length: 5\r\n\r\nhello${EVIL}`,
      `HTTP/1.1 200 OK\r\nContent-Length: 5${at}${at}hello${EVIL}`,
    ]),
  ];
}

function floods(): string[] {
  const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
  const fine = answer(['Content-Length: 5'], 'hello');
  return [
    interim + fine,
    interim.repeat(5_000) + fine,
    'HTTP/1.1 100 Continue\r\n\r\n' + fine,
    'HTTP/1.1 100 Continue\r\n\r\n'.repeat(3) + fine,
    'HTTP/1.1 102 Processing\r\nContent-Length: 4\r\n\r\nevil' + fine,
    answer([`X-A: ${'a'.repeat(100_000)}`, 'Content-Length: 5'], 'hello'),
    answer([...Array.from({ length: 20_000 }, (_, at) => `X${at}: y`), 'Content-Length: 5'], 'hello'),
    answer(['Content-Length: 5'], 'hello', `HTTP/1.1 200 ${'O'.repeat(100_000)}`),
    answer(['Content-Length: 50'], 'short'),
    answer(['Connection: close'], `hello${EVIL}`),
    answer(['Content-Length: 5'], 'hello') + '\r\n\r\n' + EVIL,
    answer(['Content-Length: 5'], 'hello') + EVIL.repeat(20),
    answer(['Content-Length: 4'], 'help') + EVIL + EVIL,
    answer(
      ['Content-Length: 5', 'Connection: Upgrade', 'Upgrade: websocket'],
      `hello${EVIL}`,
      'HTTP/1.1 101 Switching Protocols',
    ),
    '\r\n\r\n' + fine,
    'garbage',
    '\x00'.repeat(100),
    '\x15\x03\x01\x00\x02\x02\x28',
  ];
}

export const ANSWER_FAMILIES: Readonly<Record<string, () => string[]>> = {
  'framing of answers': framing,
  'chunks of answers': chunks,
  'heads of answers': heads,
  'floods and extra bytes': floods,
};
