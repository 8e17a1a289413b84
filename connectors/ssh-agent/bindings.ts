import { timingSafeEqual } from 'node:crypto';
import {
  fingerprint,
  isCertificateType,
  isSignedBy,
  type PublicKey,
  readCertificate,
  readPublicKey,
  WireError,
  WireReader,
} from 'secretless-sidecar/connector/ssh';
import type { BindRequest } from './messages.ts';

/** Sessions one connection may be bound to, as OpenSSH has it (`AGENT_MAX_SESSION_IDS`): so many hops. */
export const BINDINGS_MAX = 16;
/** RFC 4253 section 7.2: a hash of the key exchange, of SHA-512 at most. */
const SESSION_ID_BYTES_MAX = 64;

/** A host that proved its key. */
export interface ShownHost {
  /** SHA256 fingerprint of its key, also where it showed a certificate. */
  readonly fingerprint: string;
  /** What it showed: its key or its certificate. */
  readonly blob: Buffer;
}

/** A session that the agent's connection serves; proved by a signature of the host over the session's identifier. */
export interface Binding {
  readonly host: ShownHost;
  readonly sessionId: Buffer;
  /** Whether the connection is led on to that host, so that whoever is there may ask. */
  readonly isForwarding: boolean;
}

/** What an agent's connection has proved of where it serves. It only ever grows. */
export class Bindings {
  readonly #bindings: Binding[] = [];
  #isBroken = false;

  /** In the order of the hops. */
  get all(): readonly Binding[] {
    return this.#bindings;
  }

  /** True once a binding was refused: from then on nothing of this connection can be believed. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  get hosts(): readonly ShownHost[] {
    return this.#bindings.map(({ host }) => host);
  }

  /** Whether some host on the way may ask through this connection. */
  get isForwarded(): boolean {
    return this.#bindings.some(({ isForwarding }) => isForwarding);
  }

  /** Whether the binding is proved and may follow those before (OpenSSH `ssh-agent.c`, process_ext_session_bind). */
  add(request: BindRequest): boolean {
    const isTaken = !this.#isBroken && this.#isTaken(request);
    if (!isTaken) this.#isBroken = true;
    return isTaken;
  }

  /** A binding that cannot be read breaks as one that is refused. */
  break(): void {
    this.#isBroken = true;
  }

  #isTaken({ hostKey: shown, sessionId, signature, isForwarding }: BindRequest): boolean {
    if (sessionId.length === 0 || sessionId.length > SESSION_ID_BYTES_MAX) return false;
    const key = readHostKey(shown);
    if (key === undefined || !isSignedBy(key, sessionId, signature)) return false;
    // After a session that logs in nothing follows: a hop behind it would have been forwarded to.
    const last = this.#bindings.at(-1);
    const known = this.#bindings.find((binding) => isSame(binding.sessionId, sessionId));
    if (last?.isForwarding === false) return false;
    if (known !== undefined) return known.isForwarding === isForwarding && isSame(known.host.blob, shown);
    if (this.#bindings.length === BINDINGS_MAX) return false;
    // Copies: the message that they came in is gone when the next one is read.
    this.#bindings.push({
      host: { fingerprint: fingerprint(key.blob), blob: Buffer.from(shown) },
      sessionId: Buffer.from(sessionId),
      isForwarding,
    });
    return true;
  }
}

/** The key of the host; inside its certificate, where it showed one. */
function readHostKey(shown: Buffer): PublicKey | undefined {
  try {
    if (!isCertificateType(new WireReader(shown).name())) return readPublicKey(shown);
    const certificate = readCertificate(shown);
    return certificate.kind === 'host' ? certificate.key : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

export function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
