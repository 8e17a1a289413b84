import { type Facts, type RelayConnection, SidecarError } from 'secretless-sidecar/connector';
import type { PrivateKey } from 'secretless-sidecar/connector/ssh';
import { type Confirmation, questionOf } from './confirm.ts';
import type { KeyHolder, Order, Reach } from './conversation.ts';
import type { KeyRing } from './key-ring.ts';
import type { SigningLimits } from './limits.ts';
import type { Identity } from './messages.ts';
import type { Moment, Offer, OfferedKey } from './offer.ts';
import type { RingCache } from './ring-cache.ts';
import type { Signing, SigningRefusal } from './signing.ts';

/** What all connections of a service share. */
export interface ServiceParts {
  readonly limits: SigningLimits;
  readonly rings: RingCache;
  readonly confirmation: Confirmation;
  moment(): Moment;
}

/** The keys, as one connection may use them. Between two requests it holds their public halves alone. */
export class ConnectionHolder implements KeyHolder {
  readonly #connection: RelayConnection;
  readonly #service: ServiceParts;
  #offer: Offer | undefined;
  #error: SidecarError | undefined;
  readonly #warned = new Set<string>();

  constructor(connection: RelayConnection, service: ServiceParts) {
    this.#connection = connection;
    this.#service = service;
  }

  /** Why a request of this connection failed first: its protocol has no words for it. */
  get error(): SidecarError | undefined {
    return this.#error;
  }

  async identities(reach: Reach): Promise<readonly Identity[]> {
    if (!this.#service.limits.isOpenTo(reach, this.#service.moment().now)) return [];
    return this.#noting(async () => (await this.#read(reach.forwarded)).at(this.#service.moment()));
  }

  async sign(order: Order): Promise<Buffer> {
    return this.#noting(async () => {
      const { signing } = order;
      const facts = factsOf(signing);
      const refusal = this.#service.limits.refusalOf(signing, this.#service.moment().now);
      if (refusal !== undefined) throw await this.#denied(refusal, facts);
      const key = await this.#find(order);
      if (key === undefined) throw await this.#denied(REFUSALS['unknown-key'], facts);
      const isConfirmed = this.#offer!.isConfirmed;
      if (isConfirmed && !(await this.#isConfirmed(key, signing))) {
        throw await this.#denied('nobody said yes to it', facts);
      }
      return this.#signed(order, key, isConfirmed);
    });
  }

  async refused(refusal: SigningRefusal): Promise<void> {
    const request = OF_LOGINS.has(refusal) ? 'sign-login' : 'sign-document';
    const error = await this.#denied(REFUSALS[refusal], { ssh: { request } });
    this.#error ??= error;
  }

  /** The keys as they are now. */
  async #read(forwarded: boolean): Promise<Offer> {
    const facts: Facts = { ssh: { request: 'keys', ...(forwarded && { forwarded }) } };
    const loan = await this.#connection.authorize(facts, () => 'ssh-agent:');
    try {
      const ring = await this.#service.rings.of(loan);
      for (const problem of ring.problems) this.#warn(`${problem}: it is not offered`);
      this.#offer = ring.offer;
      return ring.offer;
    } finally {
      loan.release();
      loan.end();
    }
  }

  /** Clients that know a key from its file may not have asked what there is; and keys are rotated. */
  async #find({ blob, signing }: Order): Promise<OfferedKey | undefined> {
    const known = this.#offer?.find(blob, this.#service.moment());
    return known ?? (await this.#read(signing.forwarded)).find(blob, this.#service.moment());
  }

  async #isConfirmed(key: OfferedKey, signing: Signing): Promise<boolean> {
    const { agent } = this.#connection;
    return this.#service.confirmation.isGiven(this.#connection, questionOf(agent, key, signing));
  }

  async #signed({ blob, bytes, algorithm, signing }: Order, key: OfferedKey, isConfirmed: boolean): Promise<Buffer> {
    const facts = factsOf(signing);
    const loan = await this.#connection.authorize(facts, () => `ssh-key:${key.fingerprint}`);
    let bytesDown = 0;
    try {
      const ring = await this.#service.rings.of(loan);
      const current = await this.#currentKey(ring, { blob, isConfirmed, facts });
      this.#connection.signal.throwIfAborted();
      const signature = await current.sign(bytes, algorithm);
      bytesDown = signature.length;
      return signature;
    } finally {
      loan.release();
      loan.end({ bytesUp: bytes.length, bytesDown });
    }
  }

  /** The credentials may have changed since the key was found, and since somebody was asked. */
  async #currentKey({ offer, keys }: KeyRing, { blob, isConfirmed, facts }: Wanted): Promise<PrivateKey> {
    this.#offer = offer;
    const offered = offer.find(blob, this.#service.moment());
    const key = offered === undefined ? undefined : keys.get(offered.fingerprint);
    if (key === undefined) throw await this.#denied(REFUSALS['unknown-key'], facts);
    if (offer.isConfirmed && !isConfirmed) throw await this.#denied('nobody was asked', facts);
    return key;
  }

  /** On record, in the log, and what to answer with. */
  async #denied(why: string, facts: Facts): Promise<SidecarError> {
    this.#warn(`a signature was refused: ${why}`);
    const error = new SidecarError('policy-denied', { detail: why });
    await this.#connection.refused(facts, error);
    return error;
  }

  /** Once each: whoever asks for the same again and again shall not fill the log. */
  #warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#connection.warn(message);
  }

  async #noting<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SidecarError) this.#error ??= error;
      throw error;
    }
  }
}

interface Wanted {
  readonly blob: Buffer;
  readonly isConfirmed: boolean;
  readonly facts: Facts;
}

function factsOf(signing: Signing): Facts {
  const { forwarded } = signing;
  if (signing.kind === 'document') {
    return { ssh: { request: 'sign-document', namespace: signing.namespace, forwarded } };
  }
  const { user, host } = signing;
  const destination = host === undefined ? {} : { hostKey: host.fingerprint };
  return { ssh: { request: 'sign-login', user, ...destination, forwarded } };
}

/** Refusals of what names a login; of the others nobody can tell what they were for. */
const OF_LOGINS: ReadonlySet<SigningRefusal> = new Set([
  'other-key',
  'broken-binding',
  'other-session',
  'forwarding-hop',
  'unnamed-host',
]);

const REFUSALS: Readonly<Record<SigningRefusal, string>> = {
  'unknown-key': 'the key is none of this service',
  'weak-hash': 'RSA with SHA-1',
  'unknown-bytes': 'neither a login nor a document',
  'other-key': 'a login that names another key or algorithm',
  'broken-binding': 'the client showed a session that its host did not prove',
  'other-session': 'a login to another session or host than the proven one',
  'forwarding-hop': 'a login to a host that the connection only leads through',
  'unnamed-host': 'a host on the way asked for a login that does not name where it goes',
};
