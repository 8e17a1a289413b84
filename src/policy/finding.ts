import { untoldAws, whyUnmatchedAws } from './aws.ts';
import type { CompiledRule, Verdict } from './compile.ts';
import type { Look } from './look.ts';
import type { AccessRequest } from './request.ts';
import type { Rule } from './rules.ts';
import { untoldSsh, whyUnmatchedSsh } from './ssh-why.ts';

/** What became of one rule that was looked at. */
export interface Finding {
  readonly rule: string;
  readonly effect: Rule['effect'];
  /** True for the rule that decided, which is the last one. */
  readonly decides: boolean;
  /** A sentence for the operator; may quote the request. */
  readonly because: string;
}

export function findingOf(
  rule: CompiledRule,
  seen: Look,
  request: AccessRequest,
  verdict: Verdict | undefined,
): Finding {
  const { id, effect } = rule.source;
  return { rule: id, effect, decides: verdict !== undefined, because: because(rule, seen, request, verdict) };
}

function because(compiled: CompiledRule, seen: Look, request: AccessRequest, verdict: Verdict | undefined): string {
  const rule = compiled.source;
  switch (seen) {
    case 'agents':
      return unmatched('agent', request.principal.agent, rule.agents);
    case 'services':
      return unmatched('service', request.service, rule.services);
    case 'methods':
      return unmatched('method', request.facts.method, rule.methods);
    case 'hosts':
      return unmatched('host', hostOf(request), rule.hosts);
    case 'paths':
      return unmatched('path', request.facts.path, rule.paths);
    case 'databases':
      return unmatched('database', request.facts.database, rule.databases);
    case 'applications':
      return unmatched('application', request.facts.application, rule.applications);
    case 'replication':
      return unmatchedReplication(request.facts.replication);
    case 'deliver':
      return `delivery "${request.facts.delivery ?? 'inject'}" matches none of ${(compiled.deliver ?? []).join(', ')}`;
    case 'aws':
      return compiled.aws === undefined ? '' : whyUnmatchedAws(rule.aws ?? {}, compiled.aws, request.facts.aws);
    case 'ssh':
      return whyUnmatchedSsh(rule, compiled.ssh, request.facts.ssh);
    case 'returnsCredentials':
      return rule.effect === 'deny' ? 'the answer holds no credential' : 'the rule does not say returnsCredentials';
    case 'closed':
      return `it is outside the time window ${windowOf(rule)}`;
    case 'matches':
      return `${reasonOf(verdict)}${untoldOf(compiled, request)}`;
    case 'ambiguous':
      return reasonOf(verdict);
    default:
      return seen satisfies never;
  }
}

function reasonOf(verdict: Verdict | undefined): string {
  return verdict === undefined || verdict.allow ? 'all selectors match' : verdict.reason;
}

function untoldOf({ aws, ssh }: CompiledRule, { facts }: AccessRequest): string {
  const overSsh = untoldSsh(ssh, facts.ssh);
  if (overSsh !== undefined) return `: ${overSsh}`;
  const untold = aws === undefined ? [] : untoldAws(aws, facts.aws);
  return untold.length === 0 ? '' : `: the request tells no ${untold.join(' and no ')}, which counts as a match`;
}

function unmatched(what: string, actual: string | undefined, patterns: readonly string[] = []): string {
  if (actual === undefined) return `the request has no ${what}`;
  return `${what} "${actual}" matches none of ${patterns.join(', ')}`;
}

function unmatchedReplication(actual: boolean | undefined): string {
  if (actual === undefined) return 'the request says nothing of replication';
  return actual ? 'it asks for a replication stream' : 'it asks for no replication stream';
}

function hostOf({ facts }: AccessRequest): string | undefined {
  if (facts.host === undefined || facts.port === undefined) return facts.host;
  return `${facts.host.includes(':') ? `[${facts.host}]` : facts.host}:${facts.port}`;
}

function windowOf({ time = {} }: Rule): string {
  const { from = '00:00', to = '24:00', zone = 'UTC', days } = time;
  return `${from}–${to} ${zone}${days === undefined ? '' : ` beginning ${days.join(', ')}`}`;
}
