import type { Config, EgressConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { accessRequest } from '../http/admit.ts';
import type { HttpRoutes } from '../http/binding.ts';
import { place, type Placement } from '../http/place.ts';
import { parseRequestTarget } from '../http/target.ts';
import type { Policy } from '../policy/policy.ts';
import { NO_SERVICE, type AccessRequest, type Principal } from '../policy/request.ts';
import { UsageError } from './command.ts';
import { answerOf, refusedAs, type Explained } from './explained.ts';
import { didYouMean } from './suggest.ts';

type Answered = Omit<Explained, 'listener'>;

/** Who it is that shows the token of `agent`, or none; undefined where a token is asked for. Errors: `UsageError`. */
export function askerOf({ agents }: Config, egress: EgressConfig, agent: string | undefined): Principal | undefined {
  const { agent: named, mode } = egress;
  const proven = mode === 'proxy' ? Object.keys(agents) : [];
  const unproven = named ?? (proven.length === 0 ? 'local' : undefined);
  if (agent !== undefined && proven.includes(agent)) return { agent, attested: 'token' };
  if (agent === undefined || agent === unproven) {
    return unproven === undefined ? undefined : { agent: unproven, attested: 'listener' };
  }
  const known = [...proven, ...(unproven === undefined ? [] : [unproven])];
  throw new UsageError(`nobody who asks through \`egress\` can be agent ${quote(agent)}${didYouMean(agent, known)}`);
}

/** What would become of a request for a whole URL. `routes`: those of the listener, with nobody asking yet. */
export function explainEgress(
  { callers: _, ...routes }: HttpRoutes,
  head: RequestHead,
  principal: Principal | undefined,
  policy: Policy,
): Answered {
  if (principal === undefined) return refusedAs(new SidecarError('proxy-auth-required'), '; say with --agent who asks');
  try {
    const target = parseRequestTarget(head.target);
    if (target.form !== 'absolute') throw new SidecarError('absolute-form-required');
    const { origin } = target;
    const asked = { ...head, headers: ['Host', hostOf(head.target)] };
    // What is encrypted comes through a tunnel, which is for one origin.
    const tunnel = origin.scheme === 'https' ? { authority: origin } : {};
    const placement = place({ ...routes, ...tunnel, principal }, asked);
    return answered(placement, policy);
  } catch (thrown) {
    const error = asSidecarError(thrown);
    // The command line has no signature to show: what such a request asks for is another question.
    return refusedAs(
      error,
      error.code === 'caller-unproven' ? '; for a request to AWS ask with --service and --aws' : '',
    );
  }
}

/** As a client sends it: `parseRequestTarget` has read it. */
function hostOf(url: string): string {
  return /^[^/]*\/\/([^/?]*)/.exec(url)![1]!;
}

function answered(placement: Placement, policy: Policy): Answered {
  const { binding, origin, principal } = placement;
  const request = accessRequest(placement);
  const about = { agent: principal.agent, upstream: formatOrigin(origin) };
  if (binding.service === NO_SERVICE) return { ...about, ...untouched(placement, request, policy) };
  return {
    service: binding.service,
    connector: binding.connector,
    ...about,
    ...(request.facts.path === undefined ? {} : { path: request.facts.path }),
    ...answerOf(policy.explain(request), placement.credentialed),
  };
}

/** Nobody looks into a tunnel that leads to no service: policy sees where it goes. */
function untouched({ origin }: Placement, request: AccessRequest, policy: Policy): ReturnType<typeof answerOf> {
  const { host, port } = origin;
  const isTunnel = origin.scheme === 'https';
  const seen = isTunnel ? { ...request, facts: { method: 'CONNECT', host, port } } : request;
  const refusal = policy.forbids(seen);
  if (refusal !== undefined) return answerOf({ verdict: refusal, findings: [] }, false);
  const reason = `no service has this origin, and \`egress\` lets it pass${isTunnel ? ' untouched' : ''}`;
  return { credential: false, allowed: true, reason, rules: [] };
}
