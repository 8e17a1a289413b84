/**
 * How policy decides.
 *
 * **Without rules** (`rules:` is absent) every request is allowed but those whose answer holds a credential: the sidecar
 * asks only for services bound to the listener. **With rules** (also with an empty list) nothing is allowed unless a rule says so:
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
 * | `aws`          | requests to Amazon Web Services, by the lists in it; see below                                    |
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
 * **`aws`** has lists of names, each with `*` for any run of characters, slashes too; case matters: `services` (signing
 * names: `s3`, `monitoring`), `regions`, `actions` (`GetObject`), `buckets` and `keys` of objects, decoded. Each list that
 * is there must match. A request that copies an object names two: an allow rule must match both, a deny rule denies
 * where it matches either.
 *
 * **What an AWS request does not tell** never matches an allow rule, and always a deny rule, which else would be slipped
 * past by not telling it: an action that cannot be read, the region of a signature for several, and of S3 (signing
 * names that begin with `s3`) the bucket and the key. So a deny rule on `buckets` denies ListBuckets and access points
 * of many regions too, and one on `keys` denies listings and DeleteObjects, whose keys are in its body: with `actions`
 * beside them it denies less. Other services have no buckets, and no such rule denies them.
 *
 * **An answer that holds a credential** (`AssumeRole`, `CreateAccessKey`) is given only where an allow rule with
 * `returnsCredentials: true` matches; the others pass such a request over, and without rules it is refused. Such an allow
 * rule allows the rest of what it matches as well. A deny rule with it denies those requests alone.
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
import { findingOf, type Finding } from './finding.ts';
import { lookFurther, lookWhole, Subject, type Look } from './look.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest } from './request.ts';

export { checkRules, compilePolicy } from './compile.ts';
export type { Allowance, CompiledPolicy, Refusal, RuleProblem, Verdict } from './compile.ts';
export type { Finding } from './finding.ts';

export interface Explanation {
  readonly verdict: Verdict;
  /** The rules looked at, in order. */
  readonly findings: readonly Finding[];
}

const OPEN: Allowance = Object.freeze({ allow: true, rule: undefined, perMinute: undefined });
const NO_RULE: Refusal = refusal(DEFAULT_DENY, 'no rule allows this');
const NO_CREDENTIALS: Refusal = refusal(
  DEFAULT_DENY,
  'the answer would hold a credential: only a rule with returnsCredentials allows it',
);

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
  const returns = request.facts.returnsCredentials === true;
  if (policy.open) return returns ? NO_CREDENTIALS : OPEN;
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
  return returns ? NO_CREDENTIALS : NO_RULE;
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
    case 'aws':
    case 'returnsCredentials':
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
