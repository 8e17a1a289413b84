import { checkCommonName } from './authority.ts';
import { issue, type Identity, type Validity } from './certificate.ts';
import { generateRsaKey } from './key.ts';

/**
 * A client identity signed by `authority`; servers that map certificates to users read `commonName`. Errors:
 * `config-invalid` where the name is empty or longer than 64 characters.
 */
export async function issueClientIdentity(
  authority: Identity,
  commonName: string,
  validity?: Validity,
): Promise<Identity> {
  checkCommonName(commonName);
  const { publicKey, privateKey } = await generateRsaKey();
  const template = {
    commonName,
    extensions: [
      { name: 'basicConstraints', critical: true, cA: false },
      { name: 'keyUsage', critical: true, digitalSignature: true },
      { name: 'extKeyUsage', clientAuth: true },
    ],
  };
  return { certificate: await issue(template, publicKey, authority, validity), key: privateKey };
}
