import { createHmac, randomBytes } from 'node:crypto';
import type { Secret } from './secret.ts';

/** Lives and dies with the process, so that a version in a ledger cannot be used to test guesses of a weak secret. */
const KEY = randomBytes(32);
const HEX_DIGITS = 12;

const versions = new WeakMap<Secret, string>();

/** 12 hex digits that change with the bytes: HMAC-SHA-256 (RFC 2104) under the key of this process, shortened. */
export function versionOf(secret: Secret): string {
  const known = versions.get(secret);
  if (known !== undefined) return known;
  const version = secret.expose(hmac);
  versions.set(secret, version);
  return version;
}

/** One version for all credentials of a service; changes when any name or version does. */
export function combineVersions(byName: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(byName).sort(([a], [b]) => (a < b ? -1 : 1));
  return hmac(JSON.stringify(pairs));
}

function hmac(content: Buffer | string): string {
  return createHmac('sha256', KEY).update(content).digest('hex').slice(0, HEX_DIGITS);
}
