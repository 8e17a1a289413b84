import type { CredentialSource, Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { DecisionEvent, LedgerEvent } from '../ledger/event.ts';
import type { AccessRequest, Decision, Facts, Grant, Principal, SshRequest } from '../policy/request.ts';

/** The parts that every use of a credential passes. */
export interface AdmissionContext {
  readonly policy: { decide(request: AccessRequest): Decision };
  readonly ledger: Recorder;
}

export interface Recorder {
  /** Resolves once the event is as durable as configured; rejects with `ledger-unavailable`. */
  record(event: LedgerEvent): Promise<void>;
  /** Same chain, nobody waits. */
  note(event: LedgerEvent): void;
}

/** What the ledger says of a use: who asked, for which service, and where it goes. */
export interface Use {
  readonly id: string;
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly upstream?: string;
  readonly method?: string;
  readonly path?: string;
  readonly database?: string;
  readonly request?: SshRequest;
  readonly user?: string;
  /** Or the name of a subsystem. */
  readonly command?: string;
  /** Where it leads beyond the upstream; of a signature, what it is for: a host key, a namespace. */
  readonly destination?: string;
  readonly forwarded?: true;
  /** Where the credential itself is handed over. */
  readonly delivery?: 'value';
}

/** What the ledger tells of facts, beside the request line of HTTP. */
export function toldOf({
  database,
  ssh,
}: Facts): Pick<Use, 'database' | 'request' | 'user' | 'command' | 'destination' | 'forwarded'> {
  const command = ssh?.command ?? ssh?.subsystem;
  const destination = ssh?.destination ?? ssh?.hostKey ?? ssh?.namespace;
  return {
    ...(database === undefined ? {} : { database }),
    ...(ssh === undefined ? {} : { request: ssh.request }),
    ...(ssh?.user === undefined ? {} : { user: ssh.user }),
    ...(command === undefined ? {} : { command }),
    ...(destination === undefined ? {} : { destination }),
    ...(ssh?.forwarded === true ? { forwarded: true } : {}),
  };
}

/**
 * Asks policy. Errors: `policy-denied`, `rate-limited`, `path-ambiguous`, and what `request` throws; each is in the
 * ledger.
 */
export async function decide(context: AdmissionContext, request: () => AccessRequest, use: () => Use): Promise<Grant> {
  try {
    const decision = context.policy.decide(request());
    if (decision.allow) return decision.grant;
    throw new SidecarError(decision.code, {
      rule: decision.rule,
      detail: decision.reason,
      ...(decision.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: decision.retryAfterSeconds }),
    });
  } catch (thrown) {
    const error = asSidecarError(thrown);
    await recordRefusal(context, refusalEvent(use(), error, 'deny'));
    throw error;
  }
}

/**
 * Leases the credential and puts the use into the ledger, in this order: the event names the versions that are about
 * to be used, and it is on record before they can leave. `use` is asked with the lease, which may say where it leads.
 */
export async function lend(
  context: AdmissionContext,
  source: CredentialSource,
  grant: Grant,
  use: (lease: Lease | undefined) => Use,
  signal: AbortSignal,
): Promise<Lease> {
  let lease: Lease;
  try {
    lease = await source.lease(grant, signal);
  } catch (thrown) {
    const error = asSidecarError(thrown, 'credential-unavailable');
    await recordRefusal(context, refusalEvent(use(undefined), error, 'error', grant.rule));
    throw error;
  }
  return onRecord(context, grant, lease, use);
}

/**
 * Another lease in place of one that the upstream refused, on the same grant; undefined where the refused one was fresh
 * from the providers, or they hold no other. On record like the first. Errors: `ledger-unavailable`.
 */
export async function lendAnew(
  context: AdmissionContext,
  source: CredentialSource,
  grant: Grant,
  stale: Lease,
  use: (lease: Lease) => Use,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  if (!stale.cached) return undefined;
  source.forget(stale.version);
  // Where no other credential is to be had, the refusal is the answer.
  const fresh = await source.lease(grant, signal).catch(() => undefined);
  if (fresh === undefined) return undefined;
  if (fresh.version === stale.version) {
    fresh.release();
    return undefined;
  }
  return onRecord(context, grant, fresh, use);
}

/** The lease, once its use is on record; released where it cannot be. Errors: `ledger-unavailable`. */
async function onRecord(
  context: AdmissionContext,
  grant: Grant,
  lease: Lease,
  use: (lease: Lease) => Use,
): Promise<Lease> {
  try {
    await context.ledger.record(useEvent(use(lease), grant.rule, lease.versions));
    return lease;
  } catch (thrown) {
    lease.release();
    throw asSidecarError(thrown, 'ledger-unavailable');
  }
}

/** A refusal is on record before it is answered; where it cannot be, it is refused all the same. */
export async function recordRefusal(context: AdmissionContext, event: DecisionEvent): Promise<void> {
  await context.ledger.record(event).catch(() => undefined);
}

/** The event of a use that was allowed; `credentials` is empty where none travels. */
export function useEvent(
  use: Use,
  rule: string | undefined,
  credentials: Readonly<Record<string, string>>,
): DecisionEvent {
  return { type: 'decision', ...use, result: 'allow', rule, credentials };
}

/** The event of a use that did not happen. */
export function refusalEvent(
  use: Use,
  error: SidecarError,
  result: 'deny' | 'error',
  rule = error.rule,
): DecisionEvent {
  return { type: 'decision', ...use, result, rule, reason: reasonOf(error) };
}

/** Policy explains itself in the ledger; the details of other faults stay in the log. */
export function reasonOf(error: SidecarError): string {
  return error.fault === 'policy' && error.detail !== undefined ? `${error.code}: ${error.detail}` : error.code;
}
