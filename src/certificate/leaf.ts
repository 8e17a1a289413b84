import type { KeyObject } from 'node:crypto';
import { SidecarError } from '../error.ts';
import { COMMON_NAME_CHARACTERS_MAX, issueSigned, type Signer, type Template } from './certificate.ts';
import { isAddress, isDnsName } from './names.ts';
import { altName } from './server.ts';

/** Clients refuse more than 398; nobody keeps these, so that they need not live long. */
const LEAF_DAYS = 30;

/**
 * PEM of a server certificate for one host, as strict clients want it: the host as alternative name, identifiers of both
 * keys, one purpose. Good for 30 days, and never beyond `until`. Errors: `config-invalid` where `host` is neither an
 * address nor a DNS name; a wildcard is neither.
 */
export async function issueLeaf(
  host: string,
  publicKey: KeyObject,
  signer: Signer,
  validity: { readonly now: Date; readonly until: Date },
): Promise<string> {
  if (!isAddress(host) && !isDnsName(host)) {
    throw new SidecarError('config-invalid', { detail: 'certificates are issued for DNS names and IP addresses only' });
  }
  return await issueSigned(leafTemplate(host), publicKey, signer, { days: LEAF_DAYS, ...validity });
}

function leafTemplate(host: string): Template {
  const commonName = host.length <= COMMON_NAME_CHARACTERS_MAX ? host : undefined;
  return {
    commonName,
    extensions: [
      { name: 'basicConstraints', critical: true, cA: false },
      // An EC key signs and cannot encipher (RFC 8813 section 3).
      { name: 'keyUsage', critical: true, digitalSignature: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', critical: commonName === undefined, altNames: [altName(host)] },
    ],
  };
}
