import { type SignatureAlgorithm, WireError } from 'secretless-sidecar/connector/ssh';
import { Bindings, type ShownHost } from './bindings.ts';
import {
  type AgentRequest,
  extensionFailure,
  failure,
  identitiesAnswer,
  type Identity,
  readRequest,
  signResponse,
  success,
} from './messages.ts';
import { describeSigning, type Signing, type SigningRefusal, type SignRequest } from './signing.ts';

/** Requests of one connection: far more than a client that logs in or signs commits sends. */
const REQUESTS_MAX = 10_000;

/** What proves where a connection serves, for the question of which keys it may see. */
export interface Reach {
  /** Hosts that it is bound to, the nearest first. */
  readonly hosts: readonly ShownHost[];
  readonly forwarded: boolean;
}

/** A signature that is asked for; its bytes are what `signing` says. */
export interface Order {
  readonly blob: Buffer;
  readonly bytes: Buffer;
  readonly algorithm: SignatureAlgorithm;
  readonly signing: Signing;
}

/** What an agent needs of whoever holds the keys. What any of it throws is a failure to the client. */
export interface KeyHolder {
  /** Asked for anew each time, so that keys that were rotated are seen. */
  identities(reach: Reach): Promise<readonly Identity[]>;
  /** Policy, ledger, lease and signature, in this order, the last as SSH writes it. */
  sign(order: Order): Promise<Buffer>;
  /** A signature was refused before anybody was asked. */
  refused(refusal: SigningRefusal): Promise<void>;
}

/**
 * An agent that signs and never gives, on one connection. It touches no socket: messages go in, answers come out, one for
 * each, in order.
 */
export class AgentConversation {
  readonly #holder: KeyHolder;
  readonly #bindings = new Bindings();
  #requests = 0;

  constructor(holder: KeyHolder) {
    this.#holder = holder;
  }

  /**
   * The answer to a message, with its length in front; `message` is without. One at a time. Errors: `WireError` where the
   * connection has asked too often; those of the holder are answered as a failure.
   */
  async answer(message: Buffer): Promise<Buffer> {
    this.#requests += 1;
    if (this.#requests > REQUESTS_MAX) throw new WireError(`more than ${REQUESTS_MAX} requests`);
    const request = this.#read(message);
    switch (request?.ask) {
      case 'identities':
        return this.#identities();
      case 'sign':
        return this.#sign(request);
      case 'bind':
        return this.#bindings.add(request.binding) ? success() : extensionFailure();
      case 'other':
      case undefined:
        return failure();
      default:
        return request satisfies never;
    }
  }

  #read(message: Buffer): AgentRequest | undefined {
    try {
      return readRequest(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      // A binding that cannot be read may have been one; to go on as if nothing was bound would widen what is allowed.
      this.#bindings.break();
      return undefined;
    }
  }

  async #identities(): Promise<Buffer> {
    const { hosts, isForwarded: forwarded, isBroken } = this.#bindings;
    // Nobody knows where it serves: a host on the way perhaps, which is not to hear of the keys.
    if (isBroken) return identitiesAnswer([]);
    try {
      return identitiesAnswer(await this.#holder.identities({ hosts, forwarded }));
    } catch {
      return failure();
    }
  }

  async #sign(request: SignRequest): Promise<Buffer> {
    const described = describeSigning(request, this.#bindings);
    if ('refusal' in described) {
      await this.#holder.refused(described.refusal);
      return failure();
    }
    const { blob, bytes } = request;
    try {
      return signResponse(await this.#holder.sign({ blob, bytes, ...described }));
    } catch {
      return failure();
    }
  }
}
