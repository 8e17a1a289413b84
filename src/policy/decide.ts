/**
 * How policy decides.
 *
 * **Without rules** (`rules:` is absent) every request is allowed but those whose answer holds a credential, those that
 * hand the credential itself over, and those that reach past an SSH session (forwards, listens, agent forwarding, X11): the
 * sidecar asks only for services bound to the listener. **With rules** (also with an empty list) nothing is allowed unless a rule says so:
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
 * | `ssh`          | what is asked for over SSH, or of an agent that signs for it; see below                           |
 * | `deliver`      | how the credential gets to whoever asks: `inject` or `value`; see below                           |
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
 * **`deliver`** tells uses in which the sidecar puts the credential on what passes (`inject`: all that listeners serve) from
 * those in which whoever asks is handed the credential itself (`value`). An allow rule without it covers `inject` alone, a
 * deny rule without it both; without rules `value` is refused.
 *
 * **What passes untouched** (a tunnel that leads to no service) gets no credential and is of service `-`: deny rules are
 * held against it, with its method CONNECT and its host, and no allow rule is asked for (`Policy.forbids`). What goes
 * through such a tunnel nobody reads: rules on `paths` and other methods do not match it.
 *
 * **`ssh`** says by its keys what a rule covers: a request that any of them covers, for one of its `users`. Where it names
 * nothing (`users` alone, or no key but `false`), and in a rule without `ssh`, these are sessions (commands, shells,
 * subsystems, terminals), jumps and signatures, less what is `false`; a deny rule then covers all the rest too. Forwards,
 * listens, agent forwarding, X11 and signatures that a host on the way asks for (`forwarded`) are covered by the allow
 * rules that name them, and by no others.
 *
 * | key in `ssh`      | covers                                                                                         |
 * |-------------------|------------------------------------------------------------------------------------------------|
 * | `commands`        | whole commands. Of an allow rule `*` is any run of ASCII letters, digits, blanks and `_@%+=:,./-`, and `**` of anything; of a deny rule both are anything |
 * | `git`             | commands of git: `repos` without `.git` and outer slashes, case apart, `*` not over slashes and `**` over them; `push: true` pushes alone, `push: false` all but pushes. No other command |
 * | `shell`, `pty`    | shells; terminals, which without `pty` go with shells                                           |
 * | `subsystems`      | their names                                                                                    |
 * | `forwards`        | `host:port` or paths of sockets as they are sent, of hosts case apart; jumps too. `*` alone is any of both; of an allow rule it is letters, digits and `._-[]:` in a host (`**` is anything), and all but slashes in a path (`**` slashes too) |
 * | `listens`         | likewise                                                                                       |
 * | `agentForwarding` | agent forwarding; with `hostKeys` or `namespaces` beside it also forwarded signatures of theirs; of a deny rule all forwarded signatures |
 * | `x11Forwarding`   | X11                                                                                            |
 * | `hostKeys`        | signatures for logins to hosts with these keys; `*` covers also hosts that are not proven        |
 * | `namespaces`      | signatures of documents                                                                        |
 *
 * **What a request over SSH does not tell** matches a deny rule: a command that may be one of git's and cannot be read
 * with certainty (to `git`), a host that is not proven (to `hostKeys`). No allow rule's key covers it. A document is
 * signed for no user, so that no rule with `users` covers one.
 *
 * **Openings**: a `login`, and listing `keys`, are asked before anybody knows what for. An allow rule allows them where it
 * covers something that may come after (a terminal, agent forwarding and X11 are nothing by themselves), a deny
 * rule denies them where it covers all that may, for any user where the login names none. An allow rule outside its `time` passes them over, where it would refuse
 * a request. What comes after is decided by itself each time.
 *
 * **`time`**: open from `from` (inclusive, default 00:00) to `to` (exclusive, default 24:00) on the wall clock of `zone`
 * (IANA, default UTC). `from` later than `to` runs overnight, and `days` are the days on which the window begins:
 * fri 22:00–06:00 ends on Saturday morning. Times that the clock skips never come, times that it shows twice
 * count twice. A deny rule denies only within its window.
 *
 * **`rate`**: at most `perMinute` uses in any 60 seconds for each rule, agent and service. It is asked last, and only a
 * request that everything else allows is counted. A deny rule has no rate. Over SSH openings are counted apart, so that
 * a login and its command are not two uses of one budget, and only by rules that cover all they can of what comes after;
 * terminals, agent forwarding and X11, which go with a command or a shell, are not counted.
 */
import { DEFAULT_DENY, refusal } from './compile.ts';
import type { Allowance, CompiledPolicy, CompiledRule, Refusal, Verdict } from './compile.ts';
import { findingOf, type Finding } from './finding.ts';
import { lookFurther, lookWhole, Subject, type Look } from './look.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest } from './request.ts';
import { coversOpening, isEquipment, isOpening, reachesFurther } from './ssh.ts';

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
const NOT_NOW: Refusal = refusal(DEFAULT_DENY, 'no rule allows this now: the time of those that could is over');
const NOT_NAMED: Refusal = refusal(DEFAULT_DENY, 'only a rule that names it allows this');
const NO_CREDENTIALS: Refusal = refusal(
  DEFAULT_DENY,
  'the answer would hold a credential: only a rule with returnsCredentials allows it',
);

const NO_VALUE: Refusal = refusal(
  DEFAULT_DENY,
  'the credential itself would be handed over: only a rule with `deliver: [value]` allows it',
);

/** Decides; changes nothing. Whoever acts on an allowance with `perMinute` counts the use. */
export function evaluate(policy: CompiledPolicy, request: AccessRequest, now: Date, used: RateReader): Verdict {
  return walk(policy, request, now, used, undefined);
}

/**
 * The deny rule that a use without a service is refused by; undefined where there is none. What passes untouched gets no
 * credential, so it needs no rule that allows it.
 */
export function forbidden(policy: CompiledPolicy, request: AccessRequest, now: Date): Refusal | undefined {
  const subject = new Subject(request, now);
  for (const rule of policy.narrowing.rulesFor(request).denies) {
    const seen = lookFurther(rule, subject);
    if (seen === 'ambiguous') return ambiguous(rule, request);
    if (seen === 'matches' && !rule.verdict.allow) return rule.verdict;
  }
  return undefined;
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
  if (policy.open) return reserved(request) ?? OPEN;
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
  let hasClosed = false;
  for (const rule of allows) {
    const seen = look(rule, subject);
    hasClosed ||= seen === 'closed';
    const verdict = answer(rule, seen, request, used);
    findings?.push(findingOf(rule, seen, request, verdict));
    if (verdict !== undefined) return verdict;
  }
  return reserved(request) ?? (hasClosed ? NOT_NOW : NO_RULE);
}

/** The refusal of what no rule covers that does not say so; undefined where it is nothing like it. */
function reserved({ facts }: AccessRequest): Refusal | undefined {
  if (facts.delivery === 'value') return NO_VALUE;
  if (facts.returnsCredentials === true) return NO_CREDENTIALS;
  return reachesFurther(facts.ssh?.request) ? NOT_NAMED : undefined;
}

/** What an allow rule answers; undefined where its selectors do not match, or where it leaves that to later rules. */
function answer(rule: CompiledRule, seen: Look, request: AccessRequest, used: RateReader): Verdict | undefined {
  switch (seen) {
    case 'matches':
      return rule.perMinute === undefined ? rule.verdict : rated(rule, rule.perMinute, request, used);
    case 'closed':
      return isOpening(request.facts.ssh) ? undefined : rule.closed;
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
    case 'deliver':
    case 'aws':
    case 'ssh':
    case 'returnsCredentials':
      return undefined;
    default:
      return seen satisfies never;
  }
}

function rated(rule: CompiledRule, perMinute: number, request: AccessRequest, used: RateReader): Verdict {
  const { ssh } = request.facts;
  const opens = ssh !== undefined && isOpening(ssh);
  if (isEquipment(ssh) || (opens && !coversOpening(rule.ssh, ssh))) return rule.uncounted;
  const counted = opens ? 'openings' : 'requests';
  const { principal, service } = request;
  const wait = used.waitMilliseconds(rule.source.id, principal.agent, service, perMinute, counted);
  if (wait <= 0) return opens ? rule.opened : rule.verdict;
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
