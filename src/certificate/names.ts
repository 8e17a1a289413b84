import { isIP } from 'node:net';
import { SidecarError } from '../error.ts';
import { loadForge, sequence, tagged, toDer } from './x509.ts';

const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const DNS_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const DNS_NAME_CHARACTERS_MAX = 253;

/** A DNS name in ASCII, without wildcard or dot at the end. */
export function isDnsName(name: string): boolean {
  return name.length <= DNS_NAME_CHARACTERS_MAX && isIP(name) === 0 && DNS_NAME.test(name);
}

/** An address that a certificate can hold: without zone. */
export function isAddress(name: string): boolean {
  return isIP(name) !== 0 && !name.includes('%');
}

/** Whether `host` is one of `names` or below one. With no names any host is. */
export function isWithin(host: string, names: readonly string[]): boolean {
  return names.length === 0 || names.some((name) => host === name || host.endsWith(`.${name}`));
}

/** Lower case, sorted, each once. Errors: `config-invalid` where one is no DNS name. */
export function canonicalNames(names: readonly string[]): readonly string[] {
  for (const name of names) {
    if (isDnsName(name)) continue;
    throw new SidecarError('config-invalid', {
      detail: `\`${name}\` in the names of the egress authority is no domain`,
    });
  }
  return [...new Set(names.map((name) => name.toLowerCase()))].sort();
}

const DNS = 2;
const IP = 7;

/**
 * What an authority may sign (RFC 5280 section 4.2.1.10): these domains and what is below them, and no address, as a
 * constraint of one form of name says nothing of the others.
 */
export async function nameConstraints(
  names: readonly string[],
): Promise<{ readonly id: string; readonly critical: true; readonly value: string }> {
  const forge = await loadForge();
  const permitted = names.map((name) => sequence(forge, [tagged(forge, DNS, name)]));
  // Address and mask of no length: every IPv4 and every IPv6 address.
  const excluded = [8, 32].map((bytes) => sequence(forge, [tagged(forge, IP, '\0'.repeat(bytes))]));
  const value = toDer(forge, sequence(forge, [tagged(forge, 0, permitted), tagged(forge, 1, excluded)]));
  return { id: '2.5.29.30', critical: true, value: value.toString('latin1') };
}
