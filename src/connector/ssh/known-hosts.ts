import { type Certificate, certificateProblem, isCertificateType, readCertificate } from './certificate.ts';
import { type HostMatch, readHostPatterns } from './host-pattern.ts';
import { LINE_LETTERS_MAX, typedBlob } from './public-line.ts';
import { WireError } from './wire.ts';

const LINES_MAX = 100_000;
const TEXT_LETTERS_MAX = 16 * 1024 * 1024;

export interface HostName {
  /** A name or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * `trusted`: connect. `unknown`: nothing is known of the host. `changed`: it is known by other keys. `revoked`: this
 * very key or authority is refused, whatever else says that it is known.
 */
export type HostVerdict = 'trusted' | 'unknown' | 'changed' | 'revoked';

interface KnownHost {
  readonly marker: 'key' | 'authority' | 'revoked';
  readonly isAbout: HostMatch;
  readonly type: string;
  readonly blob: Buffer;
}

/** What `known_hosts` says: plain and hashed names, `[host]:port`, patterns, `@cert-authority`, `@revoked`. */
export class KnownHosts {
  readonly #hosts: readonly KnownHost[];

  /**
   * Errors: `WireError` with the number of the first line that cannot be read. No line is passed over, because one
   * that is could be the one that revokes. Types of keys that are not known are kept, as bytes to compare.
   */
  constructor(text: string) {
    if (text.length > TEXT_LETTERS_MAX) throw new WireError(`known hosts of ${text.length} letters`);
    const lines = text.split(/\r?\n/);
    if (lines.length > LINES_MAX) throw new WireError(`${lines.length} lines of known hosts`);
    this.#hosts = lines.flatMap((line, index) => {
      const trimmed = line.trim();
      if (trimmed === '' || trimmed.startsWith('#')) return [];
      try {
        return [readLine(trimmed)];
      } catch (error) {
        if (error instanceof WireError) throw new WireError(`line ${index + 1} of the known hosts: ${error.message}`);
        throw error;
      }
    });
  }

  /** What to make of the key or certificate that a host shows. */
  verdict(name: HostName, blob: Uint8Array, now: Date): HostVerdict {
    const { certificate, keys } = readShown(blob);
    const about = this.#about(name);
    const isKnownAs = (marker: KnownHost['marker'], key: Uint8Array): boolean =>
      about.some((host) => host.marker === marker && host.blob.equals(key));
    if (keys.some((key) => isKnownAs('revoked', key))) return 'revoked';
    if (certificate !== undefined && isKnownAs('authority', certificate.authority.blob)) {
      const problem = certificateProblem(certificate, { kind: 'host', principal: name.host.toLowerCase(), now });
      return problem === undefined ? 'trusted' : 'changed';
    }
    // As OpenSSH does: the certificate of an authority that is not known is worth what its key is.
    if (isKnownAs('key', certificate?.key.blob ?? blob)) return 'trusted';
    return about.every(({ marker }) => marker === 'revoked') ? 'unknown' : 'changed';
  }

  /** Types of the keys that the host is known by: what to ask it for. */
  types(name: HostName): readonly string[] {
    const types = this.#about(name).filter(({ marker }) => marker === 'key');
    return [...new Set(types.map(({ type }) => type))];
  }

  /** Whether certificates of the host can be trusted at all. */
  hasAuthority(name: HostName): boolean {
    return this.#about(name).some(({ marker }) => marker === 'authority');
  }

  #about({ host, port }: HostName): readonly KnownHost[] {
    const lower = host.toLowerCase();
    const name = port === 22 ? lower : `[${lower}]:${port}`;
    return this.#hosts.filter(({ isAbout }) => isAbout(name));
  }
}

/** What a host shows: its certificate, where it is one, and all keys that it stands for. */
function readShown(blob: Uint8Array): { readonly certificate?: Certificate; readonly keys: readonly Uint8Array[] } {
  const type = Buffer.from(blob.subarray(4, 68)).toString('latin1');
  if (!type.includes('-cert-v0')) return { keys: [blob] };
  try {
    const certificate = readCertificate(blob);
    return { certificate, keys: [blob, certificate.key.blob, certificate.authority.blob] };
  } catch (error) {
    if (error instanceof WireError) return { keys: [blob] };
    throw error;
  }
}

function readLine(line: string): KnownHost {
  if (line.length > LINE_LETTERS_MAX) throw new WireError('it is too long');
  const [, mark, names, rest] = /^(?:(@\S+)[ \t]+)?(\S+)[ \t]+(.*)$/.exec(line) ?? [];
  if (names === undefined || rest === undefined) throw new WireError('it has no names and key');
  const marker = mark === undefined ? 'key' : MARKERS[mark];
  if (marker === undefined) throw new WireError('its marker is not known');
  const key = typedBlob(rest);
  if (key === undefined) throw new WireError('it has no type of key with its Base64');
  if (isCertificateType(key.type)) throw new WireError('it has a certificate in place of a key');
  return { marker, isAbout: readHostPatterns(names), type: key.type, blob: key.blob };
}

const MARKERS: Readonly<Record<string, KnownHost['marker']>> = {
  '@cert-authority': 'authority',
  '@revoked': 'revoked',
};
