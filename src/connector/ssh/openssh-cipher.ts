import { createDecipheriv, timingSafeEqual } from 'node:crypto';
import { poly1305 } from './poly1305.ts';
import { WireError } from './wire.ts';

/** A cipher that OpenSSH encrypts private keys with. Sizes in bytes. */
export interface OpensshCipher {
  readonly name: string;
  readonly key: number;
  readonly iv: number;
  readonly block: number;
  readonly tag: number;
  /** Name in the crypto library. */
  readonly library: string;
}

function cipher(name: string, key: number, iv: number, block: number, tag: number, library: string): OpensshCipher {
  return { name, key, iv, block, tag, library };
}

/** OpenSSH `cipher.c`, without what it dropped. */
export const OPENSSH_CIPHERS: readonly OpensshCipher[] = [
  cipher('aes128-ctr', 16, 16, 16, 0, 'aes-128-ctr'),
  cipher('aes192-ctr', 24, 16, 16, 0, 'aes-192-ctr'),
  cipher('aes256-ctr', 32, 16, 16, 0, 'aes-256-ctr'),
  cipher('aes128-cbc', 16, 16, 16, 0, 'aes-128-cbc'),
  cipher('aes192-cbc', 24, 16, 16, 0, 'aes-192-cbc'),
  cipher('aes256-cbc', 32, 16, 16, 0, 'aes-256-cbc'),
  cipher('3des-cbc', 24, 8, 8, 0, 'des-ede3-cbc'),
  cipher('aes128-gcm@openssh.com', 16, 12, 16, 16, 'aes-128-gcm'),
  cipher('aes256-gcm@openssh.com', 32, 12, 16, 16, 'aes-256-gcm'),
  cipher('chacha20-poly1305@openssh.com', 64, 0, 8, 16, 'chacha20'),
];

/**
 * The plaintext. `keys` is the key and the initialization vector after it, as the derivation gives them. Errors:
 * `WireError` where an authentication tag is wrong.
 */
export function decryptOpenssh(cipher: OpensshCipher, keys: Buffer, encrypted: Buffer, tag: Buffer): Buffer {
  const key = keys.subarray(0, cipher.key);
  if (cipher.library === 'chacha20') return decryptChacha(key.subarray(0, 32), encrypted, tag);
  const decipher = createDecipheriv(cipher.library, key, keys.subarray(cipher.key));
  if ('setAuthTag' in decipher && cipher.tag > 0) (decipher as unknown as Tagged).setAuthTag(tag);
  if (cipher.tag === 0) decipher.setAutoPadding(false);
  const plaintext = decipher.update(encrypted);
  try {
    // Stream modes and whole blocks leave nothing for the end.
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw new WireError('the passphrase is wrong, or the key was changed');
  }
  return plaintext;
}

interface Tagged {
  setAuthTag(tag: Buffer): void;
}

/** OpenSSH `PROTOCOL.chacha20poly1305` with sequence number 0: the first half of the key encrypts, block 0 authenticates. */
function decryptChacha(key: Buffer, encrypted: Buffer, tag: Buffer): Buffer {
  const once = chacha(key, 0, Buffer.alloc(32));
  const expected = poly1305(once, encrypted);
  once.fill(0);
  if (!timingSafeEqual(expected, tag)) throw new WireError('the passphrase is wrong, or the key was changed');
  return chacha(key, 1, encrypted);
}

function chacha(key: Buffer, block: number, bytes: Buffer): Buffer {
  const iv = Buffer.alloc(16);
  iv[0] = block;
  return createDecipheriv('chacha20', key, iv).update(bytes);
}
