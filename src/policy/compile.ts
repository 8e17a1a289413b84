import { SidecarError } from '../error.ts';
import { compileAws, type CompiledAws } from './aws.ts';
import { compileMethods, compileNames, type Matcher } from './glob.ts';
import { compileHosts, type HostMatcher } from './host-pattern.ts';
import { Narrowing, type RuleLists } from './narrow.ts';
import { checkedBoolean, partsOf, type Report } from './parts.ts';
import { compilePaths, type PathMatcher } from './path-pattern.ts';
import { DELIVERIES, type Decision, type Delivery } from './request.ts';
import type { Rule } from './rules.ts';
import { compileSsh, EVERY_SSH, type CompiledSsh } from './ssh.ts';
import { compileWindow, type Window } from './time-window.ts';

/** What policy says before a grant is made. */
export type Verdict = Allowance | Refusal;

export interface Allowance {
  readonly allow: true;
  /** Undefined where no rules are configured. */
  readonly rule: string | undefined;
  /** The use must be counted against this rate. */
  readonly perMinute: number | undefined;
  /** It is counted among the openings of the rule, which have a window of their own beside its requests. */
  readonly opening?: true;
}

export type Refusal = Extract<Decision, { allow: false }>;

/** Rules made ready to match; the verdicts are made once, so that deciding allocates next to nothing. */
export interface CompiledPolicy extends RuleLists {
  /** True where no rules are configured. */
  readonly open: boolean;
  readonly narrowing: Narrowing;
}

export interface CompiledRule {
  readonly source: Rule;
  readonly agents: Matcher | undefined;
  readonly services: Matcher | undefined;
  readonly methods: Matcher | undefined;
  readonly hosts: HostMatcher | undefined;
  readonly paths: PathMatcher | undefined;
  readonly databases: Matcher | undefined;
  readonly applications: Matcher | undefined;
  readonly replication: boolean | undefined;
  readonly aws: CompiledAws | undefined;
  readonly ssh: CompiledSsh;
  /** Allows requests whose answer holds a credential too, or denies those alone. */
  readonly returnsCredentials: boolean;
  /** Undefined: every delivery. */
  readonly deliver: readonly Delivery[] | undefined;
  readonly window: Window | undefined;
  readonly perMinute: number | undefined;
  /** The answer where the rule matches and nothing stands against it. */
  readonly verdict: Verdict;
  /** The same of an allow rule, uncounted. */
  readonly uncounted: Verdict;
  /** The same of an allow rule, counted among its openings. */
  readonly opened: Verdict;
  /** The answer of an allow rule outside its window. */
  readonly closed: Refusal;
}

/** Something wrong with the rules, found before anything runs. */
export interface RuleProblem {
  /** Position of the rule, then keys: `[2, 'paths']`. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Id that stands for "no rule allowed it". */
export const DEFAULT_DENY = 'default-deny';

const PER_MINUTE_MAX = 1_000_000;

/** Throws `config-invalid` with all that `checkRules` finds. Undefined: no rules are configured. */
export function compilePolicy(rules: readonly Rule[] | undefined): CompiledPolicy {
  if (rules === undefined) return policyOf(true, []);
  const problems: RuleProblem[] = [];
  const compiled = compileRules(rules, problems);
  if (problems.length > 0) {
    const lines = problems.map(({ path, message }) => `rules.${path.join('.')}: ${message}`);
    throw new SidecarError('config-invalid', { detail: lines.join('; ') });
  }
  return policyOf(false, compiled);
}

function policyOf(open: boolean, rules: readonly CompiledRule[]): CompiledPolicy {
  const denies = rules.filter(({ source }) => source.effect === 'deny');
  const allows = rules.filter(({ source }) => source.effect === 'allow');
  return { open, denies, allows, narrowing: new Narrowing({ denies, allows }) };
}

/** All that keeps the rules from being compiled: patterns that could never match, unknown zones, double ids … */
export function checkRules(rules: readonly Rule[]): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  compileRules(rules, problems);
  return problems;
}

function compileRules(rules: readonly Rule[], problems: RuleProblem[]): CompiledRule[] {
  const seen = new Set<string>([DEFAULT_DENY]);
  return rules.map((rule, index) => {
    const report = (keys: readonly string[], message: string): void =>
      void problems.push({ path: [index, ...keys], message });
    if (rule.id === '') report(['id'], 'is empty');
    if (seen.has(rule.id)) report(['id'], `"${rule.id}" is taken`);
    seen.add(rule.id);
    return compileRule(rule, report);
  });
}

function compileRule(rule: Rule, report: Report): CompiledRule {
  const part = partsOf(rule, [], report);
  // A path with a slash at its end is mostly the same place upstream: a deny rule covers it, an allow rule must say so.
  const slashMatters = rule.effect === 'allow';
  return {
    source: rule,
    agents: part('agents', compileNames),
    services: part('services', compileNames),
    methods: part('methods', (methods) => compileMethods(refusedMethods(rule.effect, methods))),
    hosts: part('hosts', compileHosts),
    paths: part('paths', (paths) => compilePaths(paths, slashMatters)),
    databases: part('databases', compileNames),
    applications: part('applications', compileNames),
    replication: part('replication', checkedBoolean),
    aws: part('aws', (aws) => compileAws(aws, rule.effect, partsOf(aws, ['aws'], report))),
    ssh: part('ssh', (ssh) => compileSsh(ssh, rule.effect, report)) ?? EVERY_SSH[rule.effect],
    returnsCredentials: part('returnsCredentials', (returns) => checkedReturns(rule.effect, returns)) ?? false,
    deliver: part('deliver', checkedDeliveries) ?? (rule.effect === 'allow' ? INJECT : undefined),
    window: part('time', compileWindow),
    perMinute: rule.effect === 'allow' ? part('rate', ({ perMinute }) => checkedRate(perMinute)) : undefined,
    verdict: verdictOf(rule, rule.rate?.perMinute),
    uncounted: verdictOf(rule, undefined),
    opened: verdictOf(rule, rule.rate?.perMinute, { opening: true }),
    closed: refusal(rule.id, 'outside the time window of the rule'),
  };
}

/** HEAD is GET without the body (RFC 9110 section 9.3.2) and does the same upstream: who denies one means both. */
function refusedMethods(effect: Rule['effect'], methods: readonly string[]): readonly string[] {
  return effect === 'deny' && methods.includes('GET') ? [...methods, 'HEAD'] : methods;
}

function checkedRate(perMinute: number): number {
  if (Number.isInteger(perMinute) && perMinute >= 1 && perMinute <= PER_MINUTE_MAX) return perMinute;
  throw new Error(`perMinute is a whole number from 1 to ${PER_MINUTE_MAX}`);
}

const INJECT: readonly Delivery[] = ['inject'];

function checkedDeliveries(deliver: readonly Delivery[]): readonly Delivery[] {
  const isList = Array.isArray as (value: unknown) => boolean;
  if (isList(deliver) && deliver.every((one) => DELIVERIES.includes(one))) return deliver;
  throw new Error(`is a list of ${DELIVERIES.join(' and ')}`);
}

/** A deny rule with `false` would deny all but what it seems to be about. */
function checkedReturns(effect: Rule['effect'], returns: boolean): boolean {
  if (effect === 'deny' && !checkedBoolean(returns)) throw new Error('of a deny rule is true, or left out');
  return checkedBoolean(returns);
}

function verdictOf(rule: Rule, perMinute: number | undefined, more: Pick<Allowance, 'opening'> = {}): Verdict {
  if (rule.effect === 'deny') return refusal(rule.id, 'denied by the rule');
  return Object.freeze({ allow: true, rule: rule.id, perMinute, ...more });
}

/** Reasons name nothing from the request: they go to the ledger. */
export function refusal(rule: string, reason: string): Refusal {
  return Object.freeze({ allow: false, code: 'policy-denied', rule, reason });
}
