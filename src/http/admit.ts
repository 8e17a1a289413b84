import * as admission from '../admission/admission.ts';
import { reasonOf, recordRefusal, type Use } from '../admission/admission.ts';
import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import type { Lease } from '../credential/lease.ts';
import { asSidecarError, type ErrorCode, type SidecarError } from '../error.ts';
import type { DecisionEvent, ExchangeEndedEvent } from '../ledger/event.ts';
import { NO_SERVICE, type AccessRequest, type Facts, type Grant, type Principal } from '../policy/request.ts';
import type { HttpBinding, HttpContext, HttpRoutes } from './binding.ts';
import { endToEndRequest } from './hop-by-hop.ts';
import { canonicalPath } from './path.ts';
import { begin, find, identified, isBelowPath, type Placement } from './place.ts';

export { recordRefusal };

/** Told of the service of a request before its connector may refuse it. */
export interface Seeker {
  located(binding: HttpBinding): void;
}

/**
 * Places a request and takes off what belongs to the connection. A refusal is on record where policy or the agent's
 * proof is concerned. Errors: those of `place`, `header-refused`.
 */
export async function placeOnRecord(
  context: HttpContext,
  routes: HttpRoutes,
  head: RequestHead,
  id: string,
  seeker: Seeker,
): Promise<Placement> {
  let binding: HttpBinding | undefined;
  let asker = routes.principal;
  try {
    const known = identified(routes, head);
    asker = known.principal;
    const found = find(known, head);
    ({ binding, asker } = found);
    seeker.located(binding);
    const placed = 'arrival' in found ? begin(found, context.now()) : found;
    return { ...placed, head: { ...placed.head, headers: endToEndRequest(placed.head.headers) } };
  } catch (thrown) {
    const error = asSidecarError(thrown, binding === undefined ? 'request-malformed' : 'internal');
    if (isRecorded(error)) await recordRefusal(context, unplacedEvent(id, head, error, asker, binding));
    throw error;
  }
}

/** Hands the hash of the whole body to a connector that wants to prove the agent by it; a refusal is on record. */
export async function prove(context: HttpContext, placement: Placement, id: string, sha256: string): Promise<void> {
  try {
    placement.handling.prove?.(sha256);
  } catch (thrown) {
    const error = asSidecarError(thrown);
    // The agent that was claimed is not the one who asks.
    const unproven = { ...placement, principal: placement.asker };
    if (isRecorded(error)) await recordRefusal(context, refusalEvent(unproven, id, error, 'deny'));
    throw error;
  }
}

/**
 * Asks policy for one request; `body` where its connector needs it to tell what the request is. Errors:
 * `policy-denied`, `rate-limited`, `path-ambiguous`; each is in the ledger.
 */
export function decide(context: HttpContext, placement: Placement, id: string, body?: Uint8Array): Promise<Grant> {
  return admission.decide(
    context,
    () => accessRequest(placement, body),
    () => useOf(placement, id),
  );
}

/** What policy sees of a request: what the upstream will see. Errors: `path-ambiguous`. */
export function accessRequest(placement: Placement, body?: Uint8Array): AccessRequest {
  const { binding, handling, principal, origin, head } = placement;
  // An upstream that resolves nothing may stand behind one that does, and that one keeps the paths apart.
  const literal = !isBelowPath(binding) && handling.readsPathLiterally?.(head);
  const { path, ambiguity } = canonicalPath(head.target, literal);
  // A connector may add facts; what the request line says is not its to change.
  const facts: Facts = {
    ...handling.facts?.(head, body),
    method: head.method,
    host: origin.host,
    port: origin.port,
    path,
    ...(ambiguity === undefined ? {} : { pathAmbiguity: ambiguity }),
  };
  return { service: binding.service, connector: binding.connector, principal, facts };
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

/** Refusals of a request that are an auditor's business though policy was never asked: who sent it is in doubt. */
const UNPROVEN: ReadonlySet<ErrorCode> = new Set([
  'caller-unproven',
  'foreign-credential',
  'request-expired',
  'proxy-auth-required',
]);

function isRecorded({ fault, code }: SidecarError): boolean {
  return fault === 'policy' || UNPROVEN.has(code);
}

/** The event of a request that no service takes; of one that its connector refuses to begin with where there is a `binding`. */
function unplacedEvent(
  id: string,
  head: RequestHead,
  error: SidecarError,
  principal: Principal = { agent: '-', attested: 'listener' },
  binding?: HttpBinding,
): DecisionEvent {
  if (binding !== undefined) {
    const { service, connector } = binding;
    return admission.refusalEvent(
      { id, service, connector, principal, method: head.method, path: pathOf(head) },
      error,
      'deny',
    );
  }
  return {
    type: 'decision',
    id,
    service: NO_SERVICE,
    connector: NO_SERVICE,
    principal,
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

/** Of an absolute form what follows the authority: a refused one may hold a password there. */
function pathOf({ target }: RequestHead): string {
  return target.startsWith('/') ? target : target.replace(/^[^:/?]+:\/\/[^/?]*/, '');
}

function useOf({ binding, principal, origin, head }: Placement, id: string): Use {
  return {
    id,
    service: binding.service,
    connector: binding.connector,
    principal,
    upstream: formatOrigin(origin),
    method: head.method,
    path: head.target,
  };
}
