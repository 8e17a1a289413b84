import { CERTIFICATE_SUFFIX } from 'secretless-sidecar/connector/ssh';
import { SshError } from './ssh-error.ts';
import type { Negotiated, Ssh2Config } from './ssh2-protocol.ts';

/**
 * Names of algorithms, best first. No SHA-1, no CBC, nothing below 112 bits, and no compression: what is compressed can
 * be made to expand without end.
 */
export interface Algorithms {
  readonly kex: readonly string[];
  readonly hostKey: readonly string[];
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
}

const KEX = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group14-sha256',
];
const GCM = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'];
const CTR = ['aes256-ctr', 'aes192-ctr', 'aes128-ctr'];
const CHACHA20 = 'chacha20-poly1305@openssh.com';
const MAC = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'];

export const HOST_KEY_ALGORITHMS: readonly string[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];

/** Where an authority is known that certifies host keys; offered only then. */
const CERTIFIED_HOST_KEYS: readonly string[] = HOST_KEY_ALGORITHMS.map((name) => name + CERTIFICATE_SUFFIX);

/** What a client would have us compute with it keeps everybody else waiting for 25 ms, as often as it likes. */
const COSTLY = 'diffie-hellman-group18-sha512';

/** Towards the downstream, whose order decides: GCM alone would leave out libssh2 before 1.11 and old paramiko. */
export const SERVER_ALGORITHMS: Algorithms = {
  kex: KEX.filter((name) => name !== COSTLY),
  hostKey: ['ssh-ed25519'],
  cipher: [...GCM, ...CTR],
  mac: MAC,
};

/** Towards the upstream, where our order decides. ChaCha20 comes last, because it is refused without strict key exchange. */
export const CLIENT_ALGORITHMS: Algorithms = {
  kex: [...KEX, 'diffie-hellman-group-exchange-sha256'],
  hostKey: HOST_KEY_ALGORITHMS,
  cipher: [...GCM, ...CTR, CHACHA20],
  mac: MAC,
};

/** All that may be asked for, by leg: the server role of ssh2 offers group exchange without having it. */
const ALLOWED: Readonly<Record<'server' | 'client', Algorithms>> = {
  server: { ...SERVER_ALGORITHMS, cipher: [...GCM, ...CTR, CHACHA20] },
  client: { ...CLIENT_ALGORITHMS, hostKey: [...CERTIFIED_HOST_KEYS, ...HOST_KEY_ALGORITHMS] },
};

/** The lists of one leg; `wanted` replaces the default ones. Errors: `unfit` where a list is empty or names a weak one. */
export function chooseAlgorithms(role: 'server' | 'client', wanted: Partial<Algorithms> = {}): Algorithms {
  const chosen = { ...(role === 'server' ? SERVER_ALGORITHMS : CLIENT_ALGORITHMS), ...wanted };
  for (const list of ['kex', 'hostKey', 'cipher', 'mac'] as const) {
    if (chosen[list].length === 0) throw new SshError('unfit', `no ${list} algorithm is left to offer`);
    const strange = chosen[list].find((name) => !ALLOWED[role][list].includes(name));
    if (strange !== undefined) throw new SshError('unfit', `the ${list} algorithm ${strange} is not offered here`);
  }
  return chosen;
}

/** The lists in the shape that ssh2 takes; it appends its own marks to `kex`. */
export function offerOf(chosen: Algorithms): Ssh2Config['offer'] {
  const side = { cipher: [...chosen.cipher], mac: [...chosen.mac], compress: ['none'], lang: [] };
  return { kex: [...chosen.kex], serverHostKey: [...chosen.hostKey], cs: side, sc: side };
}

/**
 * Refuses what may not run. A peer without strict key exchange can have the beginning of its conversation cut by whoever
 * is in between (CVE-2023-48795) where the cipher is ChaCha20-Poly1305; a mark that was taken out on the way changes the
 * exchange hash, so that it is not a peer without. Errors: `algorithms`.
 */
export function checkNegotiated(negotiated: Negotiated, strict: boolean): void {
  if (negotiated.cs.compress !== 'none' || negotiated.sc.compress !== 'none') {
    throw new SshError('algorithms', 'compression was negotiated');
  }
  if (!strict && [negotiated.cs.cipher, negotiated.sc.cipher].includes(CHACHA20)) {
    throw new SshError('algorithms', 'ChaCha20-Poly1305 needs strict key exchange, which the peer does not have');
  }
}

/** Bytes each way after which new keys are due (RFC 4344 §3.2, RFC 4253 §9). */
export function rekeyBytes(negotiated: Negotiated): number {
  return [negotiated.cs.cipher, negotiated.sc.cipher].includes(CHACHA20) ? 2 ** 30 : 2 ** 35;
}
