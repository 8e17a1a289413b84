import { describe, expect, test } from 'vitest';
import { checkRules } from './compile.ts';
import { Policy } from './policy.ts';
import { Grant, NO_SERVICE, type AccessRequest, type Facts } from './request.ts';
import type { Rule } from './rules.ts';

function asking(facts: Facts = {}, service = 'github', agent = 'scanner'): AccessRequest {
  return { service, connector: 'http', principal: { agent, attested: 'token' }, facts };
}

const VALUE = asking({ delivery: 'value' });
const INJECT = asking({ delivery: 'inject' });
const UNSAID = asking();

/** Which rule decides about each delivery; the last one is a request that says nothing of it. */
function decided(rules: readonly Rule[] | undefined): readonly (string | undefined)[] {
  const policy = new Policy(rules);
  return [INJECT, VALUE, UNSAID].map((request) => {
    const decision = policy.decide(request);
    return decision.allow ? `+${decision.grant.rule ?? ''}` : `-${decision.rule}`;
  });
}

describe('a credential that is handed over', () => {
  test('needs a rule that says so, also where there are no rules at all', () => {
    expect(decided(undefined)).toEqual(['+', '-default-deny', '+']);
    expect(decided([{ id: 'a', effect: 'allow' }])).toEqual(['+a', '-default-deny', '+a']);
    expect(decided([{ id: 'a', effect: 'allow', deliver: ['value'] }])).toEqual([
      '-default-deny',
      '+a',
      '-default-deny',
    ]);
    expect(decided([{ id: 'a', effect: 'allow', deliver: ['inject', 'value'] }])).toEqual(['+a', '+a', '+a']);
  });

  test.each([undefined, [], [{ id: 'a', effect: 'allow' }] as const])(
    'is refused with a word on what such a rule says: %j',
    (rules) => {
      expect(new Policy(rules).decide(VALUE)).toMatchObject({
        code: 'policy-denied',
        reason: expect.stringContaining('only a rule with `deliver: [value]` allows it') as string,
      });
    },
  );

  test('is denied by every deny rule but one for the other delivery', () => {
    const allow: Rule = { id: 'a', effect: 'allow', deliver: ['inject', 'value'] };
    expect(decided([allow, { id: 'd', effect: 'deny' }])).toEqual(['-d', '-d', '-d']);
    expect(decided([allow, { id: 'd', effect: 'deny', deliver: ['value'] }])).toEqual(['+a', '-d', '+a']);
    expect(decided([allow, { id: 'd', effect: 'deny', deliver: ['inject'] }])).toEqual(['-d', '+a', '-d']);
  });

  test('is explained rule by rule', () => {
    const rules: readonly Rule[] = [{ id: 'a', effect: 'allow' }];
    expect(new Policy(rules).explain(VALUE).findings).toMatchObject([
      { rule: 'a', decides: false, because: 'delivery "value" matches none of inject' },
    ]);
  });

  test.each([[[]], [['minted']], [['value', 'raw']], ['value']])('is in no rule as %j', (deliver) => {
    const rule = { id: 'a', effect: 'allow', deliver } as unknown as Rule;
    expect(checkRules([rule])).toMatchObject([{ path: [0, 'deliver'] }]);
  });
});

describe('what passes untouched', () => {
  const tunnel = asking({ method: 'CONNECT', host: 'files.example.com', port: 443 }, NO_SERVICE);

  test.each<[string, readonly Rule[] | undefined]>([
    ['without rules', undefined],
    ['with rules that allow nothing', []],
    ['beside deny rules for other hosts', [{ id: 'd', effect: 'deny', hosts: ['*.example.org'] }]],
    ['beside deny rules for services', [{ id: 'd', effect: 'deny', services: ['github'] }]],
    ['beside deny rules for other agents', [{ id: 'd', effect: 'deny', agents: ['reviewer'] }]],
    ['beside deny rules for what it does not tell', [{ id: 'd', effect: 'deny', paths: ['/**'] }]],
    ['beside deny rules for other methods', [{ id: 'd', effect: 'deny', methods: ['GET', 'POST'] }]],
    ['beside deny rules for credentials', [{ id: 'd', effect: 'deny', returnsCredentials: true }]],
    ['beside deny rules for values', [{ id: 'd', effect: 'deny', deliver: ['value'] }]],
    ['beside deny rules for AWS', [{ id: 'd', effect: 'deny', aws: { actions: ['Delete*'] } }]],
    ['beside deny rules for SSH', [{ id: 'd', effect: 'deny', ssh: { shell: true } }]],
  ])('passes %s, and its grant names no rule', (_, rules) => {
    const policy = new Policy(rules);
    expect(policy.forbids(tunnel)).toBeUndefined();
    expect(policy.permits(tunnel)).toBe(true);
    const decision = policy.decide(tunnel);
    expect(decision.allow && Grant.isGenuine(decision.grant) && decision.grant.rule).toBe(undefined);
    expect(decision.allow).toBe(true);
  });

  test.each<[string, Rule]>([
    ['its host', { id: 'd', effect: 'deny', hosts: ['*.example.com'] }],
    ['its host and port', { id: 'd', effect: 'deny', hosts: ['files.example.com:443'] }],
    ['its agent', { id: 'd', effect: 'deny', agents: ['scan*'] }],
    ['every method', { id: 'd', effect: 'deny', methods: ['*'] }],
    ['tunnels', { id: 'd', effect: 'deny', methods: ['CONNECT'] }],
    ['every service', { id: 'd', effect: 'deny', services: ['*'] }],
    ['everything', { id: 'd', effect: 'deny' }],
  ])('is refused by a deny rule for %s, whatever is allowed', (_, rule) => {
    const policy = new Policy([{ id: 'a', effect: 'allow' }, rule]);
    expect(policy.forbids(tunnel)).toMatchObject({ allow: false, rule: 'd', code: 'policy-denied' });
    expect(policy.permits(tunnel)).toBe(false);
    expect(policy.decide(tunnel)).toMatchObject({ allow: false, rule: 'd' });
  });

  test('is refused within the time of a deny rule alone', () => {
    const rules: readonly Rule[] = [{ id: 'nights', effect: 'deny', time: { from: '22:00', to: '06:00' } }];
    const at = (time: string) => new Policy(rules, { now: () => new Date(`2026-01-05T${time}:00Z`) });
    expect(at('23:00').forbids(tunnel)).toMatchObject({ rule: 'nights' });
    expect(at('12:00').forbids(tunnel)).toBeUndefined();
  });

  test('is counted against no rate', () => {
    const policy = new Policy([{ id: 'a', effect: 'allow', rate: { perMinute: 1 } }]);
    for (let asked = 0; asked < 3; asked += 1) expect(policy.decide(tunnel).allow).toBe(true);
    expect(policy.decide(asking()).allow).toBe(true);
    expect(policy.decide(asking()).allow).toBe(false);
  });
});
