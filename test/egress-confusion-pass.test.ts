import { expect, test } from 'vitest';
import {
  askHttp2On,
  askRaw,
  askSocks,
  failing,
  handshake,
  open,
  strayDials,
  watchWires,
  type Answer,
} from './egress-confusion-kit.ts';
import { service, startEgress, startOrigin } from './egress-core-kit.ts';

/** `unmatched: pass` lets an agent choose the host: no form of an address leads into this machine or its network. */

const QUADS = [
  ...[
    '127.0.0.1',
    '127.255.255.254',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '0.0.0.0',
  ],
  ...['0.1.2.3', '169.254.169.254', '169.254.0.1', '169.254.170.2', '100.100.100.200', '168.63.129.16', '192.0.0.192'],
  ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '192.0.2.1', '198.18.0.1', '203.0.113.9'],
];
const SIXES = [
  ...[
    '::',
    '::1',
    'fe80::1',
    'fd00::1',
    'fc00::1',
    'fec0::1',
    'ff02::1',
    'fd00:ec2::254',
    'fd20:ce::254',
    '2001:db8::1',
  ],
  ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe', '0:0:0:0:0:ffff:10.0.0.1', '::127.0.0.1', '::a00:1'],
  ...['::ffff:0:127.0.0.1', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::7f00:1', '2002:7f00:1::', '100::1'],
  ...['2002:a9fe:a9fe::1', '2001:0:4136:e378:8000:63bf:80ff:fffe', '2001:db8:0:1:0:5efe:7f00:1', '::ffff:192.168.0.1'],
];
const LITERALS = [...QUADS, ...SIXES];
const UNREADABLE = [
  ...['127.1', '0x7f.1', '0177.0.0.1', '2130706433', '127.0.0.1.', '127.0.0.01', '[::1%25lo]', '[fe80::1%25eth0]'],
  ...['[::ffff:127.1]', '0x7f000001', '017700000001', '[127.0.0.1]', '127.0.0.1%00', 'localhost.', '%6cocalhost'],
];
const LOCAL = ['localhost', 'LOCALHOST', 'a.localhost'];

const bracketed = (host: string): string => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host);
const nameOf = (at: number): string => `name${at}.test`;
/** A name for each address, and one that has a good address besides. */
const ZONE: Record<string, string[]> = Object.fromEntries([
  ...LITERALS.map((address, at) => [nameOf(at), [address]]),
  ['mixed.test', ['93.184.215.14', '127.0.0.1']],
  ['zoned.test', ['fe80::1%lo']],
  ['none.test', []],
]) as Record<string, string[]>;
const NAMES = Object.keys(ZONE);

const start = (mode: string) =>
  startEgress({ egress: `  unmatched: pass\n  mode: ${mode}\n  resolve: { open.test: 127.0.0.1 }\n` });

const refused = (answer: Answer, host: string): boolean =>
  answer ===
  (UNREADABLE.includes(host)
    ? '400 request-malformed'
    : host === 'none.test'
      ? '502 upstream-unreachable'
      : '403 address-refused');

test(`CONNECT and absolute form: ${LITERALS.length + UNREADABLE.length + NAMES.length} forms of hosts`, async () => {
  const egress = await start('proxy');
  const watch = watchWires(ZONE);
  const hosts = [...LITERALS, ...UNREADABLE, ...LOCAL, ...NAMES];
  const connect = (host: string): Promise<Answer> =>
    askRaw(egress.port, `CONNECT ${bracketed(host)}:443 HTTP/1.1\r\nHost: ${bracketed(host)}:443\r\n\r\n`);
  const absolute = (host: string): Promise<Answer> =>
    askRaw(
      egress.port,
      `GET http://${bracketed(host)}/ HTTP/1.1\r\nHost: ${bracketed(host)}\r\nConnection: close\r\n\r\n`,
    );
  expect(await failing(hosts, connect, refused)).toEqual([]);
  expect(await failing(hosts, absolute, refused)).toEqual([]);
  expect(strayDials(watch, egress)).toEqual([]);
  expect(watch.lookups.toSorted()).toEqual([...NAMES, ...NAMES].toSorted());
  // The operator's own word is dialled: what is counted here would have been seen.
  expect(await connect('open.test')).toMatch(/^502 /);
  expect(strayDials(watch, egress)).toEqual(['127.0.0.1:443']);
}, 60_000);

test('SOCKS: every form of an address, in each of its types', async () => {
  const egress = await start('proxy');
  const watch = watchWires(ZONE);
  const six = (text: string): Buffer => {
    const url = new URL(`http://[${text}]/`).hostname.slice(1, -1);
    const [head = '', tail] = url.split('::');
    const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
    const [front, back] = [words(head), words(tail ?? '')];
    const gap = tail === undefined ? [] : new Array<string>(8 - front.length - back.length).fill('0');
    return Buffer.from([...front, ...gap, ...back].map((word) => word.padStart(4, '0')).join(''), 'hex');
  };
  const cases = [
    ...QUADS.map((host) => [1, Buffer.from(host.split('.').map(Number))] as const),
    ...SIXES.map((host) => [4, six(host)] as const),
    ...[...LITERALS.map(bracketed), ...LOCAL, ...NAMES].map((host) => [3, Buffer.from(host)] as const),
  ];
  const fits = (answer: Answer): boolean => answer === 'reply 2' || answer === 'reply 4';
  expect(await failing(cases, ([type, host]) => askSocks(egress.port, type, host, 443), fits)).toEqual([]);
  expect(strayDials(watch, egress)).toEqual([]);
}, 60_000);

test('SNI and Host of redirected connections: names that lead inside', async () => {
  const egress = await start('transparent');
  const watch = watchWires(ZONE);
  const bySni = async (host: string): Promise<Answer> => {
    const tls = await handshake(open(egress.port), { ca: egress.ca, port: egress.port, authority: `${host}:443` });
    return typeof tls === 'string' ? tls : 'TLS';
  };
  expect(await failing([...NAMES, 'localhost', 'a.localhost'], bySni, (answer) => answer === 'no TLS')).toEqual([]);
  const byHost = (host: string): Promise<Answer> =>
    askRaw(egress.port, `GET / HTTP/1.1\r\nHost: ${bracketed(host)}\r\nConnection: close\r\n\r\n`);
  expect(await failing([...LITERALS, ...UNREADABLE, ...LOCAL, ...NAMES], byHost, refused)).toEqual([]);
  expect(strayDials(watch, egress)).toEqual([]);
}, 60_000);

test.each([
  [22, '443'],
  [25, '6379'],
  [8443, '11211'],
])('no other port than 80 and 443 passes, %i among them', async (port, other) => {
  const egress = await start('proxy');
  const watch = watchWires({ 'open.test': ['93.184.215.14'] });
  for (const each of [port, other === '443' ? 80 : Number(other)]) {
    const scheme = each === 80 ? 'https' : 'http';
    const answer = await askRaw(
      egress.port,
      `GET ${scheme}://open.test:${each}/ HTTP/1.1\r\nHost: open.test:${each}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toBe('403 no-service');
    if (each !== 80)
      expect(await askRaw(egress.port, `CONNECT open.test:${each} HTTP/1.1\r\nHost: open.test:${each}\r\n\r\n`)).toBe(
        '403 no-service',
      );
  }
  expect(watch.lookups).toEqual([]);
  expect(strayDials(watch, egress)).toEqual([]);
});

test('HTTP/2 with prior knowledge: a proxy takes no request that names its origin by a field alone, a redirected one no other', async () => {
  const honest = await startOrigin(['api.test']);
  const services = service('api', `https://api.test:${honest.port}`) + service('plain', 'http://plain.test');
  const head = (authority: string, scheme = 'http') =>
    [
      [':method', 'GET'],
      [':scheme', scheme],
      [':authority', authority],
      [':path', '/'],
    ] as const;
  const proxy = await startEgress({ services });
  const watch = watchWires({ 'plain.test': ['127.0.0.1'] });
  for (const fields of [head(`api.test:${honest.port}`), head('plain.test')])
    expect(await askHttp2On(open(proxy.port), fields)).toBe('absolute-form-required');
  expect(await askHttp2On(open(proxy.port), head(`api.test:${honest.port}`, 'https'))).toBe('request-malformed');
  const through = await startEgress({
    services: service('api', 'https://api.test') + service('plain', 'http://plain.test'),
    egress: '  mode: transparent\n',
  });
  expect(await askHttp2On(open(through.port), head('api.test:8080'))).toBe('host-mismatch');
  expect(await askHttp2On(open(through.port), head('api.test'))).toBe('no-service');
  expect(await askHttp2On(open(through.port), head('plain.test:443'))).toBe('host-mismatch');
  expect(await askHttp2On(open(through.port), head('plain.test'))).toBe('address-refused');
  expect(await askRaw(through.port, 'CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n')).toBe(
    '405 connect-refused',
  );
  expect(honest.dialled()).toBe(0);
  expect(strayDials(watch, proxy).filter((one) => !one.endsWith(`:${through.port}`))).toEqual([]);
});
