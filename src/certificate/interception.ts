import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { SidecarError } from '../error.ts';
import { keptAuthority, type KeptAuthority } from './authority-file.ts';
import { signerOf } from './certificate.ts';
import { makeAuthority } from './egress-authority.ts';
import { FreshCache, type Perishable } from './fresh-cache.ts';
import { exposePrivateKey, generateEcKey, type KeyObjectPair } from './key.ts';
import { issueLeaf } from './leaf.ts';
import { canonicalNames, isWithin } from './names.ts';
import { publish } from './whole-file.ts';

/** The authority of this installation, which issues the certificates that clients are shown in place of the upstream's. */
export interface Interception {
  /** PEM of its certificate: what clients trust. */
  readonly certificate: string;
  /**
   * Key and certificate for `host` (as `parseHost` returns it), ready for a handshake. Issued at the first use, by one
   * for all who ask at a time, and anew well before the end of the one before. Errors: `config-invalid` where `host` is
   * outside the names that certificates may be issued for.
   */
  contextFor(host: string): Promise<SecureContext>;
}

/** One that was opened, and how it came about. */
export interface OpenedInterception extends Interception {
  /** Where its certificate is: `egress-ca.pem`. */
  readonly path: string;
  /** `renewed`: in place of one that ends within 30 days, or was for other names; clients must trust it anew. */
  readonly came: 'found' | 'made' | 'renewed';
  /** The end of the authority. Nothing is issued from then on. */
  readonly validUntil: Date;
}

export interface InterceptionOptions {
  /** `folder`: the key is kept in `egress-ca.key`, mode 0600, good for ten years. `memory`: nowhere, for one year. */
  readonly store: 'memory' | 'folder';
  /** The state folder, made where there is none. */
  readonly folder: string;
  /** Domains that certificates may be issued for, and for what is below them; empty: any host. */
  readonly names: readonly string[];
  /** Default: the clock. */
  readonly now?: () => Date;
}

/** Names of the files in the state folder. */
export const AUTHORITY_KEY_FILE = 'egress-ca.key';
export const AUTHORITY_FILE = 'egress-ca.pem';

const MEMORY_DAYS = 365;
const HOSTS_MAX = 1000;

interface Issued extends Perishable {
  readonly context: SecureContext;
}

/**
 * Opens the authority of an installation and writes its certificate (`egress-ca.pem`, for anybody to read). Errors:
 * `config-invalid` where a name is no domain, or the files cannot be used; the detail says what to do.
 */
export async function openInterception(options: InterceptionOptions): Promise<OpenedInterception> {
  const { store, folder, now = () => new Date() } = options;
  const names = canonicalNames(options.names);
  const authority: KeptAuthority =
    store === 'memory'
      ? { ...(await makeAuthority(names, MEMORY_DAYS, now())), came: 'made' }
      : await keptAuthority(join(folder, AUTHORITY_KEY_FILE), names, now());
  const path = join(folder, AUTHORITY_FILE);
  await publishCertificate(path, authority.certificate);
  const signer = await signerOf(authority);
  const keys = await generateEcKey();
  const { certificate, came, validUntil } = authority;
  const cache = new FreshCache(HOSTS_MAX, now, async (host): Promise<Issued> => {
    const asked = now();
    if (asked >= validUntil) throw new SidecarError('config-invalid', { detail: `${path} has ended: start again` });
    const leaf = await issueLeaf(host, keys.publicKey, signer, { now: asked, until: validUntil });
    return { context: contextOf(leaf, keys), renewAt: renewalOf(leaf, validUntil) };
  });
  async function contextFor(host: string): Promise<SecureContext> {
    if (!isWithin(host, names)) {
      throw new SidecarError('config-invalid', { detail: 'the host is outside `egress.ca.names`' });
    }
    return (await cache.get(host)).context;
  }
  return { certificate, path, came, validUntil, contextFor };
}

async function publishCertificate(path: string, certificate: string): Promise<void> {
  try {
    await publish(path, certificate);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown';
    throw new SidecarError('config-invalid', { detail: `${path} cannot be written: ${why}`, cause });
  }
}

/** Without the authority's certificate: whoever trusts it has it. */
function contextOf(leaf: string, { privateKey }: KeyObjectPair): SecureContext {
  return exposePrivateKey(privateKey, (key) =>
    // No roots: nobody is asked for a certificate here.
    createSecureContext({ key, cert: leaf, ca: [], minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }),
  );
}

/** When less than a third of its life is left; at its very end where a new one would live no longer. */
function renewalOf(leaf: string, validUntil: Date): number {
  const { validFromDate, validToDate } = new X509Certificate(leaf);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  return to >= validUntil.getTime() ? to : to - (to - from) / 3;
}
