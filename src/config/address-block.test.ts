import { expect, test } from 'vitest';
import { holds, parseBlock } from './address-block.ts';

function read(text: string): string {
  const parsed = parseBlock(text);
  if ('block' in parsed) return parsed.block.text;
  return `! ${parsed.problem}${parsed.suggestion === undefined ? '' : ` → ${parsed.suggestion}`}`;
}

test.each([
  ['10.0.0.0/8', '10.0.0.0/8'],
  ['192.0.2.7', '192.0.2.7/32'],
  ['0.0.0.0/0', '0.0.0.0/0'],
  ['FC00::/7', 'fc00::/7'],
  ['fd00:0:0::/8', 'fd00::/8'],
  ['::1', '::1/128'],
  ['::/0', '::/0'],
  ['2001:db8:0:1::/64', '2001:db8:0:1::/64'],
])('the block %s is %s', (text, block) => {
  expect(read(text)).toBe(block);
});

test.each([
  ['10.1.2.3/8', 'the address has bits that a block of 8 does not have → 10.0.0.0/8'],
  ['fd00::1/64', 'the address has bits that a block of 64 does not have → fd00::/64'],
  ['::ffff:10.0.0.0/104', 'IPv4 addresses are written as such, and are meant in all their forms → 10.0.0.0/8'],
  ['::ffff:127.0.0.1', 'IPv4 addresses are written as such, and are meant in all their forms → 127.0.0.1/32'],
  ['10.0.0.0/33', 'a block of IPv4 has at most 32 bits'],
  ['::/129', 'a block of IPv6 has at most 128 bits'],
])('the block %s is refused: %s', (text, problem) => {
  expect(read(text)).toBe(`! ${problem}`);
});

test.each(['', '10/8', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '010.0.0.0/8', '0x0a.0.0.0/8', 'fe80::%eth0/10'])(
  '%j is no block',
  (text) => {
    expect(read(text)).toBe('! a block of addresses looks like 10.0.0.0/8 or fd00::/8');
  },
);

test.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['0.0.0.0/0', '169.254.169.254', true],
  ['0.0.0.0/0', '::1', false],
  ['fd00::/8', 'fd00:ec2::254', true],
  ['fd00::/16', 'fd01::', false],
  ['::1', '::1', true],
])('%s holds %s: %s', (text, address, held) => {
  const parsed = parseBlock(text);
  expect('block' in parsed && holds(parsed.block, address)).toBe(held);
});
