import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { checkRules, compilePolicy, evaluate, explainVerdict, type Verdict } from './decide.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest, Facts } from './request.ts';
import type { Rule } from './rules.ts';

const MONDAY_NOON = new Date('2026-01-05T12:00:00Z');
const unused: RateReader = { waitMilliseconds: () => 0 };
const spent: RateReader = { waitMilliseconds: () => 1_001 };

function asking(facts: Facts = {}, agent = 'reviewer', service = 'github'): AccessRequest {
  return { service, connector: 'http', principal: { agent, attested: 'listener' }, facts };
}

function decide(rules: readonly Rule[] | undefined, request: AccessRequest, used: RateReader = unused): Verdict {
  return evaluate(compilePolicy(rules), request, MONDAY_NOON, used);
}

/** The deciding rule with `+` or `-`. */
function decider(rules: readonly Rule[] | undefined, request: AccessRequest, used?: RateReader): string {
  const verdict = decide(rules, request, used);
  return `${verdict.allow ? '+' : '-'}${verdict.rule ?? ''}`;
}

const allow = (id: string, rest: Partial<Rule> = {}): Rule => ({ id, effect: 'allow', ...rest });
const deny = (id: string, rest: Partial<Rule> = {}): Rule => ({ id, effect: 'deny', ...rest });

describe('which rule decides', () => {
  test.each<[string, Rule[] | undefined, string]>([
    ['no rules allow everything', undefined, '+'],
    ['an empty list allows nothing', [], '-default-deny'],
    ['deny rules alone allow nothing', [deny('d', { services: ['other'] })], '-default-deny'],
    ['a rule without selectors matches everything', [allow('a')], '+a'],
    ['the first matching allow rule decides', [allow('x', { services: ['other'] }), allow('a'), allow('b')], '+a'],
    ['a deny rule wins wherever it stands', [allow('a'), deny('d')], '-d'],
    ['the first matching deny rule is named', [deny('x', { agents: ['other'] }), deny('d'), deny('e')], '-d'],
    ['no rule matches', [allow('a', { services: ['other'] })], '-default-deny'],
  ])('%s', (_name, rules, expected) => {
    expect(decider(rules, asking())).toBe(expected);
  });

  test.each<[string, Partial<Rule>, AccessRequest, boolean]>([
    ['agents', { agents: ['reviewer'] }, asking(), true],
    ['agents', { agents: ['scanner'] }, asking(), false],
    ['services', { services: ['git*'] }, asking(), true],
    ['services', { services: ['orders-*'] }, asking(), false],
    ['methods', { methods: ['GET'] }, asking({ method: 'GET' }), true],
    ['methods', { methods: ['GET'] }, asking({ method: 'POST' }), false],
    ['methods, which a login lacks', { methods: ['*'] }, asking(), false],
    ['paths', { paths: ['/a/**'] }, asking({ path: '/a/b' }), true],
    ['paths', { paths: ['/a/**'] }, asking({ path: '/b' }), false],
    ['paths, which a login lacks', { paths: ['/**'] }, asking(), false],
    ['hosts', { hosts: ['*.test:443'] }, asking({ host: 'a.test', port: 443 }), true],
    ['hosts', { hosts: ['*.test:443'] }, asking({ host: 'a.test', port: 80 }), false],
    ['hosts, which a socket lacks', { hosts: ['a.test'] }, asking(), false],
    ['databases', { databases: ['orders*'] }, asking({ database: 'orders_eu' }), true],
    ['databases', { databases: ['orders'] }, asking({ database: 'Orders' }), false],
    ['databases, which a request lacks', { databases: ['*'] }, asking({ method: 'GET' }), false],
    ['applications', { applications: ['pg_*', 'psql'] }, asking({ application: 'psql' }), true],
    ['applications', { applications: ['pg_*'] }, asking({ application: 'psql' }), false],
    ['applications', { applications: ['*'] }, asking({ application: '' }), true],
    ['applications, which a login may keep to itself', { applications: ['*'] }, asking({ database: 'orders' }), false],
    ['replication', { replication: true }, asking({ replication: true }), true],
    ['replication', { replication: true }, asking({ replication: false }), false],
    ['replication', { replication: false }, asking({ replication: false }), true],
    ['replication', { replication: false }, asking({ replication: true }), false],
    ['replication, which a request lacks', { replication: false }, asking({ method: 'GET' }), false],
    ['replication, which a request lacks', { replication: true }, asking({ method: 'GET' }), false],
    [
      'a database and no stream',
      { databases: ['a'], replication: false },
      asking({ database: 'a', replication: true }),
      false,
    ],
    ['all of several', { agents: ['reviewer'], methods: ['GET'] }, asking({ method: 'GET' }), true],
    ['one of several', { agents: ['reviewer'], methods: ['GET'] }, asking({ method: 'PUT' }), false],
    ['one of several', { agents: ['scanner'], methods: ['GET'] }, asking({ method: 'GET' }), false],
  ])('%s %j', (_name, selectors, request, matches) => {
    expect(decider([allow('a', selectors)], request)).toBe(matches ? '+a' : '-default-deny');
    expect(decider([allow('a'), deny('d', selectors)], request)).toBe(matches ? '-d' : '+a');
  });
});

describe('HEAD, which is GET without the body', () => {
  const head = asking({ method: 'HEAD' });
  test('is denied by a deny rule on GET, and not by one on another method', () => {
    expect(decider([deny('d', { methods: ['GET'] }), allow('a')], head)).toBe('-d');
    expect(decider([deny('d', { methods: ['POST', 'GET', 'PUT'] }), allow('a')], head)).toBe('-d');
    expect(decider([deny('d', { methods: ['POST'] }), allow('a')], head)).toBe('+a');
    expect(decider([deny('d', { methods: ['HEAD'] }), allow('a')], asking({ method: 'GET' }))).toBe('+a');
  });

  test('is not allowed by an allow rule on GET', () => {
    expect(decider([allow('a', { methods: ['GET'] })], head)).toBe('-default-deny');
  });
});

describe('one policy asked by many', () => {
  test('answers each by its own service, agent, method, host and port, however often and in whatever order', () => {
    const rules = [
      deny('d', { services: ['other'], methods: ['GET'] }),
      allow('a', { agents: ['reviewer'], hosts: ['a.test:443'], methods: ['GET'] }),
      allow('b', { agents: ['scanner'], services: ['github'] }),
      allow('c', { methods: ['PUT'] }),
    ];
    const policy = compilePolicy(rules);
    const requests = ['reviewer', 'scanner'].flatMap((agent) =>
      ['github', 'other'].flatMap((service) =>
        [undefined, 'GET', 'PUT', ''].flatMap((method) =>
          Array.from({ length: 30 }, (_, at) => at % 10).flatMap((at) =>
            [443, 80, undefined].map((port) => {
              const host = at === 9 ? undefined : `${'abcdefghi'[at]}.test`;
              const facts = { ...(method !== undefined && { method }), ...(host && { host }), ...(port && { port }) };
              return asking(facts, agent, service);
            }),
          ),
        ),
      ),
    );
    for (const request of [...requests, ...requests.toReversed()]) {
      const fresh = evaluate(compilePolicy(rules), request, MONDAY_NOON, unused);
      expect(evaluate(policy, request, MONDAY_NOON, unused)).toEqual(fresh);
      expect(explainVerdict(policy, request, MONDAY_NOON, unused).verdict).toEqual(fresh);
    }
  });

  test('answers each login by its own database, application and replication, which are not remembered', () => {
    const rules = [
      deny('d', { databases: ['payroll'], applications: ['psql'] }),
      allow('a', { databases: ['orders', 'payroll'], replication: false }),
      allow('b', { applications: ['pg_dump'] }),
    ];
    const policy = compilePolicy(rules);
    const logins = ['orders', 'payroll', undefined].flatMap((database) =>
      ['psql', 'pg_dump', undefined].flatMap((application) =>
        [true, false, undefined].map((replication) =>
          asking({
            ...(database && { database }),
            ...(application && { application }),
            ...(replication !== undefined && { replication }),
          }),
        ),
      ),
    );
    const answers = [...logins, ...logins.toReversed()].map((request) => {
      const fresh = evaluate(compilePolicy(rules), request, MONDAY_NOON, unused);
      expect(evaluate(policy, request, MONDAY_NOON, unused)).toEqual(fresh);
      expect(explainVerdict(policy, request, MONDAY_NOON, unused).verdict).toEqual(fresh);
      return fresh.rule;
    });
    expect(new Set(answers)).toEqual(new Set(['d', 'a', 'b', 'default-deny']));
  });

  test('remembers a bounded number of combinations, and decides on as before when there are more', () => {
    const policy = compilePolicy([allow('a', { methods: ['GET'] })]);
    for (let at = 0; at < 10_000; at += 1) {
      expect(evaluate(policy, asking({ method: `M${at}` }), MONDAY_NOON, unused).allow).toBe(false);
    }
    expect(evaluate(policy, asking({ method: 'GET' }), MONDAY_NOON, unused).allow).toBe(true);
  });
});

describe('a path that can be read in more than one way', () => {
  const twofold = asking({ path: '/a%2Fb', pathAmbiguity: 'an encoded slash', method: 'GET' });
  const refused = (rule: string): unknown => expect.objectContaining({ allow: false, code: 'path-ambiguous', rule });

  test('is refused by an allow rule with paths that would match otherwise, even if it allows all paths', () => {
    expect(decide([allow('a', { paths: ['/**'] })], twofold)).toEqual(refused('a'));
    expect(decide([allow('a', { paths: ['/x'] }), allow('b')], twofold)).toEqual(refused('a'));
  });

  test('is refused by a deny rule with paths that would match otherwise', () => {
    expect(decide([deny('d', { paths: ['/x'] }), allow('a')], twofold)).toEqual(refused('d'));
  });

  test('without this the deny rule would be slipped past', () => {
    const { pathAmbiguity: _, ...rest } = twofold.facts;
    expect(decider([deny('d', { paths: ['/a/b'] }), allow('a')], asking(rest))).toBe('+a');
  });

  test('is no matter to rules without paths, or whose other selectors do not match', () => {
    expect(decider([allow('a')], twofold)).toBe('+a');
    expect(decider(undefined, twofold)).toBe('+');
    const others = [deny('d', { paths: ['/x'], methods: ['PUT'] }), allow('x', { paths: ['/x'], agents: ['other'] })];
    expect(decider([...others, allow('a')], twofold)).toBe('+a');
  });

  test('is no matter to rules on logins, which a request for a path is not', () => {
    const rules = [deny('d', { paths: ['/x'], databases: ['*'] }), allow('x', { paths: ['/**'], replication: false })];
    expect(decider([...rules, allow('a')], twofold)).toBe('+a');
  });

  test('is refused also where only the reason is known', () => {
    expect(decide([allow('a', { paths: ['/**'] })], asking({ pathAmbiguity: 'two slashes' }))).toEqual(refused('a'));
  });

  test('is no matter to a deny rule outside its time, and not for an allow rule outside its time to hide', () => {
    const time = { from: '13:00', to: '14:00' };
    expect(decider([deny('d', { paths: ['/x'], time }), allow('a')], twofold)).toBe('+a');
    expect(decide([allow('a', { paths: ['/x'], time }), allow('b')], twofold)).toEqual(refused('a'));
  });
});

describe('time', () => {
  const now = { from: '12:00', to: '13:00' };
  const later = { from: '13:00', to: '14:00' };
  test('an allow rule outside its window decides and refuses, and later rules are not asked', () => {
    expect(decide([allow('a', { time: later }), allow('b')], asking())).toEqual({
      allow: false,
      code: 'policy-denied',
      rule: 'a',
      reason: 'outside the time window of the rule',
    });
    expect(decider([allow('a', { time: now }), allow('b')], asking())).toBe('+a');
  });

  test('whose other selectors do not match, it decides nothing', () => {
    expect(decider([allow('a', { time: later, agents: ['other'] }), allow('b')], asking())).toBe('+b');
  });

  test('a deny rule denies only within its window', () => {
    expect(decider([deny('d', { time: now }), allow('a')], asking())).toBe('-d');
    expect(decider([deny('d', { time: later }), allow('a')], asking())).toBe('+a');
  });
});

describe('rate', () => {
  const rate = { perMinute: 30 };
  test('with none left the rule decides and refuses, with whole seconds to wait', () => {
    expect(decide([allow('a', { rate }), allow('b')], asking(), spent)).toEqual({
      allow: false,
      code: 'rate-limited',
      rule: 'a',
      reason: 'the rule allows 30 a minute',
      retryAfterSeconds: 2,
    });
  });

  test('with some left the verdict says what to count', () => {
    expect(decide([allow('a', { rate })], asking())).toEqual({ allow: true, rule: 'a', perMinute: 30 });
  });

  test('is asked for the rule, agent and service, and only when everything else allows', () => {
    const asked: unknown[][] = [];
    const used: RateReader = { waitMilliseconds: (...all) => (asked.push(all), 0) };
    const rules = [
      deny('d', { methods: ['DELETE'], rate }),
      allow('x', { rate, services: ['other'] }),
      allow('late', { rate, methods: ['PUT'], time: { to: '01:00' } }),
      allow('a', { rate }),
      allow('b', { rate }),
    ];
    for (const method of ['DELETE', 'PUT', 'GET']) decide(rules, asking({ method }), used);
    expect(asked).toEqual([['a', 'reviewer', 'github', 30, 'requests']]);
  });

  test('a deny rule has none', () => {
    expect(decider([deny('d', { rate })], asking(), spent)).toBe('-d');
    expect(decide([deny('d', { rate })], asking(), spent)).not.toHaveProperty('retryAfterSeconds');
  });
});

describe('explaining', () => {
  const rules = [
    deny('no-deletes', { methods: ['DELETE'] }),
    allow('scans', { agents: ['scanner', 'scan-*'] }),
    allow('a-only', { paths: ['/a/**'] }),
    allow('hosts', { hosts: ['a.test'] }),
    allow('late', { services: ['github'], time: { from: '13:00', to: '14:00', days: ['mon'] } }),
    allow('never-reached'),
  ];

  test('lists the rules looked at in order, each with its reason, and says which decided', () => {
    const request = asking({ method: 'GET', path: '/b', host: 'b.test', port: 443 });
    const { verdict, findings } = explainVerdict(compilePolicy(rules), request, MONDAY_NOON, unused);
    expect(verdict).toMatchObject({ allow: false, rule: 'late' });
    expect(findings.map(({ rule, because }) => `${rule}: ${because}`)).toEqual([
      'no-deletes: method "GET" matches none of DELETE',
      'scans: agent "reviewer" matches none of scanner, scan-*',
      'a-only: path "/b" matches none of /a/**',
      'hosts: host "b.test:443" matches none of a.test',
      'late: it is outside the time window 13:00–14:00 UTC beginning mon',
    ]);
    expect(findings.map(({ decides }) => decides)).toEqual([false, false, false, false, true]);
  });

  test('says of a login what of it does not match', () => {
    const logins = [
      deny('payroll', { databases: ['payroll', 'hr_*'] }),
      allow('dumps', { applications: ['pg_dump'] }),
      allow('streams', { replication: true }),
      allow('orders', { replication: false, databases: ['orders'] }),
    ];
    const why = (facts: Facts) =>
      explainVerdict(compilePolicy(logins), asking(facts), MONDAY_NOON, unused).findings.map(({ because }) => because);
    expect(why({ database: 'orders', application: 'psql', replication: false })).toEqual([
      'database "orders" matches none of payroll, hr_*',
      'application "psql" matches none of pg_dump',
      'it asks for no replication stream',
      'all selectors match',
    ]);
    expect(why({ replication: true }).slice(0, 2)).toEqual([
      'the request has no database',
      'the request has no application',
    ]);
    expect(why({ database: 'x', replication: true })[2]).toBe('all selectors match');
    expect(why({})[2]).toBe('the request says nothing of replication');
    expect(why({ replication: false })[2]).toBe('it asks for no replication stream');
    expect(why({ replication: false })[3]).toBe('the request has no database');
  });

  test('says what a request lacks', () => {
    const { findings } = explainVerdict(compilePolicy(rules), asking(), MONDAY_NOON, unused);
    expect(findings[0]?.because).toBe('the request has no method');
  });

  test('without rules there is nothing to look at', () => {
    expect(explainVerdict(compilePolicy(undefined), asking(), MONDAY_NOON, unused).findings).toEqual([]);
  });

  test('a reason that goes to the ledger quotes nothing of the request', () => {
    const path = '/bot123:canary/send';
    const request = asking({ method: 'GET', path, host: 'canary.test' }, 'canary', 'canary');
    const answers = [
      decide([allow('a', { paths: ['/x'] })], request),
      decide([deny('d', { paths: ['/bot*/**'] })], request),
      decide([allow('a', { rate: { perMinute: 1 } })], request, spent),
      decide([allow('a', { paths: ['/x'] })], asking({ path, pathAmbiguity: 'an encoded slash' })),
      decide([allow('a', { time: { to: '01:00' } })], request),
      decide([deny('d', { databases: ['can*'] })], asking({ database: 'canary', application: 'canary' })),
      decide([allow('a', { applications: ['x'] })], asking({ database: 'canary', application: 'canary' })),
    ];
    expect(answers.some(({ allow: allowed }) => allowed)).toBe(false);
    expect(JSON.stringify(answers)).not.toContain('canary');
  });
});

describe('rules that cannot be compiled', () => {
  test.each<[string, Rule, string]>([
    ['an empty selector', allow('a', { agents: [] }), 'agents'],
    ['an empty selector of a deny rule', deny('a', { paths: [] }), 'paths'],
    ['an empty name', allow('a', { services: [''] }), 'services'],
    ['a method with a star', deny('a', { methods: ['DEL*'] }), 'methods'],
    ['an empty list of databases', deny('a', { databases: [] }), 'databases'],
    ['an empty name of a database', deny('a', { databases: [''] }), 'databases'],
    ['an empty list of applications', deny('a', { applications: [] }), 'applications'],
    ['replication of neither kind', deny('a', { replication: 'yes' as never }), 'replication'],
    ['a path that could never match', deny('a', { paths: ['/a/../b'] }), 'paths'],
    ['a host with a scheme', allow('a', { hosts: ['https://a.test'] }), 'hosts'],
    ['an unknown zone', allow('a', { time: { zone: 'Mars/Olympus' } }), 'time'],
    ['a rate of none', allow('a', { rate: { perMinute: 0 } }), 'rate'],
    ['a rate of a half', allow('a', { rate: { perMinute: 0.5 } }), 'rate'],
    ['a rate without end', allow('a', { rate: { perMinute: Infinity } }), 'rate'],
    ['an empty id', allow(''), 'id'],
    ['the id of no rule', allow('default-deny'), 'id'],
  ])('%s is refused', (_name, rule, key) => {
    expect(checkRules([rule])).toEqual([{ path: [0, key], message: expect.any(String) }]);
    expect(() => compilePolicy([rule])).toThrow(SidecarError);
  });

  test('all problems are told at once', () => {
    const rules = [allow('a', { agents: [], paths: ['x'] }), allow('a')];
    expect(checkRules(rules).map(({ path }) => path.join('.'))).toEqual(['0.agents', '0.paths', '1.id']);
    expect(() => compilePolicy(rules)).toThrow(/rules\.0\.agents: .*; rules\.0\.paths: .*; rules\.1\.id: "a" is taken/);
    try {
      compilePolicy(rules);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'config-invalid' });
    }
  });

  test('good rules have no problems', () => {
    const logins = allow('l', { databases: ['*'], applications: ['psql'], replication: false });
    expect(
      checkRules([logins, deny('d', { hosts: ['a.test'] }), allow('a', { rate: { perMinute: 1_000_000 } })]),
    ).toEqual([]);
  });
});
