import { compilePolicy, evaluate, explainVerdict, forbidden } from './decide.ts';
import type { CompiledPolicy, Explanation, Refusal } from './decide.ts';
import { RateWindows, type RateReader } from './rate.ts';
import { Grant, NO_SERVICE, type AccessRequest, type Decision } from './request.ts';
import type { Rule } from './rules.ts';

export interface PolicyOptions {
  /** Counts of the policy before this one, so that a reload resets none. */
  readonly rates?: RateWindows;
  /** Wall clock, for `time`. */
  readonly now?: () => Date;
  /** Milliseconds that never go back, for `rate`. One clock for all policies that share `rates`. */
  readonly monotonic?: () => number;
}

/** For a use that was counted when it began. */
const NO_RATE: RateReader = { waitMilliseconds: () => 0 };

/** All rules with their clocks and counts: the one place that issues grants. See `decide.ts` for how it decides. */
export class Policy {
  readonly rates: RateWindows;
  readonly #policy: CompiledPolicy;
  readonly #now: () => Date;
  readonly #monotonic: () => number;
  readonly #used: RateReader;

  /** Throws `config-invalid` where a rule cannot be compiled. Undefined: no rules are configured. */
  constructor(rules: readonly Rule[] | undefined, options: PolicyOptions = {}) {
    this.#policy = compilePolicy(rules);
    this.rates = options.rates ?? new RateWindows();
    this.#now = options.now ?? (() => new Date());
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#used = {
      waitMilliseconds: (rule, agent, service, perMinute, counted) =>
        this.rates.waitMilliseconds(rule, agent, service, perMinute, this.#monotonic(), counted),
    };
  }

  /** Decides, and counts the use where the rule that allows has a rate. What has no service only deny rules refuse. */
  decide(request: AccessRequest): Decision {
    if (request.service === NO_SERVICE) {
      return this.forbids(request) ?? { allow: true, grant: Grant.issue(request, undefined) };
    }
    const verdict = evaluate(this.#policy, request, this.#now(), this.#used);
    if (!verdict.allow) return verdict;
    const { rule, perMinute, opening } = verdict;
    if (rule !== undefined && perMinute !== undefined) {
      const counted = opening === true ? 'openings' : 'requests';
      this.rates.count(rule, request.principal.agent, request.service, perMinute, this.#monotonic(), counted);
    }
    return { allow: true, grant: Grant.issue(request, rule) };
  }

  /** Whether a use that was allowed would be allowed now, its rate apart; counts nothing. */
  permits(request: AccessRequest): boolean {
    if (request.service === NO_SERVICE) return this.forbids(request) === undefined;
    return evaluate(this.#policy, request, this.#now(), NO_RATE).allow;
  }

  /** The deny rule that keeps what passes untouched, without a service and a credential, from passing. */
  forbids(request: AccessRequest): Refusal | undefined {
    return forbidden(this.#policy, request, this.#now());
  }

  /** What `decide` would say now, and why; counts nothing. */
  explain(request: AccessRequest): Explanation {
    return explainVerdict(this.#policy, request, this.#now(), this.#used);
  }
}
