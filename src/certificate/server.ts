import { SidecarError } from '../error.ts';
import {
  COMMON_NAME_CHARACTERS_MAX,
  issue,
  publicHalf,
  type Identity,
  type Template,
  type Validity,
} from './certificate.ts';
import { generateRsaKey } from './key.ts';
import { isAddress, isDnsName } from './names.ts';

export interface ServerOptions extends Validity {
  /** PEM of a private RSA key to issue on; absent: a new one. */
  readonly key?: string;
}

/**
 * A server identity signed by `authority` for `names`: DNS names in ASCII, a wildcard as the first label allowed, and IP
 * addresses. The certificate comes without the authority's. Errors: `config-invalid` where a name is neither.
 */
export async function issueServerIdentity(
  authority: Identity,
  names: readonly string[],
  { key, ...validity }: ServerOptions = {},
): Promise<Identity> {
  const template = serverTemplate(names);
  const own = key ?? (await generateRsaKey()).privateKey;
  return { certificate: await issue(template, publicHalf(own), authority, validity), key: own };
}

/** What a server certificate says: names, and what its key may do (RFC 5280 sections 4.2.1.3, 4.2.1.6 and 4.2.1.12). */
export function serverTemplate(names: readonly string[]): Template {
  const first = names[0];
  if (first === undefined) throw new SidecarError('config-invalid', { detail: 'a server certificate needs a name' });
  const commonName = first.length <= COMMON_NAME_CHARACTERS_MAX ? first : undefined;
  return {
    commonName,
    extensions: [
      { name: 'basicConstraints', critical: true, cA: false },
      { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', critical: commonName === undefined, altNames: names.map(altName) },
    ],
  };
}

const WILDCARD = '*.';

/** A name as it stands in a certificate. Errors: `config-invalid` where it is neither a DNS name nor an address. */
export function altName(
  name: string,
): { readonly type: 2; readonly value: string } | { readonly type: 7; readonly ip: string } {
  if (isAddress(name)) return { type: 7, ip: name };
  if (isDnsName(name.startsWith(WILDCARD) ? name.slice(WILDCARD.length) : name)) return { type: 2, value: name };
  throw new SidecarError('config-invalid', {
    detail: `\`${name}\` is neither a DNS name in ASCII nor an IP address`,
  });
}
