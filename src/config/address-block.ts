import { isIPv4, isIPv6 } from 'node:net';
import { shortIPv6 } from './address.ts';

export type ParsedBlock = { readonly block: AddressBlock } | { readonly problem: string; readonly suggestion?: string };

/** A block of addresses (RFC 4632, RFC 4291 section 2.3). */
export interface AddressBlock {
  /** `10.0.0.0/8`, `fc00::/7`: one spelling for each block. */
  readonly text: string;
  readonly family: 4 | 6;
  readonly first: bigint;
  /** Bits that all its addresses share. */
  readonly prefix: number;
}

const BITS = { 4: 32, 6: 128 } as const;
const LOOKS = 'a block of addresses looks like 10.0.0.0/8 or fd00::/8';

/** Reads a block, or an address that stands for the block of it alone. */
export function parseBlock(text: string): ParsedBlock {
  const [, address, digits] = /^([0-9a-f:.]+)(?:\/(0|[1-9][0-9]{0,2}))?$/i.exec(text) ?? [];
  if (address === undefined || (!isIPv4(address) && !isIPv6(address))) return { problem: LOOKS };
  const family = isIPv4(address) ? 4 : 6;
  const prefix = digits === undefined ? BITS[family] : Number(digits);
  if (prefix > BITS[family]) return { problem: `a block of IPv${family} has at most ${BITS[family]} bits` };
  const bits = bitsOf(address);
  const hidden = BigInt(BITS[family] - prefix);
  const first = (bits >> hidden) << hidden;
  if (first !== bits) {
    const suggestion = `${formatBits(first, family)}/${prefix}`;
    return { problem: `the address has bits that a block of ${prefix} does not have`, suggestion };
  }
  if (family === 6 && prefix >= 96 && first >> 32n === 0xffffn) {
    const suggestion = `${formatBits(first & 0xffff_ffffn, 4)}/${prefix - 96}`;
    return { problem: 'IPv4 addresses are written as such, and are meant in all their forms', suggestion };
  }
  return { block: { text: `${formatBits(first, family)}/${prefix}`, family, first, prefix } };
}

/** `address`: an IP literal without brackets. */
export function holds({ family, first, prefix }: AddressBlock, address: string): boolean {
  if ((isIPv4(address) ? 4 : 6) !== family) return false;
  const hidden = BigInt(BITS[family] - prefix);
  return bitsOf(address) >> hidden === first >> hidden;
}

function bitsOf(address: string): bigint {
  if (isIPv4(address)) return address.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
  const [head = '', tail] = shortIPv6(address).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...gap, ...right].reduce((bits, word) => (bits << 16n) | BigInt(`0x${word}`), 0n);
}

function formatBits(bits: bigint, family: 4 | 6): string {
  const width = family === 4 ? 8n : 16n;
  const parts = Array.from({ length: family === 4 ? 4 : 8 }, (_, at, last = family === 4 ? 3 : 7) =>
    ((bits >> (BigInt(last - at) * width)) & ((1n << width) - 1n)).toString(family === 4 ? 10 : 16),
  );
  return family === 4 ? parts.join('.') : shortIPv6(parts.join(':'));
}
