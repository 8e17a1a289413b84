import { unmatchedAws } from './aws.ts';
import type { CompiledRule } from './compile.ts';
import { unmatchedSelector, type PlainSelector } from './narrow.ts';
import { numbersOf, segmentsOf, type PathMatcher } from './path-pattern.ts';
import type { AccessRequest, Facts } from './request.ts';
import { unmatchedSsh } from './ssh.ts';

/** How a rule looks at a request: the selector that does not match, or what speaks for or against a match. */
export type Look =
  | PlainSelector
  | LoginSelector
  | 'deliver'
  | 'aws'
  | 'ssh'
  | 'returnsCredentials'
  | 'paths'
  | 'matches'
  | 'closed'
  | 'ambiguous';

/** A request with what several rules need of it. */
export class Subject {
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

export function lookWhole(rule: CompiledRule, subject: Subject): Look {
  return unmatchedSelector(rule, subject.request) ?? lookFurther(rule, subject);
}

/** What is left to see of a rule whose plain selectors match. */
export function lookFurther(rule: CompiledRule, subject: Subject): Look {
  const { facts } = subject.request;
  if (rule.deliver !== undefined && !rule.deliver.includes(facts.delivery ?? 'inject')) return 'deliver';
  const unmet = unmatchedLogin(rule, facts);
  if (unmet !== undefined) return unmet;
  if (rule.aws !== undefined && unmatchedAws(rule.aws, facts.aws) !== undefined) return 'aws';
  if (unmatchedSsh(rule.ssh, facts.ssh) !== undefined) return 'ssh';
  if (sparesAnswer(rule, facts)) return 'returnsCredentials';
  if (rule.paths !== undefined) {
    const { path, pathAmbiguity } = facts;
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

/** Whether the rule is not about requests with such an answer: an allow rule must say that it covers credentials. */
function sparesAnswer(rule: CompiledRule, facts: Facts): boolean {
  const returns = facts.returnsCredentials === true;
  return rule.source.effect === 'deny' ? rule.returnsCredentials && !returns : returns && !rule.returnsCredentials;
}

function isOpen({ window }: CompiledRule, now: Date): boolean {
  return window === undefined || window(now);
}
