import { type KeyObject, sign } from 'node:crypto';
import {
  type Certificate,
  CERTIFICATE_SUFFIX,
  PrivateKey,
  publicKeyOf,
  type SignatureAlgorithm,
  signatureAlgorithmsOf,
} from 'secretless-sidecar/connector/ssh';
import type { Ssh2HostKey } from './ssh2-protocol.ts';
import { SshError } from './ssh-error.ts';

/** One way to prove a key to the upstream. */
export interface LoginAlgorithm {
  /** Name in the request: for a certificate that of the certificate (`ssh-ed25519-cert-v01@openssh.com`). */
  readonly request: string;
  /** Name in the signature: always that of the bare key. */
  readonly signature: SignatureAlgorithm;
}

/** A key, or a key with a certificate, that logs in upstream. The private half stays behind `sign`. */
export interface LoginKey {
  /** Public key or certificate as it goes over the wire. */
  readonly blob: Uint8Array;
  /** Best first; which the upstream takes it says in its EXT_INFO, if at all. */
  readonly algorithms: readonly LoginAlgorithm[];
  /** A signature as SSH writes it (RFC 4253 §6.6). */
  sign(message: Uint8Array, algorithm: SignatureAlgorithm): Promise<Uint8Array>;
}

/**
 * A login key of a private key that we hold, with the user certificate that was made for it. RSA signs with SHA-512 or
 * SHA-256, never SHA-1. Errors: `unfit` where the certificate is for another key; `WireError` where SSH has no such key.
 */
export function loginKey(key: PrivateKey | KeyObject, certificate?: Certificate): LoginKey {
  const held = key instanceof PrivateKey ? key : new PrivateKey(key, publicKeyOf(key));
  if (certificate !== undefined && !certificate.key.blob.equals(held.publicBlob)) {
    throw new SshError('unfit', 'the certificate does not belong to the key');
  }
  const suffix = certificate === undefined ? '' : CERTIFICATE_SUFFIX;
  return {
    blob: certificate?.blob ?? held.publicBlob,
    algorithms: signatureAlgorithmsOf(held.algorithm).map((name) => ({ request: name + suffix, signature: name })),
    sign: (message, algorithm) => held.sign(message, algorithm),
  };
}

/** The sidecar's own host key, an ed25519 one, as the transport needs it. Errors: `unfit` for other kinds. */
export function hostKeyOf(key: KeyObject): Ssh2HostKey {
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519') {
    throw new SshError('unfit', 'the host key must be a private ed25519 key');
  }
  const { blob } = publicKeyOf(key);
  return { type: 'ssh-ed25519', getPublicSSH: () => blob, sign: (hash) => sign(null, hash, key) };
}
