import type { AwsFacts } from 'secretless-sidecar/connector';
import { protocolsOf } from '../endpoint/services.ts';
import type { SignableHead } from '../sign/head.ts';
import { pathRuleOf } from '../sign/path.ts';
import { parseQuery, splitTarget } from '../sign/query.ts';
import { SigningProblem } from '../sign/problem.ts';
import { actionOf, isRoot, isRpcOnly } from './action.ts';
import { hasCredentialActions, isCredentialAction } from './credential-operations.ts';
import { hasRoutes, routeOf } from './routes.ts';
import { readS3, type S3Host } from './s3-request.ts';

/** What a request is signed for. */
export interface FactsPlace {
  /** Signing name. */
  readonly service: string;
  readonly region?: string | undefined;
}

/**
 * What a request is. `head` has the target that goes upstream; `host` is what is known of the host; `form` the body
 * where `needsForm` asks for it. Nothing is guessed: what the request says in two ways is absent.
 */
export function awsFactsOf(head: SignableHead, place: FactsPlace, host: S3Host = {}, form?: Uint8Array): AwsFacts {
  const { service, region } = place;
  const base = region === undefined ? { service } : { service, region };
  if (pathRuleOf(service) === 's3') {
    const control = host.control === true ? controlAction(head, service) : undefined;
    return { ...base, ...(control === undefined ? readS3(head, service, host) : { action: control }) };
  }
  const action = actionOf(head, service, form);
  return action === undefined ? base : { ...base, action };
}

/**
 * Whether the answer holds a credential that the agent could use without the sidecar. A request that does not say
 * clearly what it is counts as one, at services that have such operations.
 */
export function returnsCredentials({ service, action }: AwsFacts, head: SignableHead): boolean {
  const { path } = splitTarget(head.target);
  if (pathRuleOf(service) === 's3')
    return action === 'CreateSession' || asksForSession(head) || routes(head, service, path);
  if (routes(head, service, path)) return true;
  if (!hasCredentialActions(service)) return false;
  if (action !== undefined) return isCredentialAction(service, action);
  return (
    isRpcOnly(protocolsOf(service)) ||
    isRoot(head) ||
    head.headers.some((name, at) => at % 2 === 0 && /^x-amz-target$/i.test(name))
  );
}

function controlAction(head: SignableHead, service: string): string | undefined {
  return routeOf(service, head.method, splitTarget(head.target).path)?.action;
}

function routes({ method }: SignableHead, service: string, path: string): boolean {
  return hasRoutes(service) && routeOf(service, method, path)?.returnsCredentials === true;
}

/** S3 API Reference, CreateSession: the answer to `?session` are keys. */
function asksForSession({ method, target }: SignableHead): boolean {
  const { query } = splitTarget(target);
  if (method.toUpperCase() !== 'GET' || query === '') return false;
  try {
    return parseQuery(query).some(([name]) => name.trim().toLowerCase() === 'session');
  } catch (thrown) {
    if (thrown instanceof SigningProblem) return true;
    throw thrown;
  }
}
