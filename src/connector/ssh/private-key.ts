import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import type { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';
import { base64Decode } from './base64.ts';
import { OPENSSH_BEGIN, OPENSSH_END } from './openssh-file.ts';
import { type KeyAlgorithm, type PublicKey, publicKeyOf } from './public-key.ts';
import { withScratch } from './scratch.ts';
import { isSignedBy, type SignatureAlgorithm, signatureAlgorithmsOf, signWith } from './signature.ts';
import { WireError } from './wire.ts';

/** RSA of 16384 bits in PEM has some 13 KB. */
const TEXT_BYTES_MAX = 64 * 1024;

/** A private key that signs and does not print. The key itself is inside the crypto library. */
export class PrivateKey {
  readonly algorithm: KeyAlgorithm;
  /** As SSH writes it. */
  readonly publicBlob: Buffer;
  readonly #key: KeyObject;

  constructor(key: KeyObject, { algorithm, blob }: PublicKey) {
    this.algorithm = algorithm;
    this.publicBlob = blob;
    this.#key = key;
  }

  /**
   * A signature as SSH writes it, made on a thread of its own. Default: the best algorithm of the key's type, for RSA
   * SHA-512. Throws where the algorithm is not one of `signatureAlgorithmsOf(this.algorithm)`.
   */
  async sign(bytes: Uint8Array, algorithm?: SignatureAlgorithm): Promise<Buffer> {
    const known = signatureAlgorithmsOf(this.algorithm);
    const chosen = algorithm ?? known[0]!;
    if (!known.includes(chosen)) throw new TypeError(`a key of type ${this.algorithm} does not sign with ${chosen}`);
    return signWith(this.#key, chosen, bytes);
  }
}

/**
 * The private key of a file's text: OpenSSH's own format, PEM (PKCS#1, SEC1, PKCS#8), PuTTY 2 and 3, each with a
 * passphrase or without. An empty passphrase is none; one that is not needed is not looked at. A worker does what takes
 * long. Errors: `credential-unfit`, whose detail says what is wrong and quotes nothing.
 */
export async function readPrivateKey(text: Secret, passphrase?: Secret): Promise<PrivateKey> {
  const key = await readKeyObject(text, passphrase);
  return new PrivateKey(key, publicKeyOf(key));
}

/** As `readPrivateKey`, for whoever hands the key on to a library: what it is given signs and can be exported. */
export async function readKeyObject(text: Secret, passphrase?: Secret): Promise<KeyObject> {
  try {
    if (text.length > TEXT_BYTES_MAX) throw new WireError(`a text of ${text.length} bytes`);
    const { key, publicBlob } = await foundKey(text, passphrase?.length === 0 ? undefined : passphrase);
    const derived = publicKeyOf(key);
    if (publicBlob !== undefined && !publicBlob.equals(derived.blob)) throw new WireError('two halves of two keys');
    // The halves of a file are trusted by no one: a key that signs what it cannot verify is found here, not at a login.
    if (!(await signsAs(key, derived))) throw new WireError('two halves of two keys');
    return key;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new SidecarError('credential-unfit', { detail: `the private key cannot be used: ${error.message}` });
  }
}

async function signsAs(key: KeyObject, derived: PublicKey): Promise<boolean> {
  const probe = randomBytes(32);
  try {
    return isSignedBy(derived, probe, await signWith(key, signatureAlgorithmsOf(derived.algorithm)[0]!, probe));
  } catch {
    // The crypto library finds some of what is wrong with the numbers of a key only when it reckons with them.
    return false;
  }
}

async function foundKey(
  text: Secret,
  passphrase: Secret | undefined,
): Promise<{ readonly key: KeyObject; readonly publicBlob?: Buffer }> {
  return withScratch(async (scratch) => {
    const copy = scratch.keep(text.expose((bytes) => Buffer.from(bytes)));
    const start = copy.findIndex((byte) => byte > 0x20);
    const beginning = copy.subarray(start, start + 64).toString('latin1');
    // Each format is loaded at its first use: checks of a configuration need none, and count for the time to ready.
    if (beginning.startsWith('PuTTY-User-Key-File-')) {
      const { readPpk } = await import('./ppk.ts');
      return readPpk(copy.subarray(start), passphrase);
    }
    if (beginning.startsWith(OPENSSH_BEGIN.toString())) {
      const end = copy.indexOf(OPENSSH_END);
      if (end === -1) throw new WireError('the file is cut');
      const container = scratch.keep(base64Decode(copy.subarray(start + OPENSSH_BEGIN.length, end)));
      const { readOpensshContainer } = await import('./openssh-container.ts');
      return readOpensshContainer(container, passphrase);
    }
    if (!/^-----BEGIN (?:(?:RSA|EC|ENCRYPTED) )?PRIVATE KEY-----/.test(beginning)) {
      throw new WireError('it is in no format that is known');
    }
    const isEncrypted = copy.includes('ENCRYPTED');
    if (!isEncrypted) return { key: plainPem(copy) };
    if (passphrase === undefined) throw new WireError('it is encrypted and no passphrase is given');
    const [{ checkPemWork }, { openPem }] = await Promise.all([import('./pem-work.ts'), import('./derive.ts')]);
    checkPemWork(copy);
    return { key: await openPem(text, passphrase) };
  });
}

function plainPem(text: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem' });
  } catch {
    throw new WireError('a private key that is no key');
  }
}
