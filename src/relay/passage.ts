import type { Duplex } from 'node:stream';
import {
  decide,
  lend,
  lendAnew,
  recordRefusal,
  refusalEvent,
  toldOf,
  useEvent,
  type Use,
} from '../admission/admission.ts';
import type { Address } from '../connector/handshake.ts';
import type { Loan, Permission, RelayPassage } from '../connector/relay.ts';
import type { Credentials, Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { AccessRequest, Facts, Principal } from '../policy/request.ts';
import { dial } from '../upstream/dial.ts';
import { youngGeneration } from '../young-generation.ts';
import type { RelayBinding, RelayParts } from './binding.ts';
import { Lent, type Granted, type HeldPermission, type Permissions } from './permission.ts';

/** Services on the way to another, one behind the other. */
const WAYS_MAX = 4;
/** Permissions that one connection holds at a time. */
const PERMISSIONS_MAX = 4096;

/** What all passages of a connection share. */
export interface Journey {
  readonly id: string;
  readonly signal: AbortSignal;
  readonly permissions: Permissions;
  readonly principal: Principal;
  /** The parts of the configuration that is in effect: what was loaded since the connection began decides. */
  parts(): RelayParts;
  /** Throws where nothing more may be asked for, because all is over or never began. */
  refuseIfOver(): void;
  /** Throws where the permission of the whole connection has ended. */
  refuseIfRevoked(): void;
  /** A relay service of the configuration that the connection began with. */
  way(service: string): RelayBinding | undefined;
  /** Ended with the connection; `closed` is called when it is over. Throws where the connection is over. */
  keep(upstream: Duplex, closed: () => void): void;
}

/** What leads upstream for one service: asked by its connector, or by another service's whose way it is. */
export class Passage implements RelayPassage {
  readonly binding: RelayBinding;
  readonly #journey: Journey;
  /** How many passages this one is behind. */
  readonly #depth: number;
  readonly #loans = new WeakMap<Loan, Lent>();
  #authorized = false;
  #upstream: string | undefined;

  constructor(journey: Journey, binding: RelayBinding, depth = 0) {
    this.#journey = journey;
    this.binding = binding;
    this.#depth = depth;
  }

  get id(): string {
    return this.#journey.id;
  }

  get service(): string {
    return this.binding.service;
  }

  get agent(): string {
    return this.#journey.principal.agent;
  }

  get signal(): AbortSignal {
    return this.#journey.signal;
  }

  get loginSeconds(): number {
    return this.binding.loginSeconds;
  }

  async authorize(facts: Facts, upstream: (credentials: Credentials) => string): Promise<Loan> {
    const parts = this.#journey.parts();
    const { request, grant } = await this.#decide(parts, facts);
    const use = (lease: Lease | undefined): Use => {
      if (lease !== undefined) this.#upstream = upstream(lease.credentials);
      return this.use(facts);
    };
    const lease = await lend(parts, this.binding.source, grant, use, this.signal);
    const permission = this.#hold(parts, { request, grant, use: this.use(facts) }, lease);
    this.#authorized = true;
    return this.#lent(new Lent(permission, lease));
  }

  async reauthorize(loan: Loan): Promise<Loan | undefined> {
    const lent = this.#loans.get(loan);
    if (lent === undefined || lent.replaced || lent.permission.over) {
      throw new SidecarError('internal', { detail: 'there is no such loan' });
    }
    this.#journey.refuseIfOver();
    this.#journey.refuseIfRevoked();
    if (lent.final) return undefined;
    lent.final = true;
    const { grant, use } = lent.permission.granted;
    const parts = this.#journey.parts();
    const fresh = await lendAnew(parts, this.binding.source, grant, lent.lease, () => use, this.signal);
    if (fresh === undefined) return undefined;
    try {
      this.#refuseIfEnded(parts, lent.permission.request);
      if (lent.permission.over) throw new SidecarError('internal', { detail: 'the loan has ended' });
    } catch (thrown) {
      fresh.release();
      throw thrown;
    }
    return this.#lent(lent.replace(fresh));
  }

  async admit(facts: Facts): Promise<Permission> {
    const parts = this.#journey.parts();
    const granted = { ...(await this.#decide(parts, facts)), use: this.use(facts) };
    try {
      await parts.ledger.record(useEvent(granted.use, granted.grant.rule, {}));
    } catch (thrown) {
      throw asSidecarError(thrown, 'ledger-unavailable');
    }
    return this.#hold(parts, granted);
  }

  async dial(address: Address, via?: string): Promise<Duplex> {
    const { upstreams } = this.#journey.parts();
    const { service, upstreamConnections, connectSeconds } = this.binding;
    if (!this.#authorized) throw internal('an upstream was dialled before policy said yes');
    this.#journey.refuseIfOver();
    const uncount = upstreams.begin(service, upstreamConnections);
    if (uncount === undefined) throw new SidecarError('connections-exhausted');
    let upstream: Duplex;
    try {
      upstream =
        via === undefined ? await dial(address, connectSeconds, this.signal) : await this.#through(via, address);
    } catch (thrown) {
      uncount();
      throw asSidecarError(thrown);
    }
    this.#journey.keep(upstream, uncount);
    return upstream;
  }

  async refused(facts: Facts, error: SidecarError): Promise<void> {
    const result = error.fault === 'policy' ? 'deny' : 'error';
    await recordRefusal(this.#journey.parts(), refusalEvent(this.use(facts), error, result));
  }

  passed(bytes: number): void {
    youngGeneration.passed(bytes);
  }

  use(facts: Facts): Use {
    const { service, connector } = this.binding;
    const { id, principal } = this.#journey;
    const upstream = this.#upstream === undefined ? {} : { upstream: this.#upstream };
    return { id, service, connector, principal, ...upstream, ...toldOf(facts) };
  }

  async #through(via: string, address: Address): Promise<Duplex> {
    if (via !== this.binding.via) throw internal(`the way of service ${this.service} does not lead there`);
    if (this.#depth >= WAYS_MAX) throw internal('too many services are on the way');
    const way = this.#journey.way(via);
    if (way?.instance.reach === undefined) throw internal(`service ${via} is no way to anywhere`);
    return way.instance.reach(new Passage(this.#journey, way, this.#depth + 1), address);
  }

  /** Asks policy; a no is on record. */
  async #decide(parts: RelayParts, facts: Facts): Promise<Omit<Granted, 'use'>> {
    const { principal, permissions } = this.#journey;
    const { service, connector } = this.binding;
    this.#journey.refuseIfOver();
    if (permissions.size >= PERMISSIONS_MAX) {
      throw new SidecarError('connections-exhausted', { detail: `${PERMISSIONS_MAX} permissions of one connection` });
    }
    const request: AccessRequest = { service, connector, principal, facts };
    const asked = (): AccessRequest => {
      this.#journey.refuseIfRevoked();
      return request;
    };
    const grant = await decide(parts, asked, () => this.use(facts));
    return { request, grant };
  }

  /** In one step with the last look at what may have ended while policy, providers and ledger were waited for. */
  #hold(parts: RelayParts, granted: Granted, lease?: Lease): HeldPermission {
    const permission = this.#journey.permissions.hold(granted, lease);
    try {
      this.#refuseIfEnded(parts, granted.request);
      return permission;
    } catch (thrown) {
      const error = asSidecarError(thrown);
      permission.finish(undefined, error);
      throw error;
    }
  }

  /** `parts`: those that it was granted with. */
  #refuseIfEnded(parts: RelayParts, request: AccessRequest): void {
    this.#journey.refuseIfOver();
    this.#journey.refuseIfRevoked();
    const { policy } = this.#journey.parts();
    if (policy !== parts.policy && !policy.permits(request)) throw new SidecarError('grant-ended');
  }

  #lent(lent: Lent): Lent {
    this.#loans.set(lent, lent);
    return lent;
  }
}

function internal(detail: string): SidecarError {
  return new SidecarError('internal', { detail });
}
