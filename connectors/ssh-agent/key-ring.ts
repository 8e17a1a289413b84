import { type Credentials, lineOf, Secret, SidecarError } from 'secretless-sidecar/connector';
import {
  fingerprint,
  type PrivateKey,
  readCertificate,
  readPrivateKey,
  readPublicLine,
  WireError,
} from 'secretless-sidecar/connector/ssh';
import { IDENTITIES_MAX } from './messages.ts';
import { keysAmong, type KeyNames } from './names.ts';
import { Offer, type OfferedKey } from './offer.ts';
import { readLifetime, readYes } from './texts.ts';

const COMMENT_LETTERS_MAX = 128;

/** What the configuration says of all keys. */
export interface RingOptions {
  readonly comment: string;
  /** Whether a person is asked for each signature, whatever the credentials say. */
  readonly isConfirmed: boolean;
}

/** The keys of one version of the credentials. */
export interface KeyRing {
  readonly offer: Offer;
  /** By fingerprint. */
  readonly keys: ReadonlyMap<string, PrivateKey>;
  /** Why a key or a certificate is not offered, each with the name of its credential; quotes nothing. */
  readonly problems: readonly string[];
}

interface ReadKey {
  readonly key?: PrivateKey;
  readonly offered: readonly OfferedKey[];
  readonly problems: readonly string[];
}

/**
 * Reads all keys, those with a passphrase on threads of their own. One that cannot be read does not keep the others from
 * being offered. Errors: `credential-unfit` where none can be read, or where a text that restricts their use is unclear.
 */
export async function readKeyRing(credentials: Credentials, version: string, options: RingOptions): Promise<KeyRing> {
  const names = keysAmong(credentials.names);
  const settings = readSettings(credentials, options);
  const base = credentials.has('comment') ? commentOf(credentials) : options.comment;
  const read = await Promise.all(
    names.map((of) => readKey(credentials, of, names.length === 1 ? base : `${base} (${of.key})`)),
  );
  const problems = read.flatMap((one) => one.problems);
  const keys = new Map(read.flatMap(({ key }) => (key === undefined ? [] : [[fingerprint(key.publicBlob), key]])));
  if (keys.size === 0) throw new SidecarError('credential-unfit', { detail: problems.join('; ') || 'there is no key' });
  const offered = distinct(read.flatMap((one) => one.offered));
  if (offered.length > IDENTITIES_MAX) {
    throw new SidecarError('credential-unfit', { detail: `${offered.length} keys and certificates` });
  }
  return { offer: new Offer(version, offered, settings), keys, problems };
}

function readSettings(credentials: Credentials, { isConfirmed }: RingOptions): ConstructorParameters<typeof Offer>[2] {
  const read = <Value>(name: string, reader: (text: string) => Value | undefined, absent: Value): Value => {
    if (!credentials.has(name)) return absent;
    const value = reader(lineOf(credentials.get(name), name));
    if (value === undefined) throw new SidecarError('credential-unfit', { detail: `credential "${name}" is unclear` });
    return value;
  };
  const lifetimeSeconds = read('lifetime', readLifetime, 0);
  return { lifetimeSeconds, isConfirmed: read('confirm', readYes, false) || isConfirmed };
}

function commentOf(credentials: Credentials): string {
  return lineOf(credentials.get('comment'), 'comment').slice(0, COMMENT_LETTERS_MAX);
}

async function readKey(credentials: Credentials, names: KeyNames, comment: string): Promise<ReadKey> {
  const passphrase = credentials.has(names.passphrase) ? passphraseOf(credentials, names) : undefined;
  try {
    const key = await readPrivateKey(credentials.get(names.key), passphrase);
    const plain = { blob: key.publicBlob, comment, fingerprint: fingerprint(key.publicBlob) };
    if (!credentials.has(names.certificate)) return { key, offered: [plain], problems: [] };
    return { key, ...withCertificate(credentials, names.certificate, plain) };
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== 'credential-unfit') throw error;
    return { offered: [], problems: [`credential "${names.key}": ${error.detail ?? 'it cannot be used'}`] };
  } finally {
    passphrase?.wipe();
  }
}

/** Without the line break that files end with. */
function passphraseOf(credentials: Credentials, { passphrase }: KeyNames): Secret {
  return credentials.get(passphrase).expose((bytes) => {
    let end = bytes.length;
    if (end > 0 && bytes[end - 1] === 0x0a) end -= 1;
    if (end > 0 && bytes[end - 1] === 0x0d && end < bytes.length) end -= 1;
    return new Secret(bytes.subarray(0, end));
  });
}

/** The certificate comes first: a client tries what is listed in its order, and a server lets it try a few times. */
function withCertificate(credentials: Credentials, name: string, plain: OfferedKey): Omit<ReadKey, 'key'> {
  const unfit = (why: string): Omit<ReadKey, 'key'> => ({
    offered: [plain],
    problems: [`credential "${name}": ${why}`],
  });
  try {
    const certificate = readCertificate(readPublicLine(lineOf(credentials.get(name), name)).blob);
    if (!certificate.key.blob.equals(plain.blob)) return unfit('a certificate of another key');
    if (certificate.kind !== 'user') return unfit('a certificate of a host, and of no user');
    const { blob, validBefore } = certificate;
    return { offered: [{ ...plain, blob, validBefore }, plain], problems: [] };
  } catch (error) {
    if (error instanceof WireError) return unfit(`it cannot be used: ${error.message}`);
    if (error instanceof SidecarError) return unfit(error.detail ?? 'it cannot be used');
    throw error;
  }
}

/** The same key under two names is one key. */
function distinct(keys: readonly OfferedKey[]): readonly OfferedKey[] {
  return keys.filter((key, at) => keys.findIndex(({ blob }) => blob.equals(key.blob)) === at);
}
