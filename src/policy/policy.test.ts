import { expect, test } from 'vitest';
import { Policy } from './policy.ts';
import { Grant, type AccessRequest, type Facts } from './request.ts';
import type { Rule } from './rules.ts';

function asking(facts: Facts = {}, agent = 'reviewer', service = 'github'): AccessRequest {
  return { service, connector: 'http', principal: { agent, attested: 'listener' }, facts };
}

function clock(): { at: number; read: () => number } {
  const it = { at: 0, read: () => it.at };
  return it;
}

const limited: Rule = { id: 'limited', effect: 'allow', rate: { perMinute: 2 } };

test('an allowed request gets a genuine grant that names the rule', () => {
  const decision = new Policy([{ id: 'yes', effect: 'allow' }]).decide(asking());
  expect(decision.allow && Grant.isGenuine(decision.grant)).toBe(true);
  expect(decision).toMatchObject({ grant: { service: 'github', rule: 'yes' } });
});

test('without rules every request gets a grant that names none', () => {
  const decision = new Policy(undefined).decide(asking());
  expect(decision.allow && decision.grant.rule).toBe(undefined);
  expect(decision.allow).toBe(true);
});

test('with an empty list of rules nothing is allowed', () => {
  expect(new Policy([]).decide(asking())).toMatchObject({ allow: false, rule: 'default-deny', code: 'policy-denied' });
});

test('beyond its rate a request is refused with the seconds to wait, and let in after them', () => {
  const it = clock();
  const policy = new Policy([limited], { monotonic: it.read });
  expect(policy.decide(asking()).allow).toBe(true);
  it.at = 1_500;
  expect(policy.decide(asking()).allow).toBe(true);
  it.at = 2_100;
  expect(policy.decide(asking())).toMatchObject({
    allow: false,
    code: 'rate-limited',
    rule: 'limited',
    retryAfterSeconds: 58,
  });
  it.at += 58_000;
  expect(policy.decide(asking()).allow).toBe(true);
});

test('the rate is counted for each agent and service by itself', () => {
  const policy = new Policy([{ ...limited, rate: { perMinute: 1 } }], { monotonic: () => 0 });
  const all = [asking(), asking({}, 'other'), asking({}, 'reviewer', 'gitlab'), asking()];
  expect(all.map((request) => policy.decide(request).allow)).toEqual([true, true, true, false]);
});

test('what another rule refuses takes nothing from the rate', () => {
  const rules: Rule[] = [
    { id: 'no-deletes', effect: 'deny', methods: ['DELETE'] },
    {
      ...limited,
      methods: ['GET', 'DELETE'],
      paths: ['/a'],
      time: { from: '09:00', to: '10:00' },
      rate: { perMinute: 1 },
    },
  ];
  let now = new Date('2026-01-05T09:30:00Z');
  const policy = new Policy(rules, { monotonic: () => 0, now: () => now });
  policy.decide(asking({ method: 'DELETE', path: '/a' }));
  policy.decide(asking({ method: 'GET', path: '/b' }));
  policy.decide(asking({ method: 'GET', path: '/a', pathAmbiguity: 'an encoded slash' }));
  now = new Date('2026-01-05T10:30:00Z');
  policy.decide(asking({ method: 'GET', path: '/a' }));
  now = new Date('2026-01-05T09:30:00Z');
  expect(policy.rates.keys).toBe(0);
  expect(policy.decide(asking({ method: 'GET', path: '/a' })).allow).toBe(true);
  expect(policy.decide(asking({ method: 'GET', path: '/a' })).allow).toBe(false);
});

test('explaining takes nothing from the rate', () => {
  const policy = new Policy([limited], { monotonic: () => 0 });
  for (let asked = 0; asked < 5; asked += 1) expect(policy.explain(asking()).verdict.allow).toBe(true);
  expect([policy.decide(asking()).allow, policy.decide(asking()).allow, policy.decide(asking()).allow]).toEqual([
    true,
    true,
    false,
  ]);
  expect(policy.explain(asking()).verdict).toMatchObject({ code: 'rate-limited' });
});

test('a reload that passes the counts on resets none, one that does not does', () => {
  const monotonic = (): number => 0;
  const before = new Policy([limited], { monotonic });
  before.decide(asking());
  before.decide(asking());
  const after = new Policy([{ ...limited, rate: { perMinute: 3 } }], { monotonic, rates: before.rates });
  expect([after.decide(asking()).allow, after.decide(asking()).allow]).toEqual([true, false]);
  expect(new Policy([limited], { monotonic }).decide(asking()).allow).toBe(true);
});

test('the clock of the wall is asked anew for each decision', () => {
  let now = new Date('2026-01-05T09:59:00Z');
  const policy = new Policy([{ id: 'hours', effect: 'allow', time: { from: '09:00', to: '10:00' } }], {
    now: () => now,
  });
  expect(policy.decide(asking()).allow).toBe(true);
  now = new Date('2026-01-05T10:00:00Z');
  expect(policy.decide(asking())).toMatchObject({
    allow: false,
    rule: 'hours',
    reason: 'outside the time window of the rule',
  });
});
