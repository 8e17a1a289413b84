import { WireError, WireReader } from 'secretless-sidecar/connector/ssh';

const SSHSIG_MAGIC = Buffer.from('SSHSIG');
const USERAUTH_REQUEST = 50;
const USER_BYTES_MAX = 256;
const NAMESPACE_BYTES_MAX = 128;

/** What a key is to sign. */
export type SignedBytes = LoginBytes | DocumentBytes;

/** A request to log in (RFC 4252 section 7). */
export interface LoginBytes {
  readonly kind: 'login';
  readonly sessionId: Buffer;
  readonly user: string;
  /** Of the signature, with the suffix of a certificate where the key is one. */
  readonly algorithm: string;
  readonly blob: Buffer;
  /** `publickey-hostbound-v00@openssh.com` (OpenSSH `PROTOCOL` section 3.1); absent with `publickey`. */
  readonly hostKey?: Buffer;
}

/** The hash of a file or message (OpenSSH `PROTOCOL.sshsig`). */
export interface DocumentBytes {
  readonly kind: 'document';
  /** What the signature is good for: `git`, `file`. */
  readonly namespace: string;
}

/**
 * What the bytes are; undefined where they are neither, which nobody should sign. The two cannot be mistaken for each
 * other: read as a login, `SSHS` would be the length of a session identifier of 1.4 GB.
 */
export function readSignedBytes(bytes: Buffer): SignedBytes | undefined {
  try {
    const isSshsig = bytes.subarray(0, SSHSIG_MAGIC.length).equals(SSHSIG_MAGIC);
    return isSshsig ? readSshsig(bytes) : readLogin(bytes);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function readLogin(bytes: Buffer): LoginBytes {
  const reader = new WireReader(bytes);
  const sessionId = reader.string(64);
  if (reader.byte() !== USERAUTH_REQUEST) throw new WireError('no request to log in');
  const user = printable(reader.text(USER_BYTES_MAX));
  if (reader.name() !== 'ssh-connection') throw new WireError('another service');
  const method = reader.name();
  const isHostbound = method === 'publickey-hostbound-v00@openssh.com';
  if (!isHostbound && method !== 'publickey') throw new WireError('another method');
  // The byte is TRUE where a signature follows, and only then is it signed.
  if (reader.byte() !== 1) throw new WireError('a question, and no login');
  const algorithm = reader.name();
  const blob = reader.string();
  const hostKey = isHostbound ? reader.string() : undefined;
  reader.end();
  return { kind: 'login', sessionId, user, algorithm, blob, ...(hostKey === undefined ? {} : { hostKey }) };
}

function readSshsig(bytes: Buffer): DocumentBytes {
  const reader = new WireReader(bytes);
  reader.bytes(SSHSIG_MAGIC.length);
  const namespace = printable(reader.text(NAMESPACE_BYTES_MAX));
  // Whoever verifies is told to ignore what stands here; whoever signs need not put it there.
  if (reader.string().length > 0) throw new WireError('something in the reserved field');
  const hashAlgorithm = reader.name();
  const hash = reader.string(64);
  reader.end();
  if (hashAlgorithm !== 'sha256' && hashAlgorithm !== 'sha512') throw new WireError('another hash');
  if (hash.length !== (hashAlgorithm === 'sha256' ? 32 : 64)) throw new WireError('a hash that is cut');
  return { kind: 'document', namespace };
}

/** Names end in the ledger and before people's eyes: none is empty, none moves the cursor or turns the text around. */
function printable(text: string): string {
  if (text === '' || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cn}\p{Co}\p{Cs}]/u.test(text))
    throw new WireError('a name that is not printable');
  return text;
}
