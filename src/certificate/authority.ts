import { SidecarError } from '../error.ts';
import { COMMON_NAME_CHARACTERS_MAX, issue, type Identity, type Validity } from './certificate.ts';
import { generateRsaKey } from './key.ts';

/**
 * A certificate authority that signs servers and clients, but no further authorities. Errors: `config-invalid` where the
 * name is empty or longer than 64 characters.
 */
export async function issueAuthority(commonName: string, validity?: Validity): Promise<Identity> {
  checkCommonName(commonName);
  const { publicKey, privateKey } = await generateRsaKey();
  const template = {
    commonName,
    extensions: [
      { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint: 0 },
      { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
    ],
  };
  return { certificate: await issue(template, publicKey, { key: privateKey }, validity), key: privateKey };
}

export function checkCommonName(commonName: string): void {
  const { length } = [...commonName];
  if (length > 0 && length <= COMMON_NAME_CHARACTERS_MAX) return;
  throw new SidecarError('config-invalid', {
    detail: `a common name has 1 to ${COMMON_NAME_CHARACTERS_MAX} characters`,
  });
}
