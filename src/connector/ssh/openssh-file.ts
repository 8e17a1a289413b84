import type { KeyObject } from 'node:crypto';
import { base64Lines } from './base64.ts';
import { OPENSSH_MAGIC, PLAIN_BLOCK_BYTES } from './openssh-container.ts';
import { publicKeyOf } from './public-key.ts';
import { withScratch } from './scratch.ts';
import { strings, uint32 } from './wire.ts';

export const OPENSSH_BEGIN = Buffer.from('-----BEGIN OPENSSH PRIVATE KEY-----');
export const OPENSSH_END = Buffer.from('-----END OPENSSH PRIVATE KEY-----');

/**
 * An ed25519 key as the unencrypted file of OpenSSH (`PROTOCOL.key`), lent to `use`, which must not keep the bytes:
 * they are overwritten when it is done.
 */
export function exposeEd25519<Result>(
  key: KeyObject,
  use: (text: Buffer) => Result | Promise<Result>,
): Promise<Result> {
  return withScratch(async (scratch) => {
    const { blob } = publicKeyOf(key);
    const point = blob.subarray(-32);
    // RFC 8410 section 7: the seed is the end.
    const seed = scratch.keep(key.export({ format: 'der', type: 'pkcs8' })).subarray(-32);
    const pair = scratch.keep(strings(scratch.keep(Buffer.concat([seed, point]))));
    // The two check numbers only tell a wrong passphrase; nothing is encrypted here.
    const body = scratch.keep(Buffer.concat([uint32(0), uint32(0), strings('ssh-ed25519', point), pair, strings('')]));
    const missing = (PLAIN_BLOCK_BYTES - (body.length % PLAIN_BLOCK_BYTES)) % PLAIN_BLOCK_BYTES;
    const padding = Buffer.from(Array.from({ length: missing }, (_, at) => at + 1));
    const section = scratch.keep(strings(scratch.keep(Buffer.concat([body, padding]))));
    const outer = [OPENSSH_MAGIC, strings('none', 'none', ''), uint32(1), strings(blob), section];
    const lines = scratch.keep(base64Lines(scratch.keep(Buffer.concat(outer))));
    const newline = Buffer.from('\n');
    return use(scratch.keep(Buffer.concat([OPENSSH_BEGIN, newline, lines, OPENSSH_END, newline])));
  });
}
