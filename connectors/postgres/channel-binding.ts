import { createHash } from 'node:crypto';
import { derAt, derChildren, type DerElement, objectIdentifier, OBJECT_IDENTIFIER, SEQUENCE } from './der.ts';

const RSA_PSS = '1.2.840.113549.1.1.10';
/** RFC 5929 section 4.1: MD5 and SHA-1 count as SHA-256. */
const OLD_HASH = 'sha256';

/** Hash of a signature algorithm. RFC 8017 appendix A.2, RFC 5758, RFC 5480, NIST's arc 2.16.840.1.101.3.4.3. */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ...['4', '5'].map((last) => [`1.2.840.113549.1.1.${last}`, OLD_HASH] as const),
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.113549.1.1.15', 'sha512-224'],
  ['1.2.840.113549.1.1.16', 'sha512-256'],
  ['1.2.840.10045.4.1', OLD_HASH],
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.2.840.10040.4.3', OLD_HASH],
  ['2.16.840.1.101.3.4.3.1', 'sha224'],
  ['2.16.840.1.101.3.4.3.2', 'sha256'],
  ['2.16.840.1.101.3.4.3.3', 'sha384'],
  ['2.16.840.1.101.3.4.3.4', 'sha512'],
]);

/** Hash algorithms by themselves, as the parameters of RSASSA-PSS name them (RFC 4055 section 2.1). */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.2.5', OLD_HASH],
  ['1.3.14.3.2.26', OLD_HASH],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.5', 'sha512-224'],
  ['2.16.840.1.101.3.4.2.6', 'sha512-256'],
]);

/**
 * `tls-server-end-point` (RFC 5929 section 4): the hash of the server's certificate by the hash of its signature.
 * Undefined where that signature has no hash of its own (Ed25519, Ed448) or an unknown one: no binding is possible.
 */
export function serverEndPoint(certificate: Buffer): Buffer | undefined {
  const hash = signatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/** Name of the hash for node:crypto. RFC 5280 section 4.1: a certificate is `{ tbs, algorithm, signature }`. */
export function signatureHash(certificate: Buffer): string | undefined {
  const whole = derAt(certificate, 0);
  const [, algorithm] = sequence(whole) ?? [];
  const [identifier, parameters] = sequence(algorithm) ?? [];
  const name = nameOf(identifier);
  if (name === undefined) return undefined;
  return name === RSA_PSS ? pssHash(parameters) : SIGNATURE_HASHES.get(name);
}

/** RFC 4055 section 3.1: `[0]` holds the hash; SHA-1 where it is left out. */
function pssHash(parameters: DerElement | undefined): string | undefined {
  const fields = sequence(parameters);
  if (fields === undefined) return undefined;
  const tagged = fields.find(({ tag }) => tag === 0xa0);
  if (tagged === undefined) return OLD_HASH;
  const [identifier] = sequence(derAt(tagged.content, 0)) ?? [];
  const name = nameOf(identifier);
  return name === undefined ? undefined : HASHES.get(name);
}

function sequence(element: DerElement | undefined): readonly DerElement[] | undefined {
  return element?.tag === SEQUENCE ? derChildren(element.content) : undefined;
}

function nameOf(element: DerElement | undefined): string | undefined {
  return element?.tag === OBJECT_IDENTIFIER ? objectIdentifier(element.content) : undefined;
}
