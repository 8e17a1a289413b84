import type { CompiledRule } from './compile.ts';
import type { AccessRequest } from './request.ts';

/** Rules of both effects, each in their order. */
export interface RuleLists {
  readonly denies: readonly CompiledRule[];
  readonly allows: readonly CompiledRule[];
}

/** Combinations remembered at most: methods and hosts are the client's choice, so there may be any number of them. */
const REMEMBERED_MAX = 4096;
/** Hosts remembered for each service, agent and method: a service has one or a few. */
const HOSTS_MAX = 8;

/**
 * The rules that are left to look at once service, agent, method and host are known. Requests are many and these
 * combinations few, so each is worked out once: what remains for each request are paths, what a login says of itself,
 * what is asked for of AWS or over SSH, time and rate.
 */
export class Narrowing {
  readonly #all: RuleLists;
  #byService = new Map<string, Map<string, Map<string, Remembered[]>>>();
  #remembered = 0;

  constructor(all: RuleLists) {
    this.#all = all;
  }

  rulesFor(request: AccessRequest): RuleLists {
    const { service, principal, facts } = request;
    const { method, host, port } = facts;
    const known = this.#byService
      .get(service)
      ?.get(principal.agent)
      ?.get(method ?? '');
    if (known !== undefined) {
      for (const each of known) {
        if (each.host === host && each.port === port && each.method === method) return each.rules;
      }
    }
    const rules = {
      denies: this.#all.denies.filter((rule) => unmatchedSelector(rule, request) === undefined),
      allows: this.#all.allows.filter((rule) => unmatchedSelector(rule, request) === undefined),
    };
    this.#remember(service, principal.agent, { method, host, port, rules });
    return rules;
  }

  #remember(service: string, agent: string, remembered: Remembered): void {
    if (this.#remembered >= REMEMBERED_MAX) {
      this.#byService = new Map();
      this.#remembered = 0;
    }
    const byAgent = childOf(this.#byService, service, () => new Map<string, Map<string, Remembered[]>>());
    const byMethod = childOf(byAgent, agent, () => new Map<string, Remembered[]>());
    const list = childOf(byMethod, remembered.method ?? '', () => []);
    if (list.length === HOSTS_MAX) {
      list.shift();
      this.#remembered -= 1;
    }
    list.push(remembered);
    this.#remembered += 1;
  }
}

interface Remembered {
  readonly method: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly rules: RuleLists;
}

function childOf<Child>(parent: Map<string, Child>, key: string, make: () => Child): Child {
  const known = parent.get(key);
  if (known !== undefined) return known;
  const made = make();
  parent.set(key, made);
  return made;
}

export type PlainSelector = 'services' | 'agents' | 'methods' | 'hosts';

/** The first of the plain selectors, those that `Narrowing` tells requests apart by, that does not match. */
export function unmatchedSelector(rule: CompiledRule, request: AccessRequest): PlainSelector | undefined {
  const { service, principal, facts } = request;
  if (rule.services !== undefined && !rule.services(service)) return 'services';
  if (rule.agents !== undefined && !rule.agents(principal.agent)) return 'agents';
  if (rule.methods !== undefined && (facts.method === undefined || !rule.methods(facts.method))) return 'methods';
  if (rule.hosts !== undefined && (facts.host === undefined || !rule.hosts(facts.host, facts.port))) return 'hosts';
  return undefined;
}
