import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A checksum that S3 knows; the digest is base64. */
export interface Checksum {
  update(bytes: Uint8Array): void;
  digest(): string;
}

const OPENERS: Readonly<Record<string, () => Checksum>> = {
  crc32: () => {
    let value = 0;
    return { update: (bytes) => void (value = crc32(bytes, value)), digest: () => base64(value) };
  },
  crc32c: openCrc32c,
  crc64nvme: openCrc64Nvme,
  sha1: () => hashing('sha1'),
  sha256: () => hashing('sha256'),
  md5: () => hashing('md5'),
};

/** `crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`, `md5`; undefined for any other. */
export function openChecksum(algorithm: string): Checksum | undefined {
  return OPENERS[algorithm]?.();
}

function base64(...words: number[]): string {
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, at) => bytes.writeUInt32BE(word >>> 0, 4 * at));
  return bytes.toString('base64');
}

function hashing(algorithm: string): Checksum {
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('base64') };
}

/** Castagnoli (RFC 3720 section 12.1), reflected. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  return value;
});

function openCrc32c(): Checksum {
  let value = 0xffffffff;
  return {
    update(bytes) {
      let next = value;
      for (const byte of bytes) next = (next >>> 8) ^ CRC32C[(next ^ byte) & 255]!;
      value = next;
    },
    digest: () => base64(~value),
  };
}

/** NVM Express specification, "64b CRC": reflected 0x9A6C9329AC4BC9B5, in halves of 32 bits. */
const CRC64 = Array.from({ length: 256 }, (_, byte) => {
  let value = BigInt(byte);
  for (let bit = 0; bit < 8; bit += 1) value = (value >> 1n) ^ (value & 1n ? 0x9a6c9329ac4bc9b5n : 0n);
  return value;
});
const CRC64_HIGH = Uint32Array.from(CRC64, (value) => Number(value >> 32n));
const CRC64_LOW = Uint32Array.from(CRC64, (value) => Number(value & 0xffffffffn));

function openCrc64Nvme(): Checksum {
  let [high, low] = [0xffffffff, 0xffffffff];
  return {
    update(bytes) {
      for (const byte of bytes) {
        const at = (low ^ byte) & 255;
        low = ((low >>> 8) | (high << 24)) ^ CRC64_LOW[at]!;
        high = (high >>> 8) ^ CRC64_HIGH[at]!;
      }
    },
    digest: () => base64(~high, ~low),
  };
}
