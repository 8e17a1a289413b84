import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Crc32c, Crc64Nvme } from './crc.ts';

/** A checksum that a trailer may hold (S3 User Guide, "Checking object integrity for data uploads"). */
export interface Checksum {
  /** Name of the trailer, lower-case. */
  readonly name: string;
  update(bytes: Uint8Array): void;
  /** Base64, as the trailer has it. Once. */
  digest(): string;
}

/** Undefined for a trailer that is no checksum we know; it is not compared then. */
export function openChecksum(name: string): Checksum | undefined {
  switch (name) {
    case 'x-amz-checksum-sha1':
    case 'x-amz-checksum-sha256': {
      const hash = createHash(name.slice('x-amz-checksum-'.length));
      return { name, update: (bytes) => void hash.update(bytes), digest: () => hash.digest('base64') };
    }
    case 'x-amz-checksum-crc32': {
      let value = 0;
      return { name, update: (bytes) => void (value = crc32(bytes, value)), digest: () => base64Of(value) };
    }
    case 'x-amz-checksum-crc32c': {
      const crc = new Crc32c();
      return { name, update: (bytes) => crc.update(bytes), digest: () => base64Of(crc.value) };
    }
    case 'x-amz-checksum-crc64nvme': {
      const crc = new Crc64Nvme();
      return { name, update: (bytes) => crc.update(bytes), digest: () => base64Of(crc.high, crc.low) };
    }
    default:
      return undefined;
  }
}

function base64Of(...words: readonly number[]): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, at) => bytes.writeUInt32BE(word >>> 0, at * 4));
  return bytes.toString('base64');
}
