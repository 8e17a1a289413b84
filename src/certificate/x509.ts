import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import type * as Forge from 'node-forge';
import { SidecarError } from '../error.ts';

type Asn1 = Forge.asn1.Asn1;
type Extension = Readonly<Record<string, unknown>>;

/** What node-forge has and its types do not know. */
type Pki = typeof Forge.pki & { certificateExtensionsToAsn1(extensions: readonly unknown[]): Asn1 };
type FromDer = (bytes: string, options: { readonly decodeBitStrings: false }) => Asn1;

/** What is signed (RFC 5280 section 4.1.2). Extensions are as node-forge names them, or with `id` and `value` (DER). */
export interface Body {
  /** Hexadecimal, positive and minimal. */
  readonly serialNumber: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subject: Asn1;
  readonly issuer: Asn1;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Extension[];
  readonly algorithm: Asn1;
}

/** Loaded at the first use: it costs time that the start of the sidecar need not spend. */
export async function loadForge(): Promise<typeof Forge> {
  return (await import('node-forge')).default;
}

/** The structure that holds `bytes` of DER. BIT STRINGs stay closed: what is in one is not always DER. */
export function fromDer(forge: typeof Forge, bytes: Buffer): Asn1 {
  return (forge.asn1.fromDer as unknown as FromDer)(bytes.toString('latin1'), { decodeBitStrings: false });
}

export function toDer(forge: typeof Forge, structure: Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(structure).getBytes(), 'latin1');
}

export function sequence({ asn1 }: typeof Forge, parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, parts);
}

export function objectId({ asn1 }: typeof Forge, id: string): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(id).getBytes());
}

/** A structure of context class, `[tag]`. */
export function tagged({ asn1 }: typeof Forge, tag: number, value: string | Asn1[]): Asn1 {
  // node-forge's types want the type's number where any tag is meant.
  const type = tag as Forge.asn1.Type;
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, type, typeof value !== 'string', value);
}

export function octets({ asn1 }: typeof Forge, bytes: Uint8Array): Asn1 {
  const text = Buffer.from(bytes).toString('latin1');
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.OCTETSTRING, false, text);
}

export function integer({ asn1 }: typeof Forge, value: number): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.INTEGER, false, asn1.integerToDer(value).getBytes());
}

/** sha256WithRSAEncryption has a NULL (RFC 4055 section 5), ecdsa-with-SHA256 has no parameters (RFC 5758 section 3.2). */
export function signatureAlgorithm(forge: typeof Forge, key: KeyObject): Asn1 {
  const { asn1 } = forge;
  const nothing = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.NULL, false, '');
  const type = key.asymmetricKeyType;
  if (type === 'rsa') return sequence(forge, [objectId(forge, '1.2.840.113549.1.1.11'), nothing]);
  if (type === 'ec') return sequence(forge, [objectId(forge, '1.2.840.10045.4.3.2')]);
  throw new SidecarError('config-invalid', { detail: 'certificates are signed with RSA or EC keys' });
}

/** SHA-1 of the key's bits, which is a name and protects nothing (RFC 5280 section 4.2.1.2, method 1). */
export function keyIdentifier(forge: typeof Forge, key: KeyObject): Buffer {
  const bits = subjectPublicKey(forge, key).value[1] as Asn1;
  // The first byte of a BIT STRING says how many bits of its last are none.
  return hash('sha1', Buffer.from(bits.value as string, 'latin1').subarray(1), 'buffer');
}

/** SubjectPublicKeyInfo (RFC 5280 section 4.1). */
function subjectPublicKey(forge: typeof Forge, key: KeyObject): Asn1 {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return fromDer(forge, half.export({ type: 'spki', format: 'der' }));
}

/** The subject of a certificate as it stands there, byte for byte: so it must stand as issuer in those it signs. */
export function subjectIn(forge: typeof Forge, certificate: Buffer): Asn1 {
  const parts = (fromDer(forge, certificate).value[0] as Asn1).value as Asn1[];
  // The version stands first, in each that is not of version 1.
  const subject = parts[5];
  if (subject === undefined)
    throw new SidecarError('config-invalid', { detail: 'a certificate of version 3 is needed' });
  return subject;
}

export function distinguishedName(forge: typeof Forge, commonName: string | undefined): Asn1 {
  if (commonName === undefined) return sequence(forge, []);
  const certificate = forge.pki.createCertificate();
  // node-forge's types want the tag's class where the tag itself is meant.
  const valueTagClass = forge.asn1.Type.UTF8 as unknown as Forge.asn1.Class;
  certificate.setSubject([{ name: 'commonName', value: commonName, valueTagClass }]);
  return forge.pki.distinguishedNameToAsn1(certificate.subject);
}

/** TBSCertificate of version 3 (RFC 5280 section 4.1.1.1). */
export function encodeBody(forge: typeof Forge, body: Body): Asn1 {
  const { asn1 } = forge;
  const pki = forge.pki as Pki;
  const holder = pki.createCertificate();
  holder.setExtensions([...body.extensions]);
  const serial = Buffer.from(body.serialNumber, 'hex').toString('latin1');
  return sequence(forge, [
    tagged(forge, 0, [integer(forge, 2)]),
    asn1.create(asn1.Class.UNIVERSAL, asn1.Type.INTEGER, false, serial),
    body.algorithm,
    body.issuer,
    sequence(forge, [time(forge, body.notBefore), time(forge, body.notAfter)]),
    body.subject,
    subjectPublicKey(forge, body.publicKey),
    pki.certificateExtensionsToAsn1(holder.extensions),
  ]);
}

/** Two digits of the year through 2049, four from then on (RFC 5280 section 4.1.2.5). */
function time({ asn1 }: typeof Forge, date: Date): Asn1 {
  const { Class, Type } = asn1;
  if (date.getUTCFullYear() < 2050) return asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date));
  return asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** Certificate (RFC 5280 section 4.1), DER. */
export function encodeSigned(forge: typeof Forge, body: Asn1, algorithm: Asn1, signature: Buffer): Buffer {
  const { asn1 } = forge;
  const bits = `\0${signature.toString('latin1')}`;
  const signed = asn1.create(asn1.Class.UNIVERSAL, asn1.Type.BITSTRING, false, bits);
  return toDer(forge, sequence(forge, [body, algorithm, signed]));
}

/** The value (DER) of an extension of a certificate; undefined where it has none such. */
export function extensionIn(forge: typeof Forge, certificate: Buffer, id: string): Buffer | undefined {
  const parts = (fromDer(forge, certificate).value[0] as Asn1).value as Asn1[];
  const wanted = forge.asn1.oidToDer(id).getBytes();
  // [3] EXPLICIT Extensions: a sequence of (id, critical or nothing, value).
  const list = (parts.at(-1)?.value[0] as Asn1).value as Asn1[];
  const found = list.find((extension) => (extension.value[0] as Asn1).value === wanted)?.value.at(-1) as
    Asn1 | undefined;
  return found === undefined ? undefined : Buffer.from(found.value as string, 'latin1');
}
