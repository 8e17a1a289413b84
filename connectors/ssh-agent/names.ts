/** Credentials that are no keys; the first three say of all keys what CyberArk's broker lets them say of its one. */
export type ReservedName = 'comment' | 'lifetime' | 'confirm';

const RESERVED: ReadonlySet<string> = new Set<ReservedName>(['comment', 'lifetime', 'confirm']);
const PASSPHRASE = 'Passphrase';
const CERTIFICATE = 'Certificate';

/** Names of the credentials of one key. */
export interface KeyNames {
  readonly key: string;
  readonly passphrase: string;
  readonly certificate: string;
}

/** Names of what belongs to the key of that name. Those of `privateKey` are as in the connector `ssh`. */
export function namesOf(key: string): KeyNames {
  if (key === 'privateKey') return { key, passphrase: 'passphrase', certificate: 'certificate' };
  return { key, passphrase: `${key}${PASSPHRASE}`, certificate: `${key}${CERTIFICATE}` };
}

/** The key that a credential belongs to: itself, or the one whose passphrase or certificate it is. */
export function ownerOf(name: string): string | undefined {
  if (RESERVED.has(name)) return undefined;
  if (name === 'passphrase' || name === 'certificate') return 'privateKey';
  for (const ending of [PASSPHRASE, CERTIFICATE]) {
    if (name.endsWith(ending) && name.length > ending.length) return name.slice(0, -ending.length);
  }
  return name;
}

/** The keys among the credentials, in their order. */
export function keysAmong(names: readonly string[]): readonly KeyNames[] {
  return names.filter((name) => ownerOf(name) === name).map(namesOf);
}
