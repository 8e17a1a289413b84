import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import type { Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { DecisionEvent, ExchangeEndedEvent } from '../ledger/event.ts';
import type { AccessRequest, Facts, Grant } from '../policy/request.ts';
import type { HttpContext } from './binding.ts';
import { canonicalPath } from './path.ts';
import type { Placement } from './place.ts';

/** Asks policy for one request. Errors: `policy-denied`, `rate-limited`, `path-ambiguous`; each is in the ledger. */
export async function decide(context: HttpContext, placement: Placement, id: string): Promise<Grant> {
  try {
    const decision = context.policy.decide(accessRequest(placement));
    if (decision.allow) return decision.grant;
    throw new SidecarError(decision.code, {
      rule: decision.rule,
      detail: decision.reason,
      ...(decision.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: decision.retryAfterSeconds }),
    });
  } catch (thrown) {
    const error = asSidecarError(thrown);
    await recordRefusal(context, refusalEvent(placement, id, error, 'deny'));
    throw error;
  }
}

/** A refusal is on record before it is answered; where it cannot be, it is refused all the same. */
export async function recordRefusal(context: HttpContext, event: DecisionEvent): Promise<void> {
  await context.ledger.record(event).catch(() => undefined);
}

/** What policy sees of a request: what the upstream will see. Errors: `path-ambiguous`. */
export function accessRequest({ binding, origin, head }: Placement): AccessRequest {
  const { path, ambiguity } = canonicalPath(head.target);
  // A connector may add facts; what the request line says is not its to change.
  const facts: Facts = {
    ...binding.instance.facts?.(head),
    method: head.method,
    host: origin.host,
    port: origin.port,
    path,
    ...(ambiguity === undefined ? {} : { pathAmbiguity: ambiguity }),
  };
  return { service: binding.service, connector: binding.connector, principal: binding.principal, facts };
}

/**
 * Leases the credential and puts the use into the ledger, in this order: the event names the versions that are about
 * to be used, and it is on record before they can leave.
 */
export async function lend(
  context: HttpContext,
  placement: Placement,
  grant: Grant,
  id: string,
  signal: AbortSignal,
): Promise<Lease> {
  let lease: Lease;
  try {
    lease = await placement.binding.source.lease(grant, signal);
  } catch (thrown) {
    const error = asSidecarError(thrown, 'credential-unavailable');
    await recordRefusal(context, refusalEvent(placement, id, error, 'error', grant.rule));
    throw error;
  }
  try {
    await context.ledger.record(useEvent(placement, id, grant.rule, lease.versions));
  } catch (thrown) {
    lease.release();
    throw asSidecarError(thrown, 'ledger-unavailable');
  }
  return lease;
}

/** The event of a use that was allowed; `credentials` is empty where none travels. */
export function useEvent(
  placement: Placement,
  id: string,
  rule: string | undefined,
  credentials: Readonly<Record<string, string>>,
): DecisionEvent {
  return { type: 'decision', ...useOf(placement, id), result: 'allow', rule, credentials };
}

/** The event of a use that did not happen. */
export function refusalEvent(
  placement: Placement,
  id: string,
  error: SidecarError,
  result: 'deny' | 'error',
  rule = error.rule,
): DecisionEvent {
  return { type: 'decision', ...useOf(placement, id), result, rule, reason: reasonOf(error) };
}

/** The event of a request that no service takes. */
export function unplacedEvent(id: string, head: RequestHead, error: SidecarError): DecisionEvent {
  return {
    type: 'decision',
    id,
    service: '-',
    connector: '-',
    principal: { agent: '-', attested: 'listener' },
    method: head.method,
    result: 'deny',
    reason: reasonOf(error),
  };
}

export function endedEvent(
  placement: Placement,
  id: string,
  end: { status: number; bytesUp: number; bytesDown: number; ms: number; error: SidecarError | undefined },
): ExchangeEndedEvent {
  const { error, ...measured } = end;
  return {
    type: 'exchange.ended',
    ...useOf(placement, id),
    result: error === undefined ? 'allow' : 'error',
    reason: error?.code,
    ...measured,
  };
}

/** Policy explains itself in the ledger; the details of other faults stay in the log. */
function reasonOf(error: SidecarError): string {
  return error.fault === 'policy' && error.detail !== undefined ? `${error.code}: ${error.detail}` : error.code;
}

function useOf({ binding, origin, head }: Placement, id: string) {
  return {
    id,
    service: binding.service,
    connector: binding.connector,
    principal: binding.principal,
    upstream: formatOrigin(origin),
    method: head.method,
    path: head.target,
  };
}
