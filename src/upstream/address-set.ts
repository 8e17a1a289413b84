import { isIP } from 'node:net';
import { SidecarError } from '../error.ts';

/** An address as a number, so that a block of them is a comparison. */
export interface NumericAddress {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/** A CIDR block (RFC 4632, RFC 4291 section 2.3). */
export interface Block {
  /** As it was written. */
  readonly text: string;
  readonly bits: 32 | 128;
  /** Leading bits that its addresses share. */
  readonly prefix: number;
  /** Those bits. */
  readonly network: bigint;
}

/** `0:0:0:0:0:ffff::/96` and what follows it: the mapped form of an IPv4 address (RFC 4291 section 2.5.5.2). */
const MAPPED = 0xffffn;
const LOW_32 = 0xffff_ffffn;

/**
 * A dotted quad, or an IPv6 address with or without brackets; undefined for anything else, zones (`%eth0`) among them.
 * A mapped address is the IPv4 address in it.
 */
export function parseAddress(text: string): NumericAddress | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const family = bare.includes('%') ? 0 : isIP(bare);
  if (family === 4) return { bits: 32, value: quadValue(bare) };
  if (family === 0) return undefined;
  const value = ipv6Value(bare);
  return value >> 32n === MAPPED ? { bits: 32, value: value & LOW_32 } : { bits: 128, value };
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Errors: `config-invalid`, also where bits behind the prefix are set. */
export function parseBlock(text: string): Block {
  const slash = text.indexOf('/');
  const base = slash < 0 ? text : text.slice(0, slash);
  const address = parseAddress(base);
  if (address === undefined) throw notABlock(text, 'no IP address');
  const mapped = address.bits === 32 && base.includes(':');
  const written = slash < 0 ? undefined : text.slice(slash + 1);
  if (written !== undefined && !/^(?:0|[1-9][0-9]{0,2})$/.test(written)) throw notABlock(text, 'no prefix length');
  const prefix = written === undefined ? address.bits : Number(written) - (mapped ? 96 : 0);
  if (prefix < 0 || prefix > address.bits) throw notABlock(text, 'the prefix length does not fit the address');
  const network = address.value >> BigInt(address.bits - prefix);
  if (network << BigInt(address.bits - prefix) !== address.value)
    throw notABlock(text, 'bits behind the prefix are set');
  return { text, bits: address.bits, prefix, network };
}

/** Addresses by the blocks they are in. */
export class AddressSet {
  /** The longest prefix first: the narrowest block speaks for an address. */
  readonly #blocks: readonly Block[];

  /** Errors: `config-invalid`. */
  constructor(blocks: readonly string[]) {
    this.#blocks = blocks.map(parseBlock).sort((one, other) => other.prefix - one.prefix);
  }

  /** The narrowest block that has the address. */
  find(address: NumericAddress): Block | undefined {
    return this.#blocks.find(
      ({ bits, prefix, network }) => bits === address.bits && address.value >> BigInt(bits - prefix) === network,
    );
  }
}

/**
 * The address, and every IPv4 address that a translator or tunnel would make of it: compatible (RFC 4291 section
 * 2.5.5.1), translated (RFC 2765), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
 */
export function formsOf(address: NumericAddress): NumericAddress[] {
  const { bits, value } = address;
  if (bits === 32) return [address];
  const inner: bigint[] = [];
  const high96 = value >> 32n;
  // `::` and `::1` are addresses of their own.
  if ((high96 === 0n && value > 1n) || high96 === 0xffff_0000n || high96 === 0x64_ff9bn << 64n) inner.push(value);
  if (value >> 112n === 0x2002n) inner.push(value >> 80n);
  if (value >> 96n === 0x2001_0000n) inner.push(value >> 64n, ~value);
  if (((value >> 32n) & 0xfdff_ffffn) === 0x5efen) inner.push(value);
  if (value >> 80n === 0x64_ff9b_0001n) inner.push(...localNat64(value));
  return [address, ...inner.map((one) => ({ bits: 32, value: one & LOW_32 }) as const)];
}

/**
 * How long the prefix of a local NAT64 is, is not in the address, so each length is tried (RFC 6052 section 2.2). What
 * comes out as 0.0.0.0/8 is the padding of another length.
 */
function localNat64(value: bigint): bigint[] {
  const at = (byte: number): bigint => (value >> BigInt(8 * (15 - byte))) & 0xffn;
  const quad = (bytes: readonly number[]): bigint => bytes.reduce((sum, byte) => (sum << 8n) | at(byte), 0n);
  const all = [quad([6, 7, 9, 10]), quad([7, 9, 10, 11]), quad([9, 10, 11, 12]), quad([12, 13, 14, 15])];
  const real = all.filter((one) => one >> 24n !== 0n);
  return real.length === 0 ? all : real;
}

function quadValue(text: string): bigint {
  return text.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

/** Of what `isIP` calls an IPv6 address. */
function ipv6Value(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const gap = new Array<bigint>(8 - front.length - back.length).fill(0n);
  return [...front, ...gap, ...back].reduce((sum, word) => (sum << 16n) | word, 0n);
}

function words(text: string): bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [BigInt(`0x${part}`)];
    const quad = quadValue(part);
    return [quad >> 16n, quad & 0xffffn];
  });
}

function notABlock(text: string, reason: string): SidecarError {
  return new SidecarError('config-invalid', { detail: `${JSON.stringify(text)} is no block of addresses: ${reason}` });
}
