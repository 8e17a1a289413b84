import { createHmac, hash } from 'node:crypto';
import type * as Forge from 'node-forge';
import { integer, loadForge, objectId, octets, sequence, tagged, toDer } from './x509.ts';

type Asn1 = Forge.asn1.Asn1;

export interface TrustStoreEntry {
  /** Its name in the store, in ASCII. */
  readonly alias: string;
  /** DER. */
  readonly certificate: Buffer;
}

/** Object identifiers of PKCS #12 (RFC 7292 appendix D) and of what it is made of. */
const ID = {
  data: '1.2.840.113549.1.7.1',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  /** Oracle's: without it a JVM takes a certificate for part of a key's chain, and trusts none. */
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;

const ROUNDS = 2048;
const SALT_BYTES = 20;
/** Block of SHA-256 (RFC 7292 appendix B.2, v / 8). */
const BLOCK_BYTES = 64;
/** RFC 7292 appendix B.3: what is derived is a key for a MAC. */
const MAC_KEY = 3;

/**
 * The store as a file (RFC 7292). Nothing in it is secret: certificates stand in clear, and the MAC, which readers want
 * to see, holds damage off and no attacker, as anybody may know the password. The same entries give the same bytes.
 */
export async function encodeTrustStore(entries: readonly TrustStoreEntry[], password: string): Promise<Buffer> {
  const forge = await loadForge();
  const bags = sequence(
    forge,
    entries.map((entry) => certificateBag(forge, entry)),
  );
  const safe = toDer(forge, sequence(forge, [content(forge, toDer(forge, bags))]));
  return toDer(forge, sequence(forge, [integer(forge, 3), content(forge, safe), mac(forge, safe, password)]));
}

function certificateBag(forge: typeof Forge, { alias, certificate }: TrustStoreEntry): Asn1 {
  const { asn1 } = forge;
  const value = sequence(forge, [objectId(forge, ID.x509Certificate), tagged(forge, 0, [octets(forge, certificate)])]);
  const attributes = set(forge, [
    attribute(forge, ID.friendlyName, asn1.create(asn1.Class.UNIVERSAL, asn1.Type.BMPSTRING, false, alias)),
    attribute(forge, ID.trustedKeyUsage, objectId(forge, ID.anyExtendedKeyUsage)),
  ]);
  return sequence(forge, [objectId(forge, ID.certBag), tagged(forge, 0, [value]), attributes]);
}

function attribute(forge: typeof Forge, id: string, value: Asn1): Asn1 {
  return sequence(forge, [objectId(forge, id), set(forge, [value])]);
}

function set({ asn1 }: typeof Forge, parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, parts);
}

/** ContentInfo of type data (RFC 2315 section 8). */
function content(forge: typeof Forge, bytes: Buffer): Asn1 {
  return sequence(forge, [objectId(forge, ID.data), tagged(forge, 0, [octets(forge, bytes)])]);
}

/** MacData (RFC 7292 section 4). The salt follows from the content, so that the same content gives the same file. */
function mac(forge: typeof Forge, safe: Buffer, password: string): Asn1 {
  const { asn1 } = forge;
  const salt = hash('sha256', safe, 'buffer').subarray(0, SALT_BYTES);
  const value = createHmac('sha256', macKey(password, salt)).update(safe).digest();
  const nothing = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.NULL, false, '');
  const algorithm = sequence(forge, [objectId(forge, ID.sha256), nothing]);
  return sequence(forge, [
    sequence(forge, [algorithm, octets(forge, value)]),
    octets(forge, salt),
    integer(forge, ROUNDS),
  ]);
}

/** RFC 7292 appendix B.2, for as many bytes as the hash has: one round of its outer loop. */
function macKey(password: string, salt: Buffer): Buffer {
  const diversifier = Buffer.alloc(BLOCK_BYTES, MAC_KEY);
  let key = Buffer.concat([diversifier, filled(salt), filled(bmpString(`${password}\0`))]);
  for (let round = 0; round < ROUNDS; round += 1) key = hash('sha256', key, 'buffer');
  return key;
}

/** Repeated up to a whole number of blocks. */
function filled(bytes: Buffer): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_BYTES, bytes);
}

/** Two bytes a character, the high one first. */
function bmpString(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}
