import { createPublicKey, randomBytes } from 'node:crypto';
import type * as Forge from 'node-forge';
import { signSha256 } from './key.ts';

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
}

/** What stands in a certificate beside keys and dates. */
export interface Template {
  /** Absent: an empty subject, which only alternative names may stand in for (RFC 5280 section 4.2.1.6). */
  readonly commonName: string | undefined;
  readonly extensions: readonly Readonly<Record<string, unknown>>[];
}

/** Who signs: PEM of the private key and, unless it signs for itself, of its certificate. */
export interface Issuer {
  readonly key: string;
  readonly certificate?: string;
}

/** Upper bound of a common name in characters (RFC 5280 appendix A.1, ub-common-name). */
export const COMMON_NAME_CHARACTERS_MAX = 64;

/** What node-forge has and its types do not know. */
type Pki = Omit<typeof Forge.pki, 'createCertificate'> & {
  createCertificate(): Unsigned;
  getTBSCertificate(certificate: Unsigned): Forge.asn1.Asn1;
};
type Unsigned = Forge.pki.Certificate & { siginfo: { algorithmOid?: string } };

const DAY_MILLISECONDS = 86_400_000;
/** Clocks differ: a certificate is good for those whose clock is behind, too. */
const BACKDATED_MILLISECONDS = 3_600_000;
/** sha256WithRSAEncryption (RFC 4055 section 5). */
const SHA256_WITH_RSA = '1.2.840.113549.1.1.11';
const SERIAL_BYTES = 20;

/**
 * Issues an X.509 version 3 certificate on `publicKey` (PEM) and returns it as PEM. The encoding is node-forge's; the
 * private key stays with node:crypto, which signs.
 */
export async function issue(
  template: Template,
  publicKey: string,
  issuer: Issuer,
  { days = 30, now = new Date() }: Validity = {},
): Promise<string> {
  // Loaded at the first use: it costs time that the start of the sidecar need not spend.
  const { default: forge } = await import('node-forge');
  const pki = forge.pki as Pki;
  const certificate = pki.createCertificate();
  const parent = issuer.certificate === undefined ? undefined : pki.certificateFromPem(issuer.certificate);
  certificate.publicKey = pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = serialNumber();
  certificate.validity.notBefore = new Date(now.getTime() - BACKDATED_MILLISECONDS);
  certificate.validity.notAfter = new Date(now.getTime() + days * DAY_MILLISECONDS);
  const subject = subjectOf(template.commonName, forge);
  certificate.setSubject(subject);
  certificate.setIssuer(parent?.subject.attributes ?? subject);
  const authorityKey = (parent ?? certificate).generateSubjectKeyIdentifier().getBytes();
  certificate.setExtensions([
    ...template.extensions,
    { name: 'subjectKeyIdentifier' },
    { name: 'authorityKeyIdentifier', keyIdentifier: authorityKey },
  ]);
  certificate.signatureOid = SHA256_WITH_RSA;
  certificate.siginfo.algorithmOid = SHA256_WITH_RSA;
  const body = pki.getTBSCertificate(certificate);
  const signature = await signSha256(Buffer.from(forge.asn1.toDer(body).getBytes(), 'latin1'), issuer.key);
  certificate.tbsCertificate = body;
  certificate.signature = signature.toString('latin1');
  return pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}

/** The public half (PEM) of a private key (PEM). */
export function publicHalf(privateKey: string): string {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
}

/** Positive, 159 random bits, and never with a zero in front (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial.toString('hex');
}

function subjectOf(commonName: string | undefined, forge: typeof Forge): Forge.pki.CertificateField[] {
  if (commonName === undefined) return [];
  // node-forge's types want the tag's class where the tag itself is meant.
  const valueTagClass = forge.asn1.Type.UTF8 as unknown as Forge.asn1.Class;
  return [{ name: 'commonName', value: commonName, valueTagClass }];
}
