import { generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** A key and what others may know of it, both PEM: SPKI (RFC 5280 section 4.1) and PKCS #8 (RFC 5958). */
export interface KeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
}

/** The same, as node:crypto keeps them: nothing of the private key prints. */
export interface KeyObjectPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const generate = promisify(generateKeyPair);
const signAsync = promisify(sign);

/** RSA of 2048 bits, made off the event loop. Takes a quarter of a second or so. */
export async function generateRsaKey(): Promise<KeyPair> {
  return await generate('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
}

/** ECDSA on P-256, as node:crypto calls it. */
export const P256 = 'prime256v1';

/** ECDSA on P-256, made off the event loop in less than a millisecond. */
export async function generateEcKey(): Promise<KeyObjectPair> {
  return await generate('ec', { namedCurve: P256 });
}

/**
 * A signature with SHA-256, off the event loop: RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with an RSA key, and with an EC
 * key ECDSA in the form that X.509 has it (RFC 3279 section 2.2.3). PEM or key object.
 */
export async function signSha256(bytes: Uint8Array, privateKey: string | KeyObject): Promise<Buffer> {
  return await signAsync('sha256', bytes, privateKey);
}

const LETTERS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const PAD = 0x3d;
const LINE_FEED = 0x0a;
/** RFC 7468 section 2: exactly so many, but for the last line. */
const LINE_LETTERS = 64;
const BEGIN = Buffer.from('-----BEGIN PRIVATE KEY-----\n');
const END = Buffer.from('-----END PRIVATE KEY-----\n');

/**
 * Lends `use` a private key as PEM of PKCS #8, at once: the bytes are overwritten when it returns. No string is ever made
 * of them, which nobody could overwrite.
 */
export function exposePrivateKey<Result>(key: KeyObject, use: (pem: Buffer) => Result): Result {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const letters = Math.ceil(der.length / 3) * 4;
  const body = BEGIN.length + letters + Math.ceil(letters / LINE_LETTERS);
  // allocUnsafeSlow: a buffer of its own, never a slice of the pool.
  const pem = Buffer.allocUnsafeSlow(body + END.length);
  try {
    pem.set(BEGIN);
    writeBase64(der, letters, pem.subarray(BEGIN.length, body));
    pem.set(END, body);
    return use(pem);
  } finally {
    der.fill(0);
    pem.fill(0);
  }
}

function writeBase64(bytes: Uint8Array, letters: number, text: Uint8Array): void {
  let at = 0;
  for (let letter = 0; letter < letters; letter += 1) {
    const first = Math.floor(letter / 4) * 3;
    const group = ((bytes[first] ?? 0) << 16) | ((bytes[first + 1] ?? 0) << 8) | (bytes[first + 2] ?? 0);
    const isPad = first + (letter % 4) - 1 >= bytes.length;
    text[at++] = isPad ? PAD : LETTERS[(group >> (18 - 6 * (letter % 4))) & 0x3f]!;
    if (letter % LINE_LETTERS === LINE_LETTERS - 1 || letter === letters - 1) text[at++] = LINE_FEED;
  }
}
