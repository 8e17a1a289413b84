import { expect, test } from 'vitest';
import { compilePolicy, evaluate, type Verdict } from './decide.ts';
import type { RateReader } from './rate.ts';
import type { AccessRequest, AwsFacts, AwsObject, Facts } from './request.ts';
import type { AwsSelector, Rule, TimeWindow, Weekday } from './rules.ts';
import { drawSsh, drawSshFacts, matchesSsh } from './testdata/ssh-reference.ts';

/** The reference: the documentation of `decide.ts` line by line, with regular expressions and no care for speed. */
function reference(rules: readonly Rule[] | undefined, request: AccessRequest, now: Date, used: RateReader): Verdict {
  const { ssh } = request.facts;
  const reaches = ['forward', 'listen', 'agent-forwarding', 'x11-forwarding'].includes(ssh?.request ?? '');
  if (rules === undefined && !request.facts.returnsCredentials && !reaches && request.facts.delivery !== 'value') {
    return { allow: true, rule: undefined, perMinute: undefined };
  }
  const no = (rule: string, code: 'policy-denied' | 'path-ambiguous' = 'policy-denied'): Verdict => {
    return { allow: false, code, rule, reason: '' };
  };
  for (const rule of (rules ?? []).filter((each) => each.effect === 'deny')) {
    if (!matchesApartFromPaths(rule, request) || !withinTime(rule.time, now)) continue;
    if (rule.returnsCredentials && !request.facts.returnsCredentials) continue;
    if (rule.paths && request.facts.pathAmbiguity) return no(rule.id, 'path-ambiguous');
    if (matchesPaths(rule, request)) return no(rule.id);
  }
  for (const rule of (rules ?? []).filter((each) => each.effect === 'allow')) {
    if (!matchesApartFromPaths(rule, request)) continue;
    if (request.facts.returnsCredentials && !rule.returnsCredentials) continue;
    if (rule.paths && request.facts.pathAmbiguity) return no(rule.id, 'path-ambiguous');
    if (!matchesPaths(rule, request)) continue;
    const opens = ssh?.request === 'login' || ssh?.request === 'keys';
    if (!withinTime(rule.time, now)) {
      if (opens) continue;
      return no(rule.id);
    }
    const isFree =
      /^(pty|agent-forwarding|x11-forwarding)$/.test(ssh?.request ?? '') || matchesSsh(rule, ssh) === 'may';
    if (isFree || !rule.rate)
      return { allow: true, rule: rule.id, perMinute: undefined, ...(!isFree && opens && { opening: true }) };
    const { agent } = request.principal;
    const counted = opens ? 'openings' : 'requests';
    const wait = used.waitMilliseconds(rule.id, agent, request.service, rule.rate.perMinute, counted);
    if (wait === 0)
      return { allow: true, rule: rule.id, perMinute: rule.rate.perMinute, ...(opens && { opening: true }) };
    return { allow: false, code: 'rate-limited', rule: rule.id, reason: '', retryAfterSeconds: Math.ceil(wait / 1000) };
  }
  return no('default-deny');
}

function matchesApartFromPaths(rule: Rule, { service, principal, facts }: AccessRequest): boolean {
  const port = (pattern: string): string | undefined => pattern.split(':')[1];
  return (
    anyOf('name', rule.services, service, wild) &&
    anyOf('name', rule.agents, principal.agent, wild) &&
    methodsOf(facts.method, rule.effect).some((method) => anyOf('name', rule.methods, method, wild)) &&
    anyOf(
      'host',
      rule.hosts?.filter((pattern) => port(pattern) === undefined || Number(port(pattern)) === facts.port),
      facts.host,
      (pattern) => wild(pattern.split(':')[0]!).replaceAll('.*', '.+'),
    ) &&
    anyOf('name', rule.databases, facts.database, wild) &&
    anyOf('name', rule.applications, facts.application, wild) &&
    [undefined, facts.replication].includes(rule.replication) &&
    (rule.deliver ?? (rule.effect === 'deny' ? ['inject', 'value'] : ['inject'])).includes(
      facts.delivery ?? 'inject',
    ) &&
    matchesAws(rule, facts.aws) &&
    matchesSsh(rule, facts.ssh) !== 'no'
  );
}

/** For each list the values that the request gives for it, `undefined` where it keeps one to itself. */
function matchesAws({ aws: lists, effect }: Rule, facts: AwsFacts | undefined): boolean {
  if (lists === undefined) return true;
  if (facts === undefined) return false;
  const isS3 = /^s3/.test(facts.service);
  const matches = (patterns: readonly string[] | undefined, actual: string | undefined, mayKeep: boolean): boolean =>
    anyOf('name', patterns, actual, wild) || (effect === 'deny' && mayKeep && actual === undefined);
  const objects = [facts, ...(facts.source ? [facts.source] : [])].map(
    ({ bucket, key }) => matches(lists.buckets, bucket, isS3) && matches(lists.keys, key, isS3),
  );
  return (
    matches(lists.services, facts.service, false) &&
    matches(lists.regions, facts.region, true) &&
    matches(lists.actions, facts.action, true) &&
    (effect === 'deny' ? objects.includes(true) : !objects.includes(false))
  );
}

/** What a rule may list to mean the method: to deny getting something is to deny asking about it. */
function methodsOf(method: string | undefined, effect: Rule['effect']): readonly (string | undefined)[] {
  return effect === 'deny' && method === 'HEAD' ? ['HEAD', 'GET'] : [method];
}

function matchesPaths(rule: Rule, { facts }: AccessRequest): boolean {
  const denies = rule.effect === 'deny';
  return anyOf(rule.effect, rule.paths, facts.path && decodeURIComponent(facts.path), (pattern) => {
    const words = decodeURIComponent(pattern).split('/').slice(1);
    if (denies && words.length > 1 && words.at(-1) === '') words.pop();
    const parts = words.map((word) => {
      if (word === '**') return '(/[^/]*)*';
      return `/${word.includes('*') ? '(?=[^/])' : ''}${escaped(word).replaceAll('\\*', '[^/]*')}`;
    });
    return parts.join('') + (denies ? '/?' : '');
  });
}

/** `regex` turns a pattern into the source of a regular expression, once for each `kind`. */
function anyOf(
  kind: string,
  patterns: readonly string[] | undefined,
  actual: string | undefined,
  regex: (pattern: string) => string,
): boolean {
  if (patterns === undefined) return true;
  if (actual === undefined) return false;
  return patterns.some((each) => once(`${kind} ${each}`, () => new RegExp(`^(${regex(each)})$`, 's')).test(actual));
}

function wild(pattern: string): string {
  return escaped(pattern).replaceAll('\\*', '.*');
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function withinTime(time: TimeWindow | undefined, now: Date): boolean {
  if (time === undefined) return true;
  const { from = '00:00', to = '24:00', zone = 'UTC', days } = time;
  const [day, clock] = wallClock(zone, now);
  const [yesterday] = wallClock(zone, new Date(now.getTime() - 24 * 3_600_000));
  const begins = (each: string): boolean => days === undefined || days.includes(each as Weekday);
  if (from < to) return begins(day) && from <= clock && clock < to;
  return (begins(day) && clock >= from) || (begins(yesterday) && clock < to);
}

const seen = new Map<string, unknown>();

function once<Result>(key: string, make: () => Result): Result {
  if (!seen.has(key)) seen.set(key, make());
  return seen.get(key) as Result;
}

function wallClock(zone: string, at: Date): readonly [day: string, clock: string] {
  return once(`${zone} ${at.getTime()}`, () => {
    const day = at.toLocaleDateString('en-GB', { timeZone: zone, weekday: 'short' }).toLowerCase();
    return [day, at.toLocaleTimeString('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' })] as const;
  });
}

/** Mulberry32: small, seeded, good enough to draw from lists. */
function drawsOf(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const one = <Item>(items: readonly Item[]): Item => items[Math.floor(next() * items.length)]!;
  const some = <Item>(items: readonly Item[]): Item[] =>
    Array.from({ length: 1 + Math.floor(next() * 3) }, () => one(items));
  return { chance: (share: number) => next() < share, one, some };
}

type Draws = ReturnType<typeof drawsOf>;

const AGENTS = ['reviewer', 'scanner', 'builder', 'rev'];
const SERVICES = ['github', 'gitlab', 'orders-db', 'git'];
const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'];
const DATABASES = ['orders', 'orders_eu', 'Orders', 'stock'];
const APPLICATIONS = ['psql', 'pg_dump', ''];
const HOSTS = ['api.test', 'a.api.test', 'test', 'xapi.test', '10.0.0.1'];
const AWS_SERVICES = ['s3', 's3express', 'iam', 'dynamodb'];
const REGIONS = ['eu-central-1', 'eu-west-1', 'us-east-1'];
const ACTIONS = ['GetObject', 'PutObject', 'getobject', 'CreateUser'];
const BUCKETS = ['reports', 'reports-eu', 'payroll'];
const KEYS = ['a', 'a/b', 'a/b/c.csv', 'A', '', 'a\nb'];
const PATHS = [
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/a/b/',
  '/b',
  '/a/b/c',
  '/a/x/c',
  '/ab/c',
  '/a/a/b',
  '/a%3Ab',
  '/a:b',
  '/caf%C3%A9/b',
];
const PATTERNS = [
  '/',
  '/a',
  '/a/',
  '/*',
  '/a/*',
  '/a*',
  '/**',
  '/a/**',
  '/**/b',
  '/a/**/c',
  '/*/b',
  '/**/c/',
  '/a:b',
  '/café/**',
  '/a%3Ab',
];
// Around both changes of the clock in Zurich, at the ends of windows, and over the end of a week.
const MOMENTS = ['2026-03-28T23:30', '2026-03-29T00:59', '2026-03-29T01:00', '2026-10-25T00:30', '2026-10-25T01:15']
  .concat(['2026-01-05T07:59', '2026-01-05T08:00', '2026-01-05T16:59', '2026-01-05T17:00', '2026-01-09T23:00'])
  .concat(['2026-01-10T05:00', '2026-01-11T23:00', '2026-01-12T04:00', '2026-07-01T12:00'])
  .map((text) => new Date(`${text}:30Z`));
const WINDOWS: readonly TimeWindow[] = [
  { from: '09:00', to: '18:00', zone: 'Europe/Zurich', days: ['mon', 'tue', 'wed', 'thu', 'fri'] },
  { from: '22:00', to: '06:00', days: ['fri', 'sun'] },
  { from: '02:00', to: '03:00', zone: 'Europe/Zurich' },
  { days: ['sun', 'mon'], zone: 'America/New_York' },
  { from: '16:00' },
  { to: '02:30', zone: 'Europe/Zurich' },
];

function drawRule(draws: Draws, index: number): Rule {
  const { chance, one, some } = draws;
  const effect = chance(0.3) ? 'deny' : 'allow';
  if (chance(0.4)) {
    return {
      id: `rule-${index}`,
      effect,
      ...(chance(0.3) && { agents: some([...AGENTS, 're*', '*er']) }),
      ...(chance(0.05) && { methods: some([...METHODS, '*']) }),
      ...(chance(0.9) && { ssh: drawSsh(draws, effect) }),
      ...(chance(0.3) && { time: one(WINDOWS) }),
      ...(chance(0.4) && { rate: { perMinute: one([1, 30]) } }),
    };
  }
  return {
    id: `rule-${index}`,
    effect,
    ...(chance(0.3) && { agents: some([...AGENTS, 're*', '*er']) }),
    ...(chance(0.3) && { services: some([...SERVICES, 'git*', '*-db', 'g*t*b']) }),
    ...(chance(0.3) && { methods: some([...METHODS, '*']) }),
    ...(chance(0.5) && { paths: some(PATTERNS) }),
    ...(chance(0.3) && { hosts: some([...HOSTS, '*.test', '*.api.test', 'api.test:443', '*.api.test:80']) }),
    ...(chance(0.2) && { databases: some([...DATABASES, 'orders*', '*_eu', '*']) }),
    ...(chance(0.1) && { applications: some([...APPLICATIONS.filter(Boolean), 'p*', '*']) }),
    ...(chance(0.1) && { replication: chance(0.5) }),
    ...(chance(0.3) && { aws: drawAws(draws) }),
    ...(effect === 'allow' && chance(0.3) && { returnsCredentials: chance(0.8) }),
    ...(effect === 'deny' && chance(0.2) && { returnsCredentials: true }),
    ...(chance(0.1) && { deliver: one([['inject'], ['value'], ['inject', 'value'], ['inject', 'value']] as const) }),
    ...(chance(0.3) && { time: one(WINDOWS) }),
    ...(chance(0.4) && { rate: { perMinute: one([1, 30]) } }),
  };
}

function drawAws({ chance, some }: Draws): AwsSelector {
  const lists: AwsSelector = {
    ...(chance(0.4) && { services: some([...AWS_SERVICES, 's3*', '*']) }),
    ...(chance(0.3) && { regions: some([...REGIONS, 'eu-*']) }),
    ...(chance(0.4) && { actions: some([...ACTIONS, '*Object', 'Create*']) }),
    ...(chance(0.4) && { buckets: some([...BUCKETS, 'reports*', '*']) }),
    ...(chance(0.4) && { keys: some([...KEYS.filter(Boolean), 'a/*', '*.csv', '*/b*']) }),
  };
  return Object.keys(lists).length === 0 ? { services: ['s3'] } : lists;
}

function drawAwsFacts({ chance, one }: Draws): AwsFacts {
  const drawObject = (): AwsObject => ({
    ...(chance(0.8) && { bucket: one(BUCKETS) }),
    ...(chance(0.7) && { key: one(KEYS) }),
  });
  return {
    service: one(AWS_SERVICES),
    ...(chance(0.9) && { region: one(REGIONS) }),
    ...(chance(0.8) && { action: one(ACTIONS) }),
    ...drawObject(),
    ...(chance(0.2) && { source: drawObject() }),
  };
}

function drawRequest(draws: Draws): AccessRequest {
  const { chance, one } = draws;
  const asked: Facts = {
    ...(chance(0.9) && { method: one(METHODS) }),
    ...(chance(0.9) && { path: one(PATHS) }),
    ...(chance(0.15) && { pathAmbiguity: 'two slashes' }),
    ...(chance(0.9) && { host: one(HOSTS) }),
    ...(chance(0.9) && { port: one([80, 443]) }),
    ...(chance(0.6) && { database: one(DATABASES) }),
    ...(chance(0.6) && { application: one(APPLICATIONS) }),
    ...(chance(0.6) && { replication: chance(0.5) }),
    ...(chance(0.6) && { aws: drawAwsFacts(draws) }),
    ...(chance(0.3) && { returnsCredentials: chance(0.5) }),
    ...(chance(0.1) && { delivery: one(['inject', 'inject', 'value'] as const) }),
  };
  const facts = chance(0.4) ? { ...(chance(0.05) && { method: 'GET' }), ssh: drawSshFacts(draws) } : asked;
  return { service: one(SERVICES), connector: 'http', principal: { agent: one(AGENTS), attested: 'listener' }, facts };
}

test('a million random requests are decided as the documentation says', { timeout: 120_000 }, () => {
  const policies = 4_000;
  const requests = 250;
  const seed = Date.now() % 2 ** 31;
  const draws = drawsOf(seed);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < policies; round += 1) {
    const count = draws.one([0, 1, 2, 3, 4, 6, 8]);
    const rules = draws.chance(0.01) ? undefined : Array.from({ length: count }, (_, index) => drawRule(draws, index));
    const policy = compilePolicy(rules);
    for (let asked = 0; asked < requests; asked += 1) {
      const request = drawRequest(draws);
      const now = draws.one(MOMENTS);
      const wait = draws.one([0, 0, 1, 59_001]);
      const used: RateReader = {
        waitMilliseconds: (rule, agent, service, perMinute, counted) =>
          (perMinute + rule.length + agent.length + service.length + Number(counted === 'openings')) % 2 ? 0 : wait,
      };
      const expected = reference(rules, request, now, used);
      const actual = evaluate(policy, request, now, used);
      const outcome = actual.allow ? 'allow' : actual.code;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      if (summary(actual) === summary(expected)) continue;
      // Only the failure is formatted: a million assertions would take longer than a million decisions.
      expect({ seed, rules, request, now, verdict: actual }).toEqual({ seed, rules, request, now, verdict: expected });
      throw new Error(`seed ${seed}: ${summary(actual)} instead of ${summary(expected)}`);
    }
  }
  // Every kind of answer must have come up often, or the comparison proves little.
  expect(
    Math.min(...['allow', 'policy-denied', 'rate-limited', 'path-ambiguous'].map((each) => outcomes.get(each) ?? 0)),
  ).toBeGreaterThan(10_000);
});

function summary(verdict: Verdict): string {
  if (verdict.allow) return `allow ${verdict.rule} ${verdict.perMinute} ${verdict.perMinute && verdict.opening}`;
  return `${verdict.code} ${verdict.rule} ${verdict.retryAfterSeconds}`;
}
