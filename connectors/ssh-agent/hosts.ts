import {
  type Certificate,
  fingerprint,
  isCertificateType,
  KnownHosts,
  readCertificate,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import type { ShownHost } from './bindings.ts';
import { readHostEntry } from './host-entry.ts';

/**
 * Hosts that logins may go to. An agent hears of keys and never of names, so a line of `known_hosts` stands for its key,
 * whatever name is in front; the names of a `@cert-authority` are held against those in the host's certificate.
 */
export class HostList {
  readonly #fingerprints = new Set<string>();
  readonly #revoked = new Set<string>();
  readonly #authorities: KnownHosts;

  /** Errors: `WireError` where the names of an authority cannot be read. Entries that `readHostEntry` refuses are none. */
  constructor(entries: readonly string[]) {
    const authorities: string[] = [];
    for (const text of entries) {
      const entry = readHostEntry(text);
      if (entry?.kind === 'pin') this.#fingerprints.add(entry.fingerprint);
      else if (entry?.kind === 'authority') authorities.push(entry.line);
      else if (entry?.kind === 'revoked') this.#revoked.add(fingerprint(entry.blob));
      else if (entry !== undefined) this.#fingerprints.add(fingerprint(entry.blob));
    }
    this.#authorities = new KnownHosts(authorities.join('\n'));
  }

  allows(host: ShownHost, now: Date): boolean {
    const certificate = certificateOf(host.blob);
    const authority = certificate === undefined ? [] : [fingerprint(certificate.authority.blob)];
    if ([host.fingerprint, ...authority].some((known) => this.#revoked.has(known))) return false;
    if (this.#fingerprints.has(host.fingerprint)) return true;
    const names = certificate?.principals ?? [];
    // The line of an authority has no port where it is 22, and no agent hears of another.
    return names.some((name) => this.#authorities.verdict({ host: name, port: 22 }, host.blob, now) === 'trusted');
  }
}

/** What a host showed has been read before: what says that it is a certificate is one. */
function certificateOf(blob: Buffer): Certificate | undefined {
  return isCertificateType(new WireReader(blob).name()) ? readCertificate(blob) : undefined;
}
