import { X509Certificate } from 'node:crypto';
import { exposePrivateKey } from '../certificate/key.ts';
import type { Kept } from './rotation.ts';
import { readServingIdentity, type ServingIdentity } from './serving-identity.ts';

/** How `Kept` stands in a Secret: `tls.*` and `ca.crt` as everybody names them, the others beside them. */
const KEYS = {
  authority: 'ca.crt',
  certificate: 'tls.crt',
  key: 'tls.key',
} as const;
const NEXT = 'next-';
const BEFORE = 'before-ca.crt';

export type SecretEntries = Readonly<Record<string, string>>;

/** Contents of a Secret, in base64 as the API has them; undefined where they are nothing that can be served for `host`. */
export function readKept(entries: SecretEntries, host: string, now: Date): Kept | undefined {
  const current = readIdentity(entries, '', host);
  if (current === undefined) return undefined;
  const next = readIdentity(entries, NEXT, host);
  const before = textOf(entries, BEFORE);
  return {
    current,
    ...(next === undefined ? {} : { next }),
    ...(isGood(before, now) ? { before } : {}),
  };
}

function readIdentity(entries: SecretEntries, prefix: string, host: string): ServingIdentity | undefined {
  const key = Buffer.from(entries[`${prefix}${KEYS.key}`] ?? '', 'base64');
  try {
    const authority = textOf(entries, `${prefix}${KEYS.authority}`);
    return readServingIdentity(host, authority, textOf(entries, `${prefix}${KEYS.certificate}`), key);
  } finally {
    key.fill(0);
  }
}

function textOf(entries: SecretEntries, name: string): string {
  return Buffer.from(entries[name] ?? '', 'base64').toString('latin1');
}

function isGood(certificate: string, now: Date): boolean {
  try {
    return new X509Certificate(certificate).validToDate > now;
  } catch {
    return false;
  }
}

/** The same the other way: in base64, since the API takes text. */
export function writeKept({ current, next, before }: Kept): SecretEntries {
  return {
    ...writeIdentity(current, ''),
    ...(next === undefined ? {} : writeIdentity(next, NEXT)),
    ...(before === undefined ? {} : { [BEFORE]: base64(before) }),
  };
}

function writeIdentity({ authority, certificate, key }: ServingIdentity, prefix: string): SecretEntries {
  return {
    [`${prefix}${KEYS.authority}`]: base64(authority),
    [`${prefix}${KEYS.certificate}`]: base64(certificate),
    [`${prefix}${KEYS.key}`]: exposePrivateKey(key, (pem) => pem.toString('base64')),
  };
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}
