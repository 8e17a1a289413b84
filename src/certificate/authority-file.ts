import { createPrivateKey, hash, X509Certificate, type KeyObject } from 'node:crypto';
import { link, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asSidecarError, SidecarError } from '../error.ts';
import { isConstrainedTo, makeAuthority, type EgressAuthority } from './egress-authority.ts';
import { exposePrivateKey, P256 } from './key.ts';
import { openExisting, writeAside } from './whole-file.ts';

/** Key and certificate have less than 2. */
const FILE_BYTES_MAX = 16 * 1024;
const KEY_MODE = 0o600;
const AUTHORITY_DAYS = 3650;
/** An authority that ends sooner is replaced while there is time to trust the next. */
const RENEWED_MILLISECONDS = 30 * 86_400_000;
const BEGIN_CERTIFICATE = '-----BEGIN CERTIFICATE-----';

export interface KeptAuthority extends EgressAuthority {
  readonly came: 'found' | 'made' | 'renewed';
}

/**
 * The authority kept in the file `path`: PEM of the key and of the certificate, in one file so that no two processes ever
 * see halves of two pairs. Made where there is none, and anew where it ends within 30 days or is for other domains than
 * `names`; whoever comes first makes it, and all others get the same. Errors: `config-invalid` where the file is open to
 * others, belongs to another user, holds no such pair, or cannot be made.
 */
export async function keptAuthority(path: string, names: readonly string[], now: Date): Promise<KeptAuthority> {
  try {
    const found = await readAuthority(path);
    if (found === undefined) return { ...(await makeFirst(path, names, now)), came: 'made' };
    const isEnding = found.validUntil.getTime() - now.getTime() < RENEWED_MILLISECONDS;
    if (!isEnding && (await isConstrainedTo(new X509Certificate(found.certificate), names))) {
      return { ...found, came: 'found' };
    }
    return { ...(await succeed(path, found, names, now)), came: 'renewed' };
  } catch (cause) {
    if (cause instanceof SidecarError && cause.code === 'config-invalid') throw cause;
    throw unusable(path, `cannot be used: ${asSidecarError(cause).detail ?? 'unknown'}`, cause);
  }
}

async function makeFirst(path: string, names: readonly string[], now: Date): Promise<EgressAuthority> {
  const aside = await writePair(path, names, now);
  await linkUnlessThere(aside, path);
  return await readMade(path);
}

/**
 * The one after `old`. Processes agree on it by a name that only one of them can make, and which stays: whoever read the
 * old one a moment ago and comes late finds it.
 */
async function succeed(
  path: string,
  old: EgressAuthority,
  names: readonly string[],
  now: Date,
): Promise<EgressAuthority> {
  const mark = hash('sha256', old.certificate, 'hex').slice(0, 16);
  const successor = `${path}.after-${mark}`;
  await removeSuccessors(path, successor);
  const aside = await writePair(path, names, now);
  await linkUnlessThere(aside, successor);
  const moving = `${aside}.moving`;
  await link(successor, moving);
  try {
    await rename(moving, path);
  } finally {
    // Nothing is renamed between two names of one file.
    await unlink(moving).catch(ignoreMissing);
  }
  return await readMade(path);
}

async function removeSuccessors(path: string, except: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.after-`) || name === basename(except)) continue;
    await unlink(join(folder, name)).catch(ignoreMissing);
  }
}

async function linkUnlessThere(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(aside);
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

async function writePair(path: string, names: readonly string[], now: Date): Promise<string> {
  const { key, certificate } = await makeAuthority(names, AUTHORITY_DAYS, now);
  // The lent bytes are gone when `use` returns, and writing takes longer.
  const content = exposePrivateKey(key, (pem) => Buffer.concat([pem, Buffer.from(certificate)]));
  try {
    return await writeAside(path, content, KEY_MODE);
  } finally {
    content.fill(0);
  }
}

async function readMade(path: string): Promise<EgressAuthority> {
  const made = await readAuthority(path);
  if (made === undefined) throw new Error('it went away as soon as it was made');
  return made;
}

/** Undefined where there is none. */
async function readAuthority(path: string): Promise<EgressAuthority | undefined> {
  const file = await openExisting(path);
  if (file === undefined) return undefined;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw unusable(path, 'is not a regular file');
    if ((stat.mode & 0o077) !== 0) throw unusable(path, `may be read by others: remove it, or chmod 600 ${path}`);
    const foreign = stat.uid !== 0 && stat.uid !== process.getuid?.();
    if (process.getuid !== undefined && foreign)
      throw unusable(path, 'belongs to another user: remove it, or chown it');
    if (stat.size > FILE_BYTES_MAX) throw noPair(path);
    const bytes = Buffer.allocUnsafeSlow(stat.size);
    try {
      const { bytesRead } = await file.read(bytes, 0, stat.size, 0);
      return parsePair(path, bytes.subarray(0, bytesRead));
    } finally {
      bytes.fill(0);
    }
  } finally {
    await file.close();
  }
}

function parsePair(path: string, bytes: Buffer): EgressAuthority {
  const at = bytes.indexOf(BEGIN_CERTIFICATE);
  if (at < 0) throw noPair(path);
  let key: KeyObject;
  let certificate: X509Certificate;
  try {
    key = createPrivateKey({ key: bytes.subarray(0, at), format: 'pem' });
    certificate = new X509Certificate(bytes.subarray(at));
  } catch {
    // What could not be read is not quoted: it may be a key.
    throw noPair(path);
  }
  const isEc = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === P256;
  const isPair =
    isEc && certificate.ca && certificate.checkPrivateKey(key) && certificate.verify(certificate.publicKey);
  if (!isPair) throw noPair(path);
  return { key, certificate: certificate.toString(), validUntil: certificate.validToDate };
}

function noPair(path: string): SidecarError {
  return unusable(path, 'holds no authority: remove it, and the next start makes a new one');
}

function unusable(path: string, what: string, cause?: unknown): SidecarError {
  return new SidecarError('config-invalid', { detail: `the key of the egress authority ${path} ${what}`, cause });
}
