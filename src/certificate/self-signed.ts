import { issue, type Identity, type Validity } from './certificate.ts';
import { generateRsaKey } from './key.ts';
import { serverTemplate } from './server.ts';

/** By these names a program on the same machine calls the sidecar. */
export const LOCAL_NAMES = ['localhost', '127.0.0.1', '::1'] as const;

/** Made anew with each process, which may live long; clients refuse a certificate that is good for more than 825. */
const LOCAL_DAYS = 820;

/** A server identity for `LOCAL_NAMES` that no authority signed: a client trusts this very certificate, or none. */
export async function issueSelfSigned(validity?: Validity): Promise<Identity> {
  const { publicKey, privateKey } = await generateRsaKey();
  const issuer = { key: privateKey };
  const certificate = await issue(serverTemplate(LOCAL_NAMES), publicKey, issuer, { days: LOCAL_DAYS, ...validity });
  return { certificate, key: privateKey };
}
