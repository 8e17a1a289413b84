import { X509Certificate, type KeyObject } from 'node:crypto';
import { issueSigned, signerOf } from './certificate.ts';
import { generateEcKey } from './key.ts';
import { nameConstraints } from './names.ts';
import { extensionIn, keyIdentifier, loadForge } from './x509.ts';

/** An authority that signs servers for clients of this machine. */
export interface EgressAuthority {
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
  readonly validUntil: Date;
}

const NAME_CONSTRAINTS = '2.5.29.30';
/** Hexadecimal digits of the key's identifier in the name: enough to tell one installation from another. */
const MARK_DIGITS = 8;

/**
 * A new one, ECDSA on P-256, good for `days`: for leaves only, and with `names` only for those domains (lower case). Its
 * common name is its own, since clients look certificates up by it.
 */
export async function makeAuthority(names: readonly string[], days: number, now: Date): Promise<EgressAuthority> {
  const { publicKey, privateKey } = await generateEcKey();
  const mark = keyIdentifier(await loadForge(), publicKey)
    .toString('hex')
    .slice(0, MARK_DIGITS);
  const extensions = [
    { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
    { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    ...(names.length === 0 ? [] : [await nameConstraints(names)]),
  ];
  const template = { commonName: `Secretless Sidecar ${mark}`, extensions };
  const certificate = await issueSigned(template, publicKey, await signerOf({ key: privateKey }), { days, now });
  return { key: privateKey, certificate, validUntil: new X509Certificate(certificate).validToDate };
}

/** Whether it may sign for these domains (lower case, sorted), and for no others. */
export async function isConstrainedTo(certificate: X509Certificate, names: readonly string[]): Promise<boolean> {
  const found = extensionIn(await loadForge(), certificate.raw, NAME_CONSTRAINTS);
  if (names.length === 0) return found === undefined;
  const { value } = await nameConstraints(names);
  return found?.toString('latin1') === value;
}
