import { strings, uint32, WireError, WireReader } from 'secretless-sidecar/connector/ssh';

/** Bytes of one message at most, as OpenSSH has it (`AGENT_MAX_LEN`). */
export const MESSAGE_BYTES_MAX = 256 * 1024;
/** Identities listed at most. OpenSSH takes 2048 from an agent and tries some six of them. */
export const IDENTITIES_MAX = 256;
const COMMENT_LETTERS_MAX = 256;

/** Numbers of messages (RFC 9987; in its drafts, draft-miller-ssh-agent, section 6.1). */
const REQUEST_IDENTITIES = 11;
const SIGN_REQUEST = 13;
const EXTENSION = 27;
const FAILURE = 5;
const SUCCESS = 6;
const IDENTITIES_ANSWER = 12;
const SIGN_RESPONSE = 14;
const EXTENSION_FAILURE = 28;

/** Flags of a request to sign: the hash for a key of RSA. */
const RSA_SHA2_256 = 2;
const RSA_SHA2_512 = 4;

export type AgentRequest =
  | { readonly ask: 'identities' }
  | { readonly ask: 'sign'; readonly blob: Buffer; readonly bytes: Buffer; readonly rsaHash: RsaHash }
  | { readonly ask: 'bind'; readonly binding: BindRequest }
  /** Adding, removing, locking, smart cards, other extensions, and what nobody has defined. */
  | { readonly ask: 'other'; readonly number: number };

/** `none` is the SHA-1 of old: nothing signs it. */
export type RsaHash = 'sha256' | 'sha512' | 'none';

/** `session-bind@openssh.com` (OpenSSH `PROTOCOL.agent` section 1). */
export interface BindRequest {
  readonly hostKey: Buffer;
  readonly sessionId: Buffer;
  readonly signature: Buffer;
  readonly isForwarding: boolean;
}

/**
 * One message without its length. Errors: `WireError` where a request that we know is malformed; what we do not know is
 * `other`, whatever follows its number.
 */
export function readRequest(message: Buffer): AgentRequest {
  const reader = new WireReader(message);
  const number = reader.byte();
  if (number === REQUEST_IDENTITIES) {
    reader.end();
    return { ask: 'identities' };
  }
  if (number === SIGN_REQUEST) {
    const blob = reader.string();
    const bytes = reader.string();
    const flags = reader.uint32();
    reader.end();
    return { ask: 'sign', blob, bytes, rsaHash: rsaHashOf(flags) };
  }
  if (number !== EXTENSION) return { ask: 'other', number };
  if (reader.string().toString('latin1') !== 'session-bind@openssh.com') return { ask: 'other', number };
  const [hostKey, sessionId, signature] = [reader.string(), reader.string(), reader.string()];
  const flag = reader.byte();
  reader.end();
  // Anything but 0 is true (RFC 4251 section 5), and true is the narrower reading.
  return { ask: 'bind', binding: { hostKey, sessionId, signature, isForwarding: flag !== 0 } };
}

/** Where both are asked for OpenSSH's agent takes SHA-256 (`agent_decode_alg`). Flags that nobody defined mean nothing. */
function rsaHashOf(flags: number): RsaHash {
  if ((flags & RSA_SHA2_256) !== 0) return 'sha256';
  return (flags & RSA_SHA2_512) === 0 ? 'none' : 'sha512';
}

/** A public key or certificate that the agent speaks for. */
export interface Identity {
  readonly blob: Buffer;
  /** What `ssh-add -l` prints beside it; cut at 256 letters. */
  readonly comment: string;
}

export function failure(): Buffer {
  return framed(Buffer.of(FAILURE));
}

export function extensionFailure(): Buffer {
  return framed(Buffer.of(EXTENSION_FAILURE));
}

export function success(): Buffer {
  return framed(Buffer.of(SUCCESS));
}

export function signResponse(signature: Buffer): Buffer {
  return framed(Buffer.of(SIGN_RESPONSE), strings(signature));
}

/** Errors: `WireError` where they are too many for one message. */
export function identitiesAnswer(identities: readonly Identity[]): Buffer {
  if (identities.length > IDENTITIES_MAX) throw new WireError(`${identities.length} identities`);
  const entries = identities.map(({ blob, comment }) => strings(blob, comment.slice(0, COMMENT_LETTERS_MAX)));
  const answer = framed(Buffer.of(IDENTITIES_ANSWER), uint32(identities.length), ...entries);
  if (answer.length > MESSAGE_BYTES_MAX) throw new WireError(`identities of ${answer.length} bytes`);
  return answer;
}

function framed(...parts: readonly Buffer[]): Buffer {
  return strings(Buffer.concat(parts));
}
