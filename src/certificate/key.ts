import { generateKeyPair, sign } from 'node:crypto';
import { promisify } from 'node:util';

/** A key and what others may know of it, both PEM: SPKI (RFC 5280 section 4.1) and PKCS #8 (RFC 5958). */
export interface KeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
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

/** RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2), off the event loop. `privateKey` is PEM. */
export async function signSha256(bytes: Uint8Array, privateKey: string): Promise<Buffer> {
  return await signAsync('sha256', bytes, privateKey);
}
