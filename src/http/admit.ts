import * as admission from '../admission/admission.ts';
import { reasonOf, type Use } from '../admission/admission.ts';
import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import type { Lease } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { DecisionEvent, ExchangeEndedEvent } from '../ledger/event.ts';
import type { AccessRequest, Facts, Grant } from '../policy/request.ts';
import type { HttpContext } from './binding.ts';
import { canonicalPath } from './path.ts';
import type { Placement } from './place.ts';

export { recordRefusal } from '../admission/admission.ts';

/** Asks policy for one request. Errors: `policy-denied`, `rate-limited`, `path-ambiguous`; each is in the ledger. */
export function decide(context: HttpContext, placement: Placement, id: string): Promise<Grant> {
  return admission.decide(
    context,
    () => accessRequest(placement),
    () => useOf(placement, id),
  );
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

/** Lease, then ledger: see `admission.lend`. */
export function lend(
  context: HttpContext,
  placement: Placement,
  grant: Grant,
  id: string,
  signal: AbortSignal,
): Promise<Lease> {
  return admission.lend(context, placement.binding.source, grant, () => useOf(placement, id), signal);
}

/** Another lease in place of one that was refused: see `admission.lendAnew`. */
export function lendAnew(
  context: HttpContext,
  placement: Placement,
  grant: Grant,
  stale: Lease,
  id: string,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  return admission.lendAnew(context, placement.binding.source, grant, stale, () => useOf(placement, id), signal);
}

/** The event of a use that was allowed; `credentials` is empty where none travels. */
export function useEvent(
  placement: Placement,
  id: string,
  rule: string | undefined,
  credentials: Readonly<Record<string, string>>,
): DecisionEvent {
  return admission.useEvent(useOf(placement, id), rule, credentials);
}

/** The event of a use that did not happen. */
export function refusalEvent(
  placement: Placement,
  id: string,
  error: SidecarError,
  result: 'deny' | 'error',
  rule = error.rule,
): DecisionEvent {
  return admission.refusalEvent(useOf(placement, id), error, result, rule);
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

function useOf({ binding, origin, head }: Placement, id: string): Use {
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
