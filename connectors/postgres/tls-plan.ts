import {
  type Asking,
  compute,
  lineOf,
  readPem,
  type Secret,
  SidecarError,
  type TlsClientOptions,
} from 'secretless-sidecar/connector';
import type { Settings } from './settings.ts';
import type { Target } from './target.ts';
import type { SslMode, SslNegotiation } from './words.ts';

/** The protocol's name in ALPN (IANA registry, PostgreSQL 17). */
export const ALPN = 'postgresql';

/** One way to connect to a target; the next is tried where this one is refused for it. */
export interface Attempt {
  /** `offered`: where the upstream says no, the login goes on in plain. */
  readonly tls: 'no' | 'offered' | 'required';
  readonly verify: TlsClientOptions['verify'];
}

/** What TLS needs from files or credentials, read once for a login. */
export interface TlsMaterial {
  /** PEM, or `system`. */
  readonly authorities: string | undefined;
  readonly certificate: string | undefined;
  readonly key: Secret | undefined;
}

/** libpq, "Protection Provided in Different Modes"; verify-full off this machine where nothing is said. */
export function attemptsFor(target: Target, sslmode: SslMode | undefined, authorities: string | undefined): Attempt[] {
  if (target.socket) return [{ tls: 'no', verify: 'none' }];
  // libpq: a weaker mode beside `system` is refused, since anybody may have a certificate of a public authority.
  const mode = authorities === 'system' ? 'verify-full' : (sslmode ?? (target.local ? 'prefer' : 'verify-full'));
  const plain = { tls: 'no', verify: 'none' } as const;
  switch (mode) {
    case 'disable':
      return [plain];
    case 'allow':
      return [plain, { tls: 'required', verify: 'none' }];
    case 'prefer':
      return [{ tls: 'offered', verify: 'none' }, plain];
    case 'require':
      return [{ tls: 'required', verify: authorities === undefined ? 'none' : 'chain' }];
    case 'verify-ca':
      return [{ tls: 'required', verify: 'chain' }];
    case 'verify-full':
      return [{ tls: 'required', verify: 'full' }];
    default:
      return mode satisfies never;
  }
}

/** Errors: `config-invalid`. libpq: TLS without asking first needs a mode that does not go on in plain. */
export function refuseWeakDirect(negotiation: SslNegotiation, attempts: readonly Attempt[]): void {
  if (negotiation === 'direct' && attempts.some(({ tls }) => tls !== 'required')) {
    throw new SidecarError('config-invalid', { detail: 'sslnegotiation direct needs sslmode require or stronger' });
  }
}

/** Reads what is in files. Errors: `credential-unfit`. */
export function* tlsMaterial({ sslrootcert, sslcert, sslkey }: Settings): Asking<TlsMaterial> {
  if ((sslcert === undefined) !== (sslkey === undefined)) {
    throw new SidecarError('credential-unfit', { detail: '"sslcert" and "sslkey" belong together' });
  }
  return {
    authorities: yield* pemText(sslrootcert, 'sslrootcert', ['system']),
    certificate: yield* pemText(sslcert, 'sslcert'),
    key: sslkey === undefined ? undefined : yield* pemSecret(sslkey, 'sslkey'),
  };
}

/** Options for one session; the key in them is a copy, which the session overwrites. */
export function tlsOptions(
  { host }: Target,
  { verify }: Attempt,
  { authorities, certificate, key }: TlsMaterial,
  sslhost: string | undefined,
): TlsClientOptions {
  return {
    servername: sslhost ?? host,
    verify,
    alpn: [ALPN],
    ...(authorities === undefined || verify === 'none' ? {} : { ca: authorities }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key: key.expose((bytes) => Buffer.from(bytes)) }),
  };
}

function* pemText(secret: Secret | undefined, name: string, words: readonly string[] = []): Asking<string | undefined> {
  if (secret === undefined) return undefined;
  if (!isPem(secret) && words.includes(lineOf(secret, name))) return lineOf(secret, name);
  const pem = yield* pemSecret(secret, name);
  return pem.expose((bytes) => bytes.toString('utf8'));
}

function* pemSecret(secret: Secret, name: string): Asking<Secret> {
  if (isPem(secret)) return secret;
  const path = lineOf(secret, name);
  if (!path.startsWith('/')) {
    throw new SidecarError('credential-unfit', { detail: `credential "${name}" is neither PEM nor an absolute path` });
  }
  return yield* compute(() => readPem(path, name, 'credential-unfit'));
}

/** RFC 7468 section 2. */
function isPem(secret: Secret): boolean {
  return secret.expose((bytes) => bytes.includes('-----BEGIN'));
}
