import {
  CERTIFICATE_SUFFIX,
  isCertificateType,
  readCertificate,
  type SignatureAlgorithm,
  WireError,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import { type Bindings, isSame, type ShownHost } from './bindings.ts';
import type { AgentRequest } from './messages.ts';
import { type LoginBytes, readSignedBytes } from './signed-bytes.ts';

/** What a signature would be good for: what policy decides on. */
export type Signing = LoginSigning | DocumentSigning;

export interface LoginSigning {
  readonly kind: 'login';
  readonly user: string;
  /** Where it logs in, proved by the host's own signature; absent: nobody says where. */
  readonly host?: ShownHost;
  /** Hosts on the way, the nearest first. */
  readonly via: readonly ShownHost[];
  /** True where a host on the way asks, and not a program beside the agent. */
  readonly forwarded: boolean;
}

export interface DocumentSigning {
  readonly kind: 'document';
  /** `git`, `file`, or any other. */
  readonly namespace: string;
  readonly via: readonly ShownHost[];
  readonly forwarded: boolean;
}

/** Why a request to sign is refused before any policy. */
export type SigningRefusal =
  /** A key that the agent does not hold. */
  | 'unknown-key'
  /** RSA with SHA-1. */
  | 'weak-hash'
  /** Neither a login nor an SSHSIG. */
  | 'unknown-bytes'
  /** A login that names another key or another algorithm than the request. */
  | 'other-key'
  /** A binding was refused before. */
  | 'broken-binding'
  /** A login to another session, or to another host, than the connection is bound to. */
  | 'other-session'
  /** A login to a session that the connection is only led through. */
  | 'forwarding-hop'
  /** A login behind a host on the way that does not name in what is signed where it goes. */
  | 'unnamed-host';

export type Described =
  { readonly signing: Signing; readonly algorithm: SignatureAlgorithm } | { readonly refusal: SigningRefusal };

export type SignRequest = Extract<AgentRequest, { ask: 'sign' }>;

/** What a request to sign is about, and with which algorithm; or why nothing is signed. */
export function describeSigning(request: SignRequest, bindings: Bindings): Described {
  const type = typeOf(request.blob);
  if (type === undefined) return { refusal: 'unknown-key' };
  const algorithm = algorithmOf(type, request.rsaHash);
  if (algorithm === undefined) return { refusal: 'weak-hash' };
  const signed = readSignedBytes(request.bytes);
  if (signed === undefined) return { refusal: 'unknown-bytes' };
  if (bindings.isBroken) return { refusal: 'broken-binding' };
  const { hosts, isForwarded: forwarded } = bindings;
  if (signed.kind === 'document') {
    return { algorithm, signing: { kind: 'document', namespace: signed.namespace, via: hosts, forwarded } };
  }
  const isCertified = isCertificateType(typeOf(signed.blob) ?? '');
  const named = isCertified ? `${algorithm}${CERTIFICATE_SUFFIX}` : algorithm;
  if (!isOfKey(signed.blob, request.blob) || signed.algorithm !== named) return { refusal: 'other-key' };
  const refusal = bindingRefusal(signed, bindings);
  if (refusal !== undefined) return { refusal };
  const host = hosts.at(-1);
  const destination = host === undefined ? {} : { host };
  return {
    algorithm,
    signing: { kind: 'login', user: signed.user, ...destination, via: hosts.slice(0, -1), forwarded },
  };
}

/**
 * OpenSSH `ssh-agent.c`, process_sign_request2: the session must be the one that was bound last, and bound to log in. A host
 * proves by its signature that a session is its own, and nobody keeps a dishonest one from signing the identifier of a
 * session that it has with another: behind a host on the way the login itself names the host, so that it is good nowhere else.
 */
function bindingRefusal(login: LoginBytes, bindings: Bindings): SigningRefusal | undefined {
  const last = bindings.all.at(-1);
  if (last === undefined) return undefined;
  if (!isSame(last.sessionId, login.sessionId)) return 'other-session';
  if (login.hostKey !== undefined && !isSame(last.host.blob, login.hostKey)) return 'other-session';
  if (last.isForwarding) return 'forwarding-hop';
  return login.hostKey === undefined && bindings.all.length > 1 ? 'unnamed-host' : undefined;
}

/** The algorithm to sign with; undefined where it would be RSA with SHA-1. */
function algorithmOf(type: string, rsaHash: SignRequest['rsaHash']): SignatureAlgorithm | undefined {
  const plain = isCertificateType(type) ? type.slice(0, -CERTIFICATE_SUFFIX.length) : type;
  // Of a type that is not known there is no key, and so no signature.
  if (plain !== 'ssh-rsa') return plain as SignatureAlgorithm;
  if (rsaHash === 'none') return undefined;
  return rsaHash === 'sha256' ? 'rsa-sha2-256' : 'rsa-sha2-512';
}

/**
 * Whether a login shows the key that is to sign. OpenSSH has a login with a certificate signed by the key alone, where
 * the agent lists that too (`sshconnect2.c`, sign_and_send_pubkey).
 */
function isOfKey(shown: Buffer, key: Buffer): boolean {
  if (isSame(shown, key)) return true;
  try {
    const certificate = readCertificate(shown);
    return certificate.kind === 'user' && isSame(certificate.key.blob, key);
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

/** The first word of a blob; undefined where it has none. */
function typeOf(blob: Buffer): string | undefined {
  try {
    return new WireReader(blob).name();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
