import { describe, expect, test } from 'vitest';
import { checkRules, compilePolicy, evaluate, explainVerdict } from './decide.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest, AwsFacts, Facts } from './request.ts';
import type { AwsSelector, Rule } from './rules.ts';

const NOW = new Date('2026-01-05T12:00:00Z');
const unused: RateReader = { waitMilliseconds: () => 0 };

function asking(facts: Facts): AccessRequest {
  return { service: 'cloud', connector: 'aws', principal: { agent: 'reviewer', attested: 'key' }, facts };
}

function decider(rules: readonly Rule[] | undefined, facts: Facts): string {
  const verdict = evaluate(compilePolicy(rules), asking(facts), NOW, unused);
  return `${verdict.allow ? '+' : '-'}${verdict.rule ?? ''}`;
}

function reasons(rules: readonly Rule[], facts: Facts): string[] {
  return explainVerdict(compilePolicy(rules), asking(facts), NOW, unused).findings.map(({ because }) => because);
}

const allow = (id: string, rest: Partial<Rule> = {}): Rule => ({ id, effect: 'allow', ...rest });
const deny = (id: string, rest: Partial<Rule> = {}): Rule => ({ id, effect: 'deny', ...rest });

const GET: AwsFacts = {
  service: 's3',
  region: 'eu-central-1',
  action: 'GetObject',
  bucket: 'reports',
  key: '2026/q1/total.csv',
};
const { region: _region, ...UNPLACED } = GET;
const { action: _action, ...UNNAMED } = GET;
const { bucket: _bucket, ...BUCKETLESS } = GET;
const { key: _key, ...LISTING } = { ...GET, action: 'ListObjectsV2' };
const CREATE_USER: AwsFacts = { service: 'iam', region: 'us-east-1', action: 'CreateUser' };
const COPY: AwsFacts = { ...GET, action: 'CopyObject', source: { bucket: 'payroll', key: 'march' } };

describe('what a request to Amazon Web Services tells', () => {
  test.each<[AwsSelector, AwsFacts, boolean]>([
    [{ services: ['s3'] }, GET, true],
    [{ services: ['s3'] }, CREATE_USER, false],
    [{ services: ['S3'] }, GET, false],
    [{ services: ['s3*'] }, { ...GET, service: 's3express' }, true],
    [{ regions: ['eu-*'] }, GET, true],
    [{ regions: ['us-*'] }, GET, false],
    [{ actions: ['Get*', 'List*'] }, GET, true],
    [{ actions: ['PutObject'] }, GET, false],
    [{ actions: ['getobject'] }, GET, false],
    [{ buckets: ['reports'] }, GET, true],
    [{ buckets: ['report'] }, GET, false],
    [{ keys: ['2026/*'] }, GET, true],
    [{ keys: ['*.csv'] }, GET, true],
    [{ keys: ['2026/*.txt', '2025/*'] }, GET, false],
    [{ keys: ['*\ud800'] }, { ...GET, key: 'a/\ud800' }, true],
    [{ keys: ['*\udc80'] }, { ...GET, key: 'a/\udc81' }, false],
    [{ services: ['s3'], actions: ['GetObject'], buckets: ['reports'], keys: ['2026/*'] }, GET, true],
    [{ services: ['iam'], actions: ['GetObject'] }, GET, false],
    [{ services: ['s3'], actions: ['GetObject'], buckets: ['payroll'] }, GET, false],
  ])('is held against %j', (selector, facts, matches) => {
    expect(decider([allow('a', { aws: selector })], { aws: facts })).toBe(matches ? '+a' : '-default-deny');
    expect(decider([allow('a'), deny('d', { aws: selector })], { aws: facts })).toBe(matches ? '-d' : '+a');
  });

  test('matches beside the other selectors, or not at all', () => {
    const rule = allow('a', { services: ['cloud'], methods: ['GET'], aws: { actions: ['GetObject'] } });
    expect(decider([rule], { method: 'GET', aws: GET })).toBe('+a');
    expect(decider([rule], { method: 'PUT', aws: GET })).toBe('-default-deny');
  });

  test.each(['allow', 'deny'] as const)(
    'a rule that asks for it and would %s matches no other request, whatever it would match',
    (effect) => {
      const lists = { services: ['*'], regions: ['*'], actions: ['*'], buckets: ['*'], keys: ['*'] };
      for (const [list, names] of Object.entries(lists)) {
        const rules = [{ id: 'r', effect, aws: { [list]: names } }, allow('other', { databases: ['orders'] })];
        expect(decider(rules, { database: 'orders' })).toBe('+other');
      }
    },
  );
});

describe('what such a request does not tell', () => {
  test.each<[keyof AwsSelector, AwsFacts]>([
    ['regions', UNPLACED],
    ['actions', UNNAMED],
    ['buckets', BUCKETLESS],
    ['keys', LISTING],
  ])('of %s never matches an allow rule, and always a deny rule', (list, facts) => {
    expect(decider([allow('a', { aws: { [list]: ['*'] } })], { aws: facts })).toBe('-default-deny');
    expect(decider([allow('a'), deny('d', { aws: { [list]: ['something-else'] } })], { aws: facts })).toBe('-d');
  });

  test('does not make a deny rule match where something that is told does not', () => {
    const rules = (aws: AwsSelector): Rule[] => [allow('a'), deny('d', { aws })];
    expect(decider(rules({ services: ['iam'], actions: ['CreateUser'] }), { aws: UNNAMED })).toBe('+a');
    expect(decider(rules({ regions: ['us-*'], actions: ['CreateUser'] }), { aws: UNNAMED })).toBe('+a');
    expect(decider(rules({ buckets: ['payroll'], keys: ['march'] }), { aws: LISTING })).toBe('+a');
    expect(decider(rules({ actions: ['GetObject', 'DeleteObject*'], keys: ['audit/*'] }), { aws: LISTING })).toBe('+a');
    expect(decider(rules({ actions: ['ListObjects*'], keys: ['audit/*'] }), { aws: LISTING })).toBe('-d');
  });

  test.each(['s3', 's3express', 's3-object-lambda', 's3-outposts'])(
    'of an object denies where %s is asked',
    (service) => {
      const rules = [allow('a'), deny('d', { aws: { buckets: ['payroll'] } }), deny('e', { aws: { keys: ['march'] } })];
      expect(decider(rules, { aws: { service, action: 'ListBuckets' } })).toBe('-d');
      expect(decider(rules, { aws: { service, action: 'ListObjectsV2', bucket: 'reports' } })).toBe('-e');
    },
  );

  test.each(['iam', 'dynamodb', 'sts', 'es'])('of an object is nothing that %s would have', (service) => {
    const rules = [allow('a'), deny('d', { aws: { buckets: ['payroll'] } }), deny('e', { aws: { keys: ['march'] } })];
    expect(decider(rules, { aws: { service, action: 'ListThings' } })).toBe('+a');
  });

  test.each([
    'accesspoint/reports-123456789012',
    'reports-metadata-x1y2-s3alias',
    'reports-x1y2--ol-s3',
    'op-01ac5d28--op-s3',
    'outpost/op-1/reports',
  ])('is the bucket behind the other name %s: a deny rule on any bucket takes it for its own', (bucket) => {
    const rules = [deny('payroll', { aws: { buckets: ['payroll'] } }), allow('all')];
    expect(decider(rules, { aws: { ...GET, bucket } })).toBe('-payroll');
    expect(decider([allow('named', { aws: { buckets: [bucket] } })], { aws: { ...GET, bucket } })).toBe('+named');
    expect(decider([allow('other', { aws: { buckets: ['reports'] } })], { aws: { ...GET, bucket } })).toBe(
      '-default-deny',
    );
  });
});

describe('a copy', () => {
  test('is allowed where both objects are, since it shows the one in place of the other', () => {
    expect(decider([allow('a', { aws: { buckets: ['reports'] } })], { aws: COPY })).toBe('-default-deny');
    expect(decider([allow('a', { aws: { buckets: ['payroll'] } })], { aws: COPY })).toBe('-default-deny');
    expect(decider([allow('a', { aws: { buckets: ['reports', 'payroll'] } })], { aws: COPY })).toBe('+a');
    expect(decider([allow('a', { aws: { keys: ['2026/*'] } })], { aws: COPY })).toBe('-default-deny');
    expect(decider([allow('a', { aws: { keys: ['2026/*', 'march'] } })], { aws: COPY })).toBe('+a');
    expect(decider([allow('a', { aws: { services: ['s3'], actions: ['CopyObject'] } })], { aws: COPY })).toBe('+a');
  });

  test.each<[AwsSelector, boolean]>([
    [{ buckets: ['payroll'] }, true],
    [{ buckets: ['reports'] }, true],
    [{ buckets: ['other'] }, false],
    [{ buckets: ['payroll'], keys: ['march'] }, true],
    [{ buckets: ['reports'], keys: ['2026/*'] }, true],
    [{ buckets: ['reports'], keys: ['march'] }, false],
    [{ actions: ['GetObject'], buckets: ['payroll'] }, false],
  ])('is denied by %j where it fits either object as a whole: %j', (aws, denied) => {
    expect(decider([allow('a'), deny('d', { aws })], { aws: COPY })).toBe(denied ? '-d' : '+a');
  });

  test('whose source cannot be read is allowed by no rule on objects, and denied by each', () => {
    const unread = { aws: { ...COPY, source: {} } };
    expect(decider([allow('a', { aws: { buckets: ['*'] } })], unread)).toBe('-default-deny');
    expect(decider([allow('a', { aws: { keys: ['*'] } })], unread)).toBe('-default-deny');
    expect(decider([allow('a'), deny('d', { aws: { buckets: ['other'], keys: ['x'] } })], unread)).toBe('-d');
  });
});

describe('an answer that would hold a credential', () => {
  const assume: Facts = {
    aws: { service: 'sts', region: 'eu-central-1', action: 'AssumeRole' },
    returnsCredentials: true,
  };
  const refusal = {
    allow: false,
    code: 'policy-denied',
    rule: 'default-deny',
    reason: 'the answer would hold a credential: only a rule with returnsCredentials allows it',
  };

  test('is given by no rule that does not say so, nor where there are no rules', () => {
    for (const rules of [undefined, [], [allow('a'), allow('b', { aws: { actions: ['AssumeRole'] } })]]) {
      expect(evaluate(compilePolicy(rules), asking(assume), NOW, unused)).toEqual(refusal);
      expect(explainVerdict(compilePolicy(rules), asking(assume), NOW, unused).verdict).toEqual(refusal);
    }
    expect(decider([allow('a', { returnsCredentials: false })], assume)).toBe('-default-deny');
  });

  test('is given by the first rule that says so and matches, and those before it are passed over', () => {
    const rules = [
      allow('all'),
      allow('shut', { time: { to: '01:00' } }),
      allow('other', { aws: { actions: ['GetSessionToken'] }, returnsCredentials: true }),
      allow('roles', { aws: { actions: ['AssumeRole'] }, returnsCredentials: true }),
    ];
    expect(decider(rules, assume)).toBe('+roles');
    expect(decider(rules, { ...assume, returnsCredentials: false })).toBe('+all');
    expect(reasons(rules, assume)).toEqual([
      'the rule does not say returnsCredentials',
      'the rule does not say returnsCredentials',
      'action "AssumeRole" matches none of GetSessionToken',
      'all selectors match',
    ]);
  });

  test('may be given by a rule that allows the rest as well', () => {
    const rules = [allow('a', { returnsCredentials: true })];
    expect([decider(rules, assume), decider(rules, { aws: GET }), decider(rules, {})]).toEqual(['+a', '+a', '+a']);
  });

  test('is refused by the deny rules, and is all that a deny rule with it refuses', () => {
    const given = allow('a', { returnsCredentials: true });
    expect(decider([given, deny('d', { aws: { services: ['sts'] } })], assume)).toBe('-d');
    const narrow = [given, deny('d', { returnsCredentials: true })];
    expect(decider(narrow, assume)).toBe('-d');
    expect([{ returnsCredentials: false }, {}].map((facts) => decider(narrow, facts))).toEqual(['+a', '+a']);
    expect(reasons(narrow, {})[0]).toBe('the answer holds no credential');
  });

  test('is no reason for a rule on paths to decide about a path with two readings', () => {
    const rules = [allow('a', { paths: ['/**'] }), allow('b', { returnsCredentials: true })];
    expect(decider(rules, { ...assume, path: '/a//b', pathAmbiguity: 'two slashes' })).toBe('+b');
  });

  test('is refused the same however often one policy is asked', () => {
    const policy = compilePolicy([
      allow('a'),
      allow('b', { aws: { actions: ['AssumeRole'] }, returnsCredentials: true }),
    ]);
    const asked = [{ aws: GET }, assume, {}, assume, { ...assume, aws: GET }];
    const answers = asked.map((facts) => evaluate(policy, asking(facts), NOW, unused).rule);
    expect(answers).toEqual(['a', 'b', 'a', 'b', 'default-deny']);
  });
});

describe('explaining', () => {
  const everything: AwsSelector = { services: ['x'], regions: ['x'], actions: ['x'], buckets: ['x'], keys: ['x'] };
  test.each<[keyof AwsSelector, AwsFacts, string]>([
    ['services', GET, 'AWS service "s3" matches none of x'],
    ['regions', GET, 'region "eu-central-1" matches none of x'],
    ['regions', UNPLACED, 'the request tells no region'],
    ['actions', GET, 'action "GetObject" matches none of x'],
    ['actions', UNNAMED, 'the request tells no action'],
    ['buckets', GET, 'bucket "reports" matches none of x'],
    ['buckets', BUCKETLESS, 'the request tells no bucket'],
    ['keys', { ...GET, key: 'a"\u001b\udc80' }, 'key "a\\"\\u001b\ufffd" matches none of x'],
    ['keys', LISTING, 'the request tells no key'],
  ])('says which of the %s does not match', (list, aws, because) => {
    expect(reasons([allow('a', { aws: { [list]: everything[list]! } })], { aws })).toEqual([because]);
  });

  test('says of a copy which object does not match', () => {
    const rules = [allow('a', { aws: { buckets: ['reports'] } }), allow('b', { aws: { keys: ['2026/*'] } })];
    expect(reasons(rules, { aws: COPY })).toEqual([
      'bucket to copy from "payroll" matches none of reports',
      'key to copy from "march" matches none of 2026/*',
    ]);
  });

  test('says of a request to anything else that it is none to Amazon Web Services', () => {
    expect(reasons([allow('a', { aws: { services: ['*'] } })], { method: 'GET' })).toEqual([
      'the request is none to Amazon Web Services',
    ]);
  });

  test('says what a deny rule took for a match because it was not told', () => {
    const rule = deny('d', { aws: { regions: ['x'], actions: ['x'], buckets: ['x'], keys: ['x'] } });
    const denied = 'denied by the rule';
    expect(reasons([rule], { aws: { service: 's3' } })).toEqual([
      `${denied}: the request tells no region and no action and no bucket and no key, which counts as a match`,
    ]);
    const copy = deny('d', { aws: { buckets: ['reports'] } });
    expect(reasons([copy], { aws: GET })).toEqual([denied]);
    expect(reasons([copy], { aws: { ...GET, source: {} } })).toEqual([
      `${denied}: the request tells no bucket, which counts as a match`,
    ]);
    const users = deny('d', { aws: { services: ['iam'], actions: ['CreateUser'], regions: ['*'] } });
    expect(reasons([users], { aws: { service: 'iam', region: 'us-east-1' } })).toEqual([
      `${denied}: the request tells no action, which counts as a match`,
    ]);
  });

  test('a reason that goes to the ledger quotes nothing of the request', () => {
    const aws = { service: 'canary', region: 'canary', action: 'canary', bucket: 'canary', key: 'canary' };
    const policies = [[allow('a', { aws: { keys: ['x'] } })], [deny('d', { aws: { buckets: ['can*'] } })], undefined];
    const verdicts = policies.map((rules) =>
      evaluate(compilePolicy(rules), asking({ aws, returnsCredentials: true }), NOW, unused),
    );
    expect(verdicts.some((verdict) => verdict.allow)).toBe(false);
    expect(JSON.stringify(verdicts)).not.toContain('canary');
  });
});

describe('selectors that cannot be compiled', () => {
  test.each<[string, Rule, string]>([
    ['none at all', allow('a', { aws: {} }), 'aws'],
    ['an empty list', deny('a', { aws: { actions: [] } }), 'aws.actions'],
    ['an empty name', deny('a', { aws: { services: ['s3'], keys: [''] } }), 'aws.keys'],
    ['a text', deny('a', { aws: 's3' as never }), 'aws'],
    ['an allow rule that is neither', allow('a', { returnsCredentials: 'yes' as never }), 'returnsCredentials'],
    ['a deny rule that is neither', deny('a', { returnsCredentials: 'yes' as never }), 'returnsCredentials'],
    ['a deny rule on all the rest', deny('a', { returnsCredentials: false }), 'returnsCredentials'],
  ])('%s is refused', (_name, rule, path) => {
    expect(checkRules([rule])).toEqual([{ path: [0, ...path.split('.')], message: expect.any(String) }]);
    expect(() => compilePolicy([rule])).toThrow('configuration');
  });

  test('all problems are told at once', () => {
    const rule = allow('a', { agents: [], aws: { services: [], regions: [], actions: [], buckets: [], keys: [''] } });
    expect(checkRules([rule]).map(({ path }) => path.slice(1).join('.'))).toEqual([
      'agents',
      'aws.services',
      'aws.regions',
      'aws.actions',
      'aws.buckets',
      'aws.keys',
    ]);
  });

  test('those that can have no problems', () => {
    const aws = { services: ['s3'], regions: ['*'], actions: ['Get*'], buckets: ['a'], keys: ['a/*'] };
    const rules = [allow('a', { aws, returnsCredentials: true }), allow('b', { returnsCredentials: false })];
    expect(checkRules([...rules, deny('d', { aws, returnsCredentials: true })])).toEqual([]);
  });
});
