import type { KeyObject } from 'node:crypto';
import type { Secret } from '../../credential/secret.ts';
import { bcryptPbkdf } from './derive.ts';
import { decryptOpenssh, OPENSSH_CIPHERS } from './openssh-cipher.ts';
import { ecdsaPrivateKey, ed25519PrivateKey, rsaPrivateKey } from './private-fields.ts';
import { CURVES, PUBLIC_BLOB_BYTES_MAX } from './public-key.ts';
import { withScratch } from './scratch.ts';
import { WireError, WireReader } from './wire.ts';

/** OpenSSH `PROTOCOL.key`. */
export const OPENSSH_MAGIC = Buffer.from('openssh-key-v1\0', 'latin1');
export const PLAIN_BLOCK_BYTES = 8;

/** A private key and the public one that stands beside it, which nothing has compared yet. */
export interface FoundKey {
  readonly key: KeyObject;
  readonly publicBlob: Buffer;
}

/** The key of what is inside `-----BEGIN OPENSSH PRIVATE KEY-----`. Errors: `WireError`. */
export async function readOpensshContainer(container: Buffer, passphrase: Secret | undefined): Promise<FoundKey> {
  const reader = new WireReader(container);
  if (!reader.bytes(OPENSSH_MAGIC.length).equals(OPENSSH_MAGIC)) throw new WireError('it is no openssh-key-v1');
  const cipherName = reader.name();
  const derivation = reader.name();
  const options = reader.string(1024);
  if (reader.uint32() !== 1) throw new WireError('a file with more than one key');
  // A copy: what it came in is overwritten.
  const publicBlob = Buffer.from(reader.string(PUBLIC_BLOB_BYTES_MAX));
  const encrypted = reader.string();
  return withScratch(async (scratch) => {
    if (cipherName === 'none') {
      if (derivation !== 'none') throw new WireError('a derivation without a cipher');
      reader.end();
      return { key: await readPrivateSection(encrypted, PLAIN_BLOCK_BYTES), publicBlob };
    }
    const cipher = OPENSSH_CIPHERS.find((known) => known.name === cipherName);
    if (cipher === undefined || derivation !== 'bcrypt') throw new WireError('a cipher that is not known');
    const tag = reader.bytes(cipher.tag);
    reader.end();
    if (passphrase === undefined) throw new WireError('it is encrypted and no passphrase is given');
    if (encrypted.length % cipher.block !== 0) throw new WireError('a cut block');
    const choices = new WireReader(options);
    const salt = choices.string(64);
    const rounds = choices.uint32();
    choices.end();
    const keys = scratch.keep(await bcryptPbkdf(passphrase, salt, rounds, cipher.key + cipher.iv));
    const plaintext = scratch.keep(decryptOpenssh(cipher, keys, encrypted, tag));
    return { key: await readPrivateSection(plaintext, cipher.block), publicBlob };
  });
}

async function readPrivateSection(bytes: Buffer, block: number): Promise<KeyObject> {
  const reader = new WireReader(bytes);
  if (bytes.length % block !== 0 || reader.uint32() !== reader.uint32()) {
    throw new WireError('the passphrase is wrong, or the key was changed');
  }
  const key = await readPrivateKeyFields(reader);
  reader.string(1024); // comment
  const padding = reader.bytes(reader.left);
  if (padding.length >= block || padding.some((byte, at) => byte !== at + 1)) throw new WireError('a wrong padding');
  return key;
}

async function readPrivateKeyFields(reader: WireReader): Promise<KeyObject> {
  const type = reader.name();
  if (type === 'ssh-ed25519') {
    const point = reader.string(32);
    const pair = reader.string(64);
    if (pair.length !== 64 || !pair.subarray(32).equals(point)) throw new WireError('two halves of two keys');
    return ed25519PrivateKey(pair.subarray(0, 32));
  }
  if (type === 'ssh-rsa') {
    const [n, e, d] = [reader.number(), reader.number(), reader.number()];
    const [inverse, p, q] = [reader.number(), reader.number(), reader.number()];
    return rsaPrivateKey({ n, e, d, p, q, inverse });
  }
  const curve = CURVES.find((known) => known.algorithm === type);
  if (curve === undefined) throw new WireError('a type of key that is not known');
  if (reader.name() !== curve.name) throw new WireError('a curve that is not that of the type');
  const point = reader.string(2 * curve.bytes + 1);
  return ecdsaPrivateKey(curve, reader.number(), point);
}
