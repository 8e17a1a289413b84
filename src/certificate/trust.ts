import { hash, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { AUTHORITY_FILE } from './interception.ts';
import { distinct, joinBundle, systemRoots } from './system-roots.ts';
import { encodeTrustStore } from './trust-store.ts';
import { publish } from './whole-file.ts';

/** Files that make clients trust the authority of this installation, by their paths. Anybody may read them. */
export interface TrustFiles {
  /** PEM of its certificate alone, for clients that add it to what they trust. */
  readonly ca: string;
  /** PEM of what the system trusts and of it, for clients that trust one file and nothing else. */
  readonly bundle: string;
  /** The same as a PKCS #12 trust store, for JVMs. */
  readonly trustStore: string;
  /** Not a secret: readers of the format want one. */
  readonly trustStorePassword: string;
}

/** Names of the files in the state folder. */
export const BUNDLE_FILE = 'egress-ca-bundle.pem';
export const TRUST_STORE_FILE = 'egress-trust.p12';

/** What every JVM's own store has. */
const TRUST_STORE_PASSWORD = 'changeit';
const OWN_ALIAS = 'secretless-sidecar';
const ALIAS_DIGITS = 16;

/**
 * Writes the trust files into `folder`, each whole or not at all, and leaves alone what is there already. `certificate`
 * is PEM of the authority; what else to trust is read from the system and from `environment` (see `systemBundle`).
 * Errors: those of the file system.
 */
export async function writeTrust(
  folder: string,
  certificate: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<TrustFiles> {
  const own = new X509Certificate(certificate).raw;
  const certificates = distinct([...(await systemRoots(environment)), own]);
  const files = {
    ca: join(folder, AUTHORITY_FILE),
    bundle: join(folder, BUNDLE_FILE),
    trustStore: join(folder, TRUST_STORE_FILE),
    trustStorePassword: TRUST_STORE_PASSWORD,
  };
  const entries = certificates.map((raw) => ({
    alias: raw.equals(own) ? OWN_ALIAS : hash('sha256', raw, 'hex').slice(0, ALIAS_DIGITS),
    certificate: raw,
  }));
  await publish(files.ca, joinBundle([own]));
  await publish(files.bundle, joinBundle(certificates));
  await publish(files.trustStore, await encodeTrustStore(entries, TRUST_STORE_PASSWORD));
  return files;
}
