import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { signerOf } from '../certificate/certificate.ts';
import { makeAuthority } from '../certificate/egress-authority.ts';
import { generateEcKey } from '../certificate/key.ts';
import { issueLeaf } from '../certificate/leaf.ts';

/** A certificate that is served, its key, and the authority that made it and nothing else. All but the key PEM. */
export interface ServingIdentity {
  readonly authority: string;
  readonly certificate: string;
  readonly key: KeyObject;
  readonly validUntil: Date;
}

const DAY_MILLISECONDS = 86_400_000;

/**
 * A new authority for `host` alone, and a certificate of it. The key of the authority is forgotten: nobody can ever make a
 * second one, and the next certificate comes with the next authority.
 */
export async function makeServingIdentity(host: string, lifeMs: number, now: Date): Promise<ServingIdentity> {
  const authority = await makeAuthority([host], lifeMs / DAY_MILLISECONDS, now);
  const { publicKey, privateKey } = await generateEcKey();
  const signer = await signerOf(authority);
  const certificate = await issueLeaf(host, publicKey, signer, { now, until: authority.validUntil });
  return {
    authority: authority.certificate,
    certificate,
    key: privateKey,
    validUntil: new X509Certificate(certificate).validToDate,
  };
}

/** What was kept; undefined where the parts are broken, do not belong together, or are not for `host`. */
export function readServingIdentity(
  host: string,
  authority: string,
  certificate: string,
  key: Buffer,
): ServingIdentity | undefined {
  try {
    const [issuer, leaf] = [new X509Certificate(authority), new X509Certificate(certificate)];
    const privateKey = createPrivateKey(key);
    const isWhole = issuer.ca && leaf.verify(issuer.publicKey) && leaf.checkPrivateKey(privateKey);
    if (!isWhole || leaf.checkHost(host) === undefined) return undefined;
    return { authority, certificate, key: privateKey, validUntil: leaf.validToDate };
  } catch {
    return undefined;
  }
}
