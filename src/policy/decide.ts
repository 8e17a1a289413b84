/**
 * How policy decides.
 *
 * **Without rules** (`rules:` is absent) every request is allowed: the sidecar asks only for services bound to the
 * listener. **With rules** (also with an empty list) nothing is allowed unless a rule says so:
 *
 * 1. Deny rules are looked at first, in their order. The first that matches refuses, whatever else is allowed.
 * 2. Then allow rules, in their order. The first whose selectors match decides, also where its answer is no: outside
 *    its `time`, or without `rate` left, the request is refused in that rule's name and later rules are not asked.
 * 3. Where no rule matched, the request is refused by `default-deny`.
 *
 * **Selectors** must all match; within one selector any of the patterns may. An absent selector matches everything, and
 * one that is present does not match a request that lacks the fact (a Postgres login has no method).
 *
 * | selector       | matches                                                                                          |
 * |----------------|--------------------------------------------------------------------------------------------------|
 * | `agents`       | name of the principal's agent; `*` is any run of characters                                      |
 * | `services`     | name of the service; `*` is any run of characters                                                |
 * | `methods`      | HTTP method, exactly, case and all; `*` alone is any method; a deny rule on GET also denies HEAD  |
 * | `hosts`        | upstream host: a name, an IP literal, or `*.example.com` (its subdomains, not itself); `:443` may follow |
 * | `paths`        | canonical path without the query; see below                                                      |
 * | `databases`    | name of the database that a login is for; case matters; `*` is any run of characters             |
 * | `applications` | what the program that logs in calls itself, likewise; see below                                  |
 * | `replication`  | `true`: logins that ask for a replication stream; `false`: those that do not                     |
 *
 * **Paths** begin with `/` and are compared segment by segment: `*` is any run of characters within one segment (but a
 * segment of it is not empty), `**` as a whole segment is any number of segments, also none: `/repos/acme/**` matches
 * `/repos/acme`, `/repos/acme/` and all below. Patterns are written decoded (`/café/a b`) or escaped (`/caf%C3%A9/a%20b`);
 * `%2A` is a star that is no wildcard. `**` alone is `/**`. On both sides an escape of a printable ASCII character other than `/`, `%` and
 * `\` reads as that character: a rule on `/job:cancel` covers `/job%3Acancel`. A slash at the end is a segment of its own
 * for an allow rule (`/a` and `/a/` differ) and makes no difference for a deny rule. Case matters.
 *
 * **A path that can be read in more than one way** (encoded slash, doubled slash, `;` …) cannot be held against `paths`.
 * Where a rule has `paths` and would match apart from them, the request is refused with `path-ambiguous`: by a deny
 * rule that is within its `time`, and by an allow rule, also if a later one without `paths` would allow it. Rules
 * without `paths` do not mind.
 *
 * **HEAD** is GET without the body (RFC 9110 section 9.3.2), so a deny rule that lists GET also denies HEAD. An allow rule
 * allows what it lists and nothing else.
 *
 * **What a login says of itself** may be any text: whoever connects chooses `applications` freely, or leaves the name out.
 * They keep honest programs apart; a deny rule on them stops nobody who wants to pass. A replication stream may carry
 * every database, whatever its login names: an allow rule on `databases` that must not open them all says
 * `replication: false`.
 *
 * **`time`**: open from `from` (inclusive, default 00:00) to `to` (exclusive, default 24:00) on the wall clock of `zone`
 * (IANA, default UTC). `from` later than `to` runs overnight, and `days` are the days on which the window begins:
 * fri 22:00–06:00 ends on Saturday morning. Times that the clock skips never come, times that it shows twice
 * count twice. A deny rule denies only within its window.
 *
 * **`rate`**: at most `perMinute` uses in any 60 seconds for each rule, agent and service. It is asked last, and only a
 * request that everything else allows is counted. A deny rule has no rate.
 */
import { DEFAULT_DENY, refusal } from './compile.ts';
import type { Allowance, CompiledPolicy, CompiledRule, Refusal, Verdict } from './compile.ts';
import { unmatchedSelector, type PlainSelector } from './narrow.ts';
import { numbersOf, segmentsOf, type PathMatcher } from './path-pattern.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest, Facts } from './request.ts';
import type { Rule } from './rules.ts';

export { checkRules, compilePolicy } from './compile.ts';
export type { Allowance, CompiledPolicy, Refusal, RuleProblem, Verdict } from './compile.ts';

/** What became of one rule that was looked at. */
export interface Finding {
  readonly rule: string;
  readonly effect: Rule['effect'];
  /** True for the rule that decided, which is the last one. */
  readonly decides: boolean;
  /** A sentence for the operator; may quote the request. */
  readonly because: string;
}

export interface Explanation {
  readonly verdict: Verdict;
  /** The rules looked at, in order. */
  readonly findings: readonly Finding[];
}

/** How a rule looks at a request: the selector that does not match, or what speaks for or against a match. */
type Look = PlainSelector | LoginSelector | 'paths' | 'matches' | 'closed' | 'ambiguous';

const OPEN: Allowance = Object.freeze({ allow: true, rule: undefined, perMinute: undefined });
const NO_RULE: Refusal = refusal(DEFAULT_DENY, 'no rule allows this');

/** Decides; changes nothing. Whoever acts on an allowance with `perMinute` counts the use. */
export function evaluate(policy: CompiledPolicy, request: AccessRequest, now: Date, used: RateReader): Verdict {
  return walk(policy, request, now, used, undefined);
}

/** Decides like `evaluate` and says why. */
export function explainVerdict(
  policy: CompiledPolicy,
  request: AccessRequest,
  now: Date,
  used: RateReader,
): Explanation {
  const findings: Finding[] = [];
  return { verdict: walk(policy, request, now, used, findings), findings };
}

function walk(
  policy: CompiledPolicy,
  request: AccessRequest,
  now: Date,
  used: RateReader,
  findings: Finding[] | undefined,
): Verdict {
  if (policy.open) return OPEN;
  const subject = new Subject(request, now);
  // Who wants to know why hears of every rule, also of those that could not match.
  const { denies, allows } = findings === undefined ? policy.narrowing.rulesFor(request) : policy;
  const look = findings === undefined ? lookFurther : lookWhole;
  for (const rule of denies) {
    const seen = look(rule, subject);
    const verdict = seen === 'matches' ? rule.verdict : seen === 'ambiguous' ? ambiguous(rule, request) : undefined;
    findings?.push(findingOf(rule, seen, request, verdict));
    if (verdict !== undefined) return verdict;
  }
  for (const rule of allows) {
    const seen = look(rule, subject);
    const verdict = answer(rule, seen, request, used);
    findings?.push(findingOf(rule, seen, request, verdict));
    if (verdict !== undefined) return verdict;
  }
  return NO_RULE;
}

/** A request with what several rules need of it. */
class Subject {
  readonly request: AccessRequest;
  readonly now: Date;
  #segments: readonly string[] | undefined;
  #numbers: readonly number[] = [];

  constructor(request: AccessRequest, now: Date) {
    this.request = request;
    this.now = now;
  }

  /** `path` is that of the request. */
  isMatchedBy(paths: PathMatcher, path: string): boolean {
    if (this.#segments === undefined) {
      this.#segments = segmentsOf(path);
      this.#numbers = numbersOf(this.#segments);
    }
    return paths(this.#segments, this.#numbers);
  }
}

function lookWhole(rule: CompiledRule, subject: Subject): Look {
  return unmatchedSelector(rule, subject.request) ?? lookFurther(rule, subject);
}

/** What is left to see of a rule whose plain selectors match. */
function lookFurther(rule: CompiledRule, subject: Subject): Look {
  const unmet = unmatchedLogin(rule, subject.request.facts);
  if (unmet !== undefined) return unmet;
  if (rule.paths !== undefined) {
    const { path, pathAmbiguity } = subject.request.facts;
    if (pathAmbiguity !== undefined) {
      return rule.source.effect === 'deny' && !isOpen(rule, subject.now) ? 'closed' : 'ambiguous';
    }
    if (path === undefined || !subject.isMatchedBy(rule.paths, path)) return 'paths';
  }
  return isOpen(rule, subject.now) ? 'matches' : 'closed';
}

type LoginSelector = 'databases' | 'applications' | 'replication';

/** Not among the plain ones: their values are any text that a client cares to send, so they are worth no memory. */
function unmatchedLogin(rule: CompiledRule, facts: Facts): LoginSelector | undefined {
  const { databases, applications, replication } = rule;
  if (databases !== undefined && (facts.database === undefined || !databases(facts.database))) return 'databases';
  if (applications !== undefined && (facts.application === undefined || !applications(facts.application))) {
    return 'applications';
  }
  if (replication !== undefined && facts.replication !== replication) return 'replication';
  return undefined;
}

function isOpen({ window }: CompiledRule, now: Date): boolean {
  return window === undefined || window(now);
}

/** What an allow rule answers; undefined where its selectors do not match. */
function answer(rule: CompiledRule, seen: Look, request: AccessRequest, used: RateReader): Verdict | undefined {
  switch (seen) {
    case 'matches':
      return rule.perMinute === undefined ? rule.verdict : rated(rule, rule.perMinute, request, used);
    case 'closed':
      return rule.closed;
    case 'ambiguous':
      return ambiguous(rule, request);
    case 'agents':
    case 'services':
    case 'methods':
    case 'hosts':
    case 'paths':
    case 'databases':
    case 'applications':
    case 'replication':
      return undefined;
    default:
      return seen satisfies never;
  }
}

function rated(rule: CompiledRule, perMinute: number, request: AccessRequest, used: RateReader): Verdict {
  const wait = used.waitMilliseconds(rule.source.id, request.principal.agent, request.service, perMinute);
  if (wait <= 0) return rule.verdict;
  return {
    allow: false,
    code: 'rate-limited',
    rule: rule.source.id,
    reason: `the rule allows ${perMinute} a minute`,
    retryAfterSeconds: Math.ceil(wait / 1000),
  };
}

function ambiguous(rule: CompiledRule, request: AccessRequest): Refusal {
  const why = request.facts.pathAmbiguity ?? '';
  return {
    allow: false,
    code: 'path-ambiguous',
    rule: rule.source.id,
    reason: `the paths of the rule cannot be held against the path: ${why}`,
  };
}

function findingOf(rule: CompiledRule, seen: Look, request: AccessRequest, verdict: Verdict | undefined): Finding {
  const { id, effect } = rule.source;
  return { rule: id, effect, decides: verdict !== undefined, because: because(rule.source, seen, request, verdict) };
}

function because(rule: Rule, seen: Look, request: AccessRequest, verdict: Verdict | undefined): string {
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
    case 'closed':
      return `it is outside the time window ${windowOf(rule)}`;
    case 'matches':
    case 'ambiguous':
      return verdict === undefined || verdict.allow ? 'all selectors match' : verdict.reason;
    default:
      return seen satisfies never;
  }
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
