import { argon2, createDecipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { Secret } from '../../credential/secret.ts';
import { base64Decode } from './base64.ts';
import type { FoundKey } from './openssh-container.ts';
import { PpkLines } from './ppk-lines.ts';
import { ecdsaPrivateKey, ed25519PrivateKey, rsaPrivateKey } from './private-fields.ts';
import { CURVES } from './public-key.ts';
import { type Scratch, withScratch } from './scratch.ts';
import { strings, WireError, WireReader } from './wire.ts';

/** Argon2 as PuTTY writes it by default takes 8 MiB; so much is given at most. */
const ARGON2_KIBIBYTES_MAX = 256 * 1024;
/** Memory that all passes together go through: some seconds of work. */
const ARGON2_KIBIBYTES_PASSED_MAX = 32 * 1024 * 1024;
const ARGON2_LANES_MAX = 64;

const argon2Async = promisify(argon2);

interface PpkKeys {
  readonly cipher: Buffer;
  readonly iv: Buffer;
  readonly mac: Buffer;
}

/** The key of a PuTTY file, version 2 or 3 (PuTTY manual, appendix C). Errors: `WireError`. */
export async function readPpk(text: Buffer, passphrase: Secret | undefined): Promise<FoundKey> {
  return withScratch(async (scratch) => {
    const lines = new PpkLines(text);
    const version = lines.version();
    const algorithm = lines.value(`PuTTY-User-Key-File-${version}`);
    const encryption = lines.value('Encryption');
    const comment = lines.bytes('Comment');
    const publicBlob = base64Decode(lines.block('Public-Lines'));
    if (encryption !== 'none' && encryption !== 'aes256-cbc') throw new WireError('a cipher that is not known');
    const isEncrypted = encryption === 'aes256-cbc';
    if (isEncrypted && passphrase === undefined) throw new WireError('it is encrypted and no passphrase is given');
    const secret = isEncrypted ? passphrase : undefined;
    const keys = version === 3 ? await keysOf3(lines, secret, scratch) : keysOf2(secret, scratch);
    const stored = scratch.keep(base64Decode(scratch.keep(lines.block('Private-Lines'))));
    const mac = lines.value('Private-MAC');
    lines.end();
    const section = isEncrypted ? scratch.keep(decrypt(keys, stored)) : stored;
    const signed = scratch.keep(strings(algorithm, encryption, comment, publicBlob, section));
    const expected = createHmac(version === 3 ? 'sha256' : 'sha1', keys.mac)
      .update(signed)
      .digest();
    const found = Buffer.from(/^[0-9a-f]*$/.test(mac) ? mac : '', 'hex');
    if (found.length !== expected.length || !timingSafeEqual(found, expected)) {
      throw new WireError('the passphrase is wrong, or the key was changed');
    }
    return readSections(algorithm, publicBlob, section);
  });
}

function decrypt({ cipher, iv }: PpkKeys, stored: Buffer): Buffer {
  if (stored.length % 16 !== 0) throw new WireError('a cut block');
  const decipher = createDecipheriv('aes-256-cbc', cipher, iv).setAutoPadding(false);
  return decipher.update(stored);
}

function keysOf2(passphrase: Secret | undefined, scratch: Scratch): PpkKeys {
  const hashed = (prefix: string | Buffer): Buffer => {
    const hash = createHash('sha1').update(prefix);
    passphrase?.expose((bytes) => hash.update(bytes));
    return scratch.keep(hash.digest());
  };
  const halves = [hashed(Buffer.from([0, 0, 0, 0])), hashed(Buffer.from([0, 0, 0, 1]))];
  const cipher = scratch.keep(Buffer.concat(halves)).subarray(0, 32);
  return { cipher, iv: Buffer.alloc(16), mac: hashed('putty-private-key-file-mac-key') };
}

async function keysOf3(lines: PpkLines, passphrase: Secret | undefined, scratch: Scratch): Promise<PpkKeys> {
  if (passphrase === undefined) return { cipher: Buffer.alloc(0), iv: Buffer.alloc(0), mac: Buffer.alloc(0) };
  const kind = lines.value('Key-Derivation').toLowerCase();
  if (kind !== 'argon2id' && kind !== 'argon2i' && kind !== 'argon2d') throw new WireError('an unknown derivation');
  const memory = lines.number('Argon2-Memory');
  const passes = lines.number('Argon2-Passes');
  const parallelism = lines.number('Argon2-Parallelism');
  const nonce = Buffer.from(lines.value('Argon2-Salt'), 'hex');
  const isHeavy = memory > ARGON2_KIBIBYTES_MAX || memory * passes > ARGON2_KIBIBYTES_PASSED_MAX;
  if (isHeavy || parallelism > ARGON2_LANES_MAX) throw new WireError('a derivation that takes too much');
  const message = scratch.keep(passphrase.expose((bytes) => Buffer.from(bytes)));
  let derived: Buffer;
  try {
    derived = scratch.keep(await argon2Async(kind, { message, nonce, parallelism, memory, passes, tagLength: 80 }));
  } catch {
    throw new WireError('a derivation that this build of Node does not do');
  }
  return { cipher: derived.subarray(0, 32), iv: derived.subarray(32, 48), mac: derived.subarray(48) };
}

async function readSections(algorithm: string, publicBlob: Buffer, section: Buffer): Promise<FoundKey> {
  const open = new WireReader(publicBlob);
  if (open.name() !== algorithm) throw new WireError('a public key of another type');
  const hidden = new WireReader(section);
  if (algorithm === 'ssh-ed25519') return { key: await ed25519PrivateKey(hidden.string(32)), publicBlob };
  if (algorithm === 'ssh-rsa') {
    const [e, n] = [open.number(), open.number()];
    const [d, p, q, inverse] = [hidden.number(), hidden.number(), hidden.number(), hidden.number()];
    return { key: await rsaPrivateKey({ n, e, d, p, q, inverse }), publicBlob };
  }
  const curve = CURVES.find((known) => known.algorithm === algorithm);
  if (curve === undefined || open.name() !== curve.name) throw new WireError('a type of key that is not known');
  return { key: await ecdsaPrivateKey(curve, hidden.number(), open.string(2 * curve.bytes + 1)), publicBlob };
}
