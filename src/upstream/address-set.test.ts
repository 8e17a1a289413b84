import { BlockList } from 'node:net';
import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { AddressSet, formsOf, parseAddress, parseBlock, type NumericAddress } from './address-set.ts';
import { classify } from './built-in-deny.ts';

function text({ bits, value }: NumericAddress): string {
  const bytes = Buffer.from(value.toString(16).padStart(bits / 4, '0'), 'hex');
  return bits === 32 ? bytes.join('.') : bytes.toString('hex');
}

describe('an address', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['[::1]', `${'0'.repeat(31)}1`],
    ['1::', `0001${'0'.repeat(28)}`],
    ['2001:DB8::a:0:1', `20010db8${'0'.repeat(12)}000a00000001`],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:102:304', '1.2.3.4'],
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['64:ff9b::1.2.3.4', `0064ff9b${'0'.repeat(16)}01020304`],
  ])('%s is %s', (written, numeric) => {
    expect(text(parseAddress(written)!)).toBe(numeric);
  });

  test.each([
    '',
    'localhost',
    '127.1',
    '0177.0.0.1',
    '1.2.3.4.5',
    '256.1.1.1',
    '0x7f000001',
    '2130706433',
    'fe80::1%eth0',
    '::ffff:1.2.3',
    '1::2::3',
    '[::1',
    ' ::1',
    '１２７.0.0.1',
  ])('%j is none', (written) => {
    expect(parseAddress(written)).toBeUndefined();
  });

  test('is read as node reads it, 20,000 times', () => {
    let state = 7;
    const random = (below: number): number => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
    for (let round = 0; round < 20_000; round++) {
      const words = Array.from({ length: 8 }, () => (random(3) === 0 ? random(65536) : 0).toString(16));
      const written = new URL(`http://[${words.join(':')}]`).hostname;
      const address = parseAddress(written)!;
      const node = new BlockList();
      node.addAddress(written.slice(1, -1), 'ipv6');
      const again = address.bits === 32 ? `::ffff:${text(address)}` : (text(address).match(/.{4}/g) ?? []).join(':');
      expect(node.check(again, 'ipv6'), written).toBe(true);
    }
  });
});

describe('a block', () => {
  test.each([
    ['10.0.0.0/8', 32, 8],
    ['10.1.2.3', 32, 32],
    ['0.0.0.0/0', 32, 0],
    ['fc00::/7', 128, 7],
    ['::/0', 128, 0],
    ['[fd00::1]', 128, 128],
    ['::ffff:10.0.0.0/104', 32, 8],
  ])('%s has %i bits and a prefix of %i', (written, bits, prefix) => {
    expect(parseBlock(written)).toMatchObject({ text: written, bits, prefix });
  });

  test.each([
    '10.0.0.0/33',
    '::/129',
    '10.0.0.1/8',
    'fc00::1/7',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10/8',
    'example.com',
    '',
    '/8',
    '10.0.0.0/8/8',
    '::ffff:0:0/95',
  ])('%j is none', (written) => {
    expect(() => parseBlock(written)).toThrow(SidecarError);
  });

  test('has its first and last address, and not those beside them', () => {
    const set = new AddressSet(['172.16.0.0/12', 'fc00::/7', '203.0.113.7']);
    const has = (address: string): boolean => set.find(parseAddress(address)!) !== undefined;
    expect(
      ['172.16.0.0', '172.31.255.255', 'fc00::', 'fdff::ffff', '203.0.113.7', '::ffff:172.20.1.1'].map(has),
    ).not.toContain(false);
    expect(
      ['172.15.255.255', '172.32.0.0', 'fbff::', 'fe00::', '203.0.113.6', '203.0.113.8', '::'].map(has),
    ).not.toContain(true);
  });

  test('speaks for an address only where no narrower one has it', () => {
    const set = new AddressSet(['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16']);
    expect(['10.1.2.3', '10.2.0.0', '11.0.0.0'].map((one) => set.find(parseAddress(one)!)!.text)).toEqual([
      '10.1.0.0/16',
      '10.0.0.0/8',
      '0.0.0.0/0',
    ]);
  });
});

test.each([
  ['8.8.8.8', []],
  ['2606:4700::1111', []],
  ['::1', []],
  ['::', []],
  ['::7f00:1', ['127.0.0.1']],
  ['::ffff:0:7f00:1', ['127.0.0.1']],
  ['64:ff9b::a9fe:a9fe', ['169.254.169.254']],
  ['2002:a9fe:a9fe::1', ['169.254.169.254']],
  ['2001:0:a00:1:0:0:80ff:fffe', ['10.0.0.1', '127.0.0.1']],
  ['2606:4700::5efe:7f00:1', ['127.0.0.1']],
  ['2606:4700::200:5efe:7f00:1', ['127.0.0.1']],
  ['64:ff9b:1::808:808', ['8.8.8.8']],
  ['64:ff9b:1:808:8:800::', ['8.8.8.8', '8.8.8.0', '8.8.0.0']],
  ['64:ff9b:1:8:8:808::', ['8.8.8.8', '8.8.8.0']],
  ['64:ff9b:1:0:8:808:800::', ['8.8.8.8', '8.0.0.0']],
])('%s has %j inside', (written, inner) => {
  const [itself, ...others] = formsOf(parseAddress(written)!);
  expect(itself).toEqual(parseAddress(written));
  const found = others.map(text);
  for (const one of inner) expect(found).toContain(one);
  if (inner.length === 0) expect(found).toEqual([]);
});

test.each([
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['::1', 'loopback'],
  ['0.0.0.0', 'unspecified'],
  ['0.1.2.3', 'unspecified'],
  ['::', 'unspecified'],
  ['169.254.1.1', 'linkLocal'],
  ['fe80::1', 'linkLocal'],
  ['febf::1', 'linkLocal'],
  ['169.254.169.254', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['100.100.100.200', 'metadata'],
  ['168.63.129.16', 'metadata'],
  ['fd00:ec2::254', 'metadata'],
  ['fd20:ce::254', 'metadata'],
  ['192.0.0.192', 'metadata'],
  ['10.0.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'private'],
  ['100.127.255.255', 'private'],
  ['fd12::1', 'private'],
  ['fec0::1', 'private'],
  ['224.0.0.1', 'multicast'],
  ['ff02::1', 'multicast'],
  ['255.255.255.255', 'reserved'],
  ['240.0.0.1', 'reserved'],
  ['192.0.2.1', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['2001:db8::1', 'reserved'],
  ['100::1', 'reserved'],
  ['8.8.8.8', undefined],
  ['172.32.0.0', undefined],
  ['100.128.0.0', undefined],
  ['168.63.129.17', undefined],
  ['2606:4700::1', undefined],
])('%s is of class %s', (written, name) => {
  expect(classify(parseAddress(written)!)?.name).toBe(name);
});
