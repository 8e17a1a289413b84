import type { Recorder, Use } from '../admission/admission.ts';
import type { Loan, Outcome, Permission } from '../connector/relay.ts';
import type { Credentials, Lease } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { AccessRequest, Grant } from '../policy/request.ts';

/** What policy said yes to, as the ledger tells it. */
export interface Granted {
  readonly request: AccessRequest;
  readonly grant: Grant;
  readonly use: Use;
}

/** All that one connection is permitted just now. */
export class Permissions {
  readonly #ledger: Recorder;
  readonly #held = new Set<HeldPermission>();
  #count = 0;

  constructor(ledger: Recorder) {
    this.#ledger = ledger;
  }

  /** How many there are. */
  get size(): number {
    return this.#held.size;
  }

  /** How many there ever were. */
  get count(): number {
    return this.#count;
  }

  requests(): AccessRequest[] {
    return [...this.#held].map(({ request }) => request);
  }

  /** `lease` where credentials come with it; the end of one that has none is always in the ledger. */
  hold(granted: Granted, lease?: Lease): HeldPermission {
    this.#count += 1;
    const held: HeldPermission = new HeldPermission(granted, lease, (ended) => {
      this.#held.delete(held);
      if (lease === undefined || ended.outcome !== undefined) this.#note(granted, ended);
    });
    this.#held.add(held);
    return held;
  }

  /** The connection is over; `reason`: why, where it did not end as it should. */
  endAll(reason: SidecarError | undefined): void {
    for (const held of this.#held) held.finish(undefined, reason);
  }

  #note({ use, grant }: Granted, { outcome, reason, ms }: Ended): void {
    this.#ledger.note({
      type: 'exchange.ended',
      ...use,
      rule: grant.rule,
      result: reason === undefined ? 'allow' : 'error',
      reason: reason?.code,
      status: outcome?.status,
      bytesUp: outcome?.bytesUp ?? 0,
      bytesDown: outcome?.bytesDown ?? 0,
      ms,
    });
  }
}

interface Ended {
  readonly outcome: Outcome | undefined;
  readonly reason: SidecarError | undefined;
  readonly ms: number;
}

/** A permission, with the lease that came with it. */
export class HeldPermission implements Permission {
  readonly granted: Granted;
  readonly #begun = performance.now();
  readonly #ended: (ended: Ended) => void;
  #lease: Lease | undefined;
  #over = false;

  constructor(granted: Granted, lease: Lease | undefined, ended: (ended: Ended) => void) {
    this.granted = granted;
    this.#lease = lease;
    this.#ended = ended;
  }

  get request(): AccessRequest {
    return this.granted.request;
  }

  get over(): boolean {
    return this.#over;
  }

  end(outcome?: Outcome): void {
    this.finish(outcome, undefined);
  }

  finish(outcome: Outcome | undefined, reason: SidecarError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.release();
    this.#ended({ outcome, reason, ms: Math.round(performance.now() - this.#begun) });
  }

  release(): void {
    const lease = this.#lease;
    this.#lease = undefined;
    lease?.release();
  }

  /** Another lease in place of the one before. */
  renew(lease: Lease): void {
    this.release();
    this.#lease = lease;
  }
}

/** Credentials on loan, as the connector holds them. */
export class Lent implements Loan {
  readonly credentials: Credentials;
  readonly version: string;
  /** What it came from, to compare with another. */
  readonly lease: Lease;
  readonly permission: HeldPermission;
  /** True once the providers were, or may not be, asked for others. */
  final: boolean;
  #replaced = false;

  constructor(permission: HeldPermission, lease: Lease, final = false) {
    this.credentials = lease.credentials;
    this.version = lease.version;
    this.lease = lease;
    this.permission = permission;
    this.final = final;
  }

  /** Another loan has come in its place; what is done with this one has no effect on that. */
  replace(lease: Lease): Lent {
    this.#replaced = true;
    this.permission.renew(lease);
    return new Lent(this.permission, lease, true);
  }

  get replaced(): boolean {
    return this.#replaced;
  }

  release(): void {
    if (!this.#replaced) this.permission.release();
  }

  end(outcome?: Outcome): void {
    if (!this.#replaced) this.permission.end(outcome);
  }
}
