import { createPrivateKey, createPublicKey, randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import type * as Forge from 'node-forge';
import { signSha256 } from './key.ts';
import {
  distinguishedName,
  encodeBody,
  encodeSigned,
  keyIdentifier,
  loadForge,
  octets,
  sequence,
  signatureAlgorithm,
  subjectIn,
  tagged,
  toDer,
} from './x509.ts';

/** A certificate and its private key, both PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** How long a certificate is good for. */
export interface Validity {
  /** Days from now; default 30. */
  readonly days?: number;
  /** Default: the clock. */
  readonly now?: Date;
  /** No later than this, whatever `days` says. */
  readonly until?: Date;
}

/** What stands in a certificate beside keys and dates. */
export interface Template {
  /** Absent: an empty subject, which only alternative names may stand in for (RFC 5280 section 4.2.1.6). */
  readonly commonName: string | undefined;
  readonly extensions: readonly Readonly<Record<string, unknown>>[];
}

/** Who signs: the private key (PEM or key object) and, unless it signs for itself, PEM of its certificate. */
export interface Issuer {
  readonly key: string | KeyObject;
  readonly certificate?: string;
}

/** Upper bound of a common name in characters (RFC 5280 appendix A.1, ub-common-name). */
export const COMMON_NAME_CHARACTERS_MAX = 64;

const DAY_MILLISECONDS = 86_400_000;
/** Clocks differ: a certificate is good for those whose clock is behind, too. */
const BACKDATED_MILLISECONDS = 3_600_000;
const SERIAL_BYTES = 20;

/** An issuer made ready: nothing is parsed again for each certificate it signs. */
export interface Signer {
  readonly key: KeyObject;
  /** Its name, as it stands in its certificate; undefined: it signs for itself. */
  readonly name: Forge.asn1.Asn1 | undefined;
  readonly keyIdentifier: Buffer;
}

/**
 * Issues an X.509 version 3 certificate on `publicKey` (PEM) and returns it as PEM. The encoding is node-forge's; the
 * private key stays with node:crypto, which signs.
 */
export async function issue(
  template: Template,
  publicKey: string,
  issuer: Issuer,
  validity: Validity = {},
): Promise<string> {
  return await issueSigned(template, createPublicKey(publicKey), await signerOf(issuer), validity);
}

export async function signerOf({ key, certificate }: Issuer): Promise<Signer> {
  const forge = await loadForge();
  const own = typeof key === 'string' ? createPrivateKey(key) : key;
  const name = certificate === undefined ? undefined : subjectIn(forge, new X509Certificate(certificate).raw);
  return { key: own, name, keyIdentifier: keyIdentifier(forge, own) };
}

/** As `issue`, with keys and issuer that are ready. */
export async function issueSigned(
  template: Template,
  publicKey: KeyObject,
  signer: Signer,
  { days = 30, now = new Date(), until }: Validity,
): Promise<string> {
  const forge = await loadForge();
  const subject = distinguishedName(forge, template.commonName);
  const algorithm = signatureAlgorithm(forge, signer.key);
  const end = now.getTime() + days * DAY_MILLISECONDS;
  const body = encodeBody(forge, {
    serialNumber: serialNumber(),
    notBefore: new Date(now.getTime() - BACKDATED_MILLISECONDS),
    notAfter: new Date(Math.min(end, until?.getTime() ?? end)),
    subject,
    issuer: signer.name ?? subject,
    publicKey,
    extensions: [...template.extensions, ...keyIdentifiers(forge, publicKey, signer)],
    algorithm,
  });
  const signature = await signSha256(toDer(forge, body), signer.key);
  return pem(encodeSigned(forge, body, algorithm, signature));
}

/** Of the key and of the issuer's: strict clients ask for both (RFC 5280 sections 4.2.1.1 and 4.2.1.2). */
function keyIdentifiers(forge: typeof Forge, publicKey: KeyObject, signer: Signer): Template['extensions'] {
  const own = toDer(forge, octets(forge, keyIdentifier(forge, publicKey)));
  const issuing = sequence(forge, [tagged(forge, 0, signer.keyIdentifier.toString('latin1'))]);
  return [
    { name: 'subjectKeyIdentifier', value: own.toString('latin1') },
    { name: 'authorityKeyIdentifier', value: toDer(forge, issuing).toString('latin1') },
  ];
}

/** The public half (PEM) of a private key (PEM). */
export function publicHalf(privateKey: string): string {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
}

/** PEM of a certificate (RFC 7468). */
export function pem(certificate: Buffer): string {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** Positive, 158 random bits, and never with a zero in front (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial.toString('hex');
}
