/** An entry of `hosts`: a fingerprint, or a line of `known_hosts` (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). */
export type HostEntry =
  /** `SHA256:` and unpadded Base64. */
  | { readonly kind: 'pin'; readonly fingerprint: string }
  | { readonly kind: 'key' | 'revoked'; readonly blob: Buffer }
  /** `line` is whole: names of hosts in front of the authority's key. */
  | { readonly kind: 'authority'; readonly line: string };

/** Undefined where it is neither. In front of a key there may be names, a marker and names, or nothing. */
export function readHostEntry(entry: string): HostEntry | undefined {
  const [, pin] = /^(SHA256:[A-Za-z0-9+/]{43})=?$/.exec(entry) ?? [];
  if (pin !== undefined) return isCanonical(pin) ? { kind: 'pin', fingerprint: pin } : undefined;
  const words = entry.trim().split(/[ \t]+/);
  // In a file that is a comment: somebody may have taken the host out that way.
  if (words[0]?.startsWith('#') === true) return undefined;
  const marker = words[0]?.startsWith('@') === true ? words.shift() : undefined;
  const isKeyAlone = marker === undefined && blobOf(words) !== undefined;
  // Names that are all of hosts which it is not: in a file, a line about nobody.
  if (!isKeyAlone && words[0]?.split(',').every((name) => name.startsWith('!')) === true) return undefined;
  const blob = blobOf(isKeyAlone ? words : words.slice(1));
  if (blob === undefined) return undefined;
  if (marker === undefined) return { kind: 'key', blob };
  if (marker === '@revoked') return { kind: 'revoked', blob };
  return marker === '@cert-authority' ? { kind: 'authority', line: entry.trim() } : undefined;
}

/** The last letter of a fingerprint has two bits that belong to no byte. */
function isCanonical(pin: string): boolean {
  const base64 = pin.slice('SHA256:'.length);
  return Buffer.from(base64, 'base64').toString('base64') === `${base64}=`;
}

/** The key of a type, its Base64 and whatever follows; undefined where the Base64 does not begin with that very type. */
function blobOf([type, base64]: readonly string[]): Buffer | undefined {
  if (type === undefined || base64 === undefined || type.includes('-cert-v0')) return undefined;
  const blob = Buffer.from(base64, 'base64');
  if (blob.toString('base64') !== base64 || blob.length < 4) return undefined;
  const name = blob.subarray(4, 4 + blob.readUInt32BE());
  return name.toString('latin1') === type ? blob : undefined;
}
