import { type PublicKey, readPublicFields, readPublicKey } from './public-key.ts';
import { isSignedBy, SIGNATURE_BYTES_MAX } from './signature.ts';
import { strings, WireError, WireReader } from './wire.ts';

/** What OpenSSH calls a certificate of a key type: `ssh-ed25519` is certified as `ssh-ed25519-cert-v01@openssh.com`. */
export const CERTIFICATE_SUFFIX = '-cert-v01@openssh.com';
const CERTIFICATE_BYTES_MAX = 64 * 1024;
/** OpenSSH `SSHKEY_CERT_MAX_PRINCIPALS`. */
const PRINCIPALS_MAX = 256;
const OPTIONS_MAX = 64;

/** A certificate as OpenSSH `PROTOCOL.certkeys` has it; its signature is that of `authority`. */
export interface Certificate {
  /** With the suffix. */
  readonly type: string;
  readonly blob: Buffer;
  /** The key that is certified. */
  readonly key: PublicKey;
  readonly kind: 'user' | 'host';
  readonly serial: bigint;
  /** What the authority calls it. */
  readonly keyId: string;
  /** Users, or hosts. Empty: any. */
  readonly principals: readonly string[];
  /** Seconds since 1970: it is valid from then on … */
  readonly validFrom: bigint;
  /** … and before then. 2^64 - 1: for ever. */
  readonly validBefore: bigint;
  readonly criticalOptions: ReadonlyMap<string, string>;
  readonly extensions: ReadonlyMap<string, string>;
  readonly authority: PublicKey;
}

export function isCertificateType(type: string): boolean {
  return type.endsWith(CERTIFICATE_SUFFIX);
}

/** The certificate of a blob. Errors: `WireError` where it is none, or its authority did not sign it. */
export function readCertificate(blob: Uint8Array): Certificate {
  if (blob.length > CERTIFICATE_BYTES_MAX) throw new WireError(`a certificate of ${blob.length} bytes`);
  const own = Buffer.from(blob);
  const reader = new WireReader(own);
  const type = reader.name();
  if (!isCertificateType(type)) throw new WireError('a key, and no certificate');
  const algorithm = type.slice(0, -CERTIFICATE_SUFFIX.length);
  reader.string(64); // nonce
  const begin = reader.position;
  readPublicFields(algorithm, reader);
  const key = readPublicKey(Buffer.concat([strings(algorithm), own.subarray(begin, reader.position)]));
  const serial = reader.uint64();
  const kind = reader.uint32();
  if (kind !== 1 && kind !== 2) throw new WireError('a certificate neither of a user nor of a host');
  const keyId = reader.text(4096);
  const principals = readPrincipals(reader.string());
  const validFrom = reader.uint64();
  const validBefore = reader.uint64();
  const criticalOptions = readOptions(reader.string());
  const extensions = readOptions(reader.string());
  reader.string(); // reserved
  // An authority is a key: a certificate that signs would make a chain, which the format does not have.
  const authority = readPublicKey(reader.string());
  const signed = own.subarray(0, reader.position);
  const signature = reader.string(SIGNATURE_BYTES_MAX);
  reader.end();
  if (!isSignedBy(authority, signed, signature)) throw new WireError('a certificate that its authority did not sign');
  const names = { keyId, principals, criticalOptions, extensions };
  const validity = { serial, validFrom, validBefore };
  return { type, blob: own, key, kind: kind === 1 ? 'user' : 'host', ...validity, ...names, authority };
}

function readPrincipals(bytes: Buffer): readonly string[] {
  const reader = new WireReader(bytes);
  const principals: string[] = [];
  while (reader.left > 0) {
    if (principals.length === PRINCIPALS_MAX) throw new WireError('too many principals');
    const principal = reader.text(1024);
    if (principal === '' || principal.includes('\0')) throw new WireError('a principal without a name');
    principals.push(principal);
  }
  return principals;
}

/** Names with their values; a value that is a string in a string is unpacked, as all that are defined are. */
function readOptions(bytes: Buffer): ReadonlyMap<string, string> {
  const reader = new WireReader(bytes);
  const options = new Map<string, string>();
  while (reader.left > 0) {
    if (options.size === OPTIONS_MAX) throw new WireError('too many options');
    const name = reader.text(256);
    const packed = new WireReader(reader.string(8192));
    if (options.has(name)) throw new WireError('an option that is there twice');
    options.set(name, packed.left === 0 ? '' : packed.text(8192));
    packed.end();
  }
  return options;
}

export type CertificateProblem = 'wrong-kind' | 'not-yet-valid' | 'expired' | 'wrong-principal' | 'critical-option';

export interface CertificateUse {
  readonly kind: 'user' | 'host';
  /** User name, or name of the host. */
  readonly principal: string;
  readonly now: Date;
}

/**
 * Why the certificate does not serve for that use; undefined where it does. Whether its authority is trusted is the
 * caller's to know. A host must be named; no critical option is defined for hosts, so each refuses.
 */
export function certificateProblem(certificate: Certificate, use: CertificateUse): CertificateProblem | undefined {
  if (certificate.kind !== use.kind) return 'wrong-kind';
  const seconds = BigInt(Math.floor(use.now.getTime() / 1000));
  if (seconds < certificate.validFrom) return 'not-yet-valid';
  if (seconds >= certificate.validBefore) return 'expired';
  const isAny = certificate.principals.length === 0 && use.kind === 'user';
  if (!isAny && !certificate.principals.includes(use.principal)) return 'wrong-principal';
  if (use.kind === 'host' && certificate.criticalOptions.size > 0) return 'critical-option';
  return undefined;
}
