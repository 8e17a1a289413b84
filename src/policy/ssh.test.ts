import { describe, expect, test } from 'vitest';
import { compilePolicy, evaluate } from './decide.ts';
import { Policy } from './policy.ts';
import type { SshFacts, SshRequest } from './request.ts';
import type { Rule, SshSelector } from './rules.ts';
import { ASKED, KEY, NOW, OTHER_KEY, allow, asking, decider, deny, exec, git, unused, user } from './testdata/ssh.ts';

const KINDS = Object.keys(ASKED) as SshRequest[];
const REACHING: readonly SshRequest[] = ['forward', 'listen', 'agent-forwarding', 'x11-forwarding'];
const USUAL = KINDS.filter((kind) => !REACHING.includes(kind));

/** The kinds that the rule allows by itself, or denies beside a rule for each that allows all. */
function covered(effect: 'allow' | 'deny', ssh: SshSelector | undefined): SshRequest[] {
  const everything = { commands: ['**'], shell: true, subsystems: ['*'], forwards: ['*'], listens: ['*'] };
  const all = allow('all', {
    ...everything,
    agentForwarding: true,
    x11Forwarding: true,
    hostKeys: ['*'],
    namespaces: ['*'],
  });
  const rules = effect === 'allow' ? [allow('r', ssh)] : [all, deny('r', ssh)];
  const policy = compilePolicy(rules);
  return KINDS.filter((kind) => {
    const verdict = evaluate(policy, asking(ASKED[kind]), NOW, unused);
    return effect === 'allow' ? verdict.allow : !verdict.allow && verdict.rule === 'r';
  });
}

describe('what a rule covers', () => {
  test('nothing that reaches past sessions and signatures is open where there are no rules, and the rest is', () => {
    const policy = compilePolicy(undefined);
    const allowed = KINDS.filter((kind) => evaluate(policy, asking(ASKED[kind]), NOW, unused).allow);
    expect(allowed).toEqual(USUAL);
    expect(evaluate(policy, asking(ASKED.forward), NOW, unused)).toEqual({
      allow: false,
      code: 'policy-denied',
      rule: 'default-deny',
      reason: 'only a rule that names it allows this',
    });
  });

  test.each<[SshSelector | undefined, readonly SshRequest[]]>([
    [undefined, USUAL],
    [{ users: ['dep*'] }, USUAL.filter((kind) => kind !== 'sign-document')],
    [{ users: ['root'] }, ['keys']],
    [{ shell: false }, USUAL.filter((kind) => kind !== 'shell' && kind !== 'pty')],
    [
      { shell: false, agentForwarding: false, x11Forwarding: false },
      USUAL.filter((kind) => kind !== 'shell' && kind !== 'pty'),
    ],
    [{ pty: false }, USUAL.filter((kind) => kind !== 'pty')],
    [{ agentForwarding: false }, USUAL],
    [{ commands: ['uptime'] }, ['login', 'exec']],
    [{ commands: ['other'] }, ['login']],
    [{ git: { repos: ['a'] } }, ['login']],
    [{ shell: true }, ['login', 'shell', 'pty']],
    [{ shell: true, pty: false }, ['login', 'shell']],
    [{ commands: ['uptime'], pty: true }, ['login', 'exec', 'pty']],
    [{ commands: ['uptime'], shell: false }, ['login', 'exec']],
    [{ pty: true }, ['pty']],
    [{ pty: true, shell: false }, ['pty']],
    [{ subsystems: ['sftp'] }, ['login', 'subsystem']],
    [{ subsystems: ['netconf'] }, ['login']],
    [{ forwards: ['*'] }, ['login', 'forward', 'jump']],
    [{ forwards: ['inner.internal:22'] }, ['login', 'jump']],
    [{ listens: ['localhost:8080'] }, ['login', 'listen']],
    [{ agentForwarding: true }, ['agent-forwarding']],
    [{ x11Forwarding: true }, ['x11-forwarding']],
    [{ x11Forwarding: true, commands: ['uptime'] }, ['login', 'exec', 'x11-forwarding']],
    [{ hostKeys: [KEY] }, ['keys', 'sign-login']],
    [{ hostKeys: [OTHER_KEY] }, ['keys']],
    [{ namespaces: ['git'] }, ['keys', 'sign-document']],
    [{ users: ['deploy'], namespaces: ['git'] }, []],
    [{ users: ['root'], commands: ['**'] }, []],
    [{ users: ['root'], hostKeys: ['*'] }, ['keys']],
  ])('that allows %j', (ssh, kinds) => {
    expect(covered('allow', ssh)).toEqual(kinds);
  });

  test.each<[SshSelector | undefined, readonly SshRequest[]]>([
    [undefined, KINDS],
    [{ users: ['dep*'] }, KINDS.filter((kind) => kind !== 'keys' && kind !== 'sign-document')],
    [{ users: ['root'] }, []],
    [{ commands: ['**'] }, ['exec']],
    [{ commands: ['other'] }, []],
    [{ git: { push: true } }, []],
    [{ shell: true }, ['shell', 'pty']],
    [{ shell: true, pty: false }, ['shell']],
    [{ pty: true }, ['pty']],
    [{ subsystems: ['*'] }, ['subsystem']],
    [{ forwards: ['*'] }, ['forward', 'jump']],
    [{ listens: ['*'] }, ['listen']],
    [{ agentForwarding: true }, ['agent-forwarding']],
    [{ x11Forwarding: true }, ['x11-forwarding']],
    [{ hostKeys: ['*'] }, ['sign-login']],
    [{ namespaces: ['*'] }, ['sign-document']],
    [{ users: ['deploy'], commands: ['**'] }, ['exec']],
    [{ users: ['root'], commands: ['**'] }, []],
  ])('that denies %j', (ssh, kinds) => {
    expect(covered('deny', ssh)).toEqual(kinds);
  });

  test('is nothing but SSH where `ssh` is written', () => {
    for (const effect of ['allow', 'deny'] as const) {
      const rules: Rule[] = [{ id: 'r', effect, ssh: { users: ['*'] } }, allow('other')];
      expect(evaluate(compilePolicy(rules), asking(undefined), NOW, unused).rule).toBe('other');
    }
  });

  test('is nothing over SSH where it has a selector for something else', () => {
    for (const rest of [{ methods: ['*'] }, { databases: ['*'] }, { hosts: ['*.a'] }, { aws: { services: ['*'] } }]) {
      for (const kind of KINDS) expect(decider([allow('r', undefined, rest)], ASKED[kind])).toBe('-default-deny');
      expect(decider([deny('r', undefined, rest), allow('all')], ASKED.login)).toBe('+all');
    }
  });

  test('is the same however often one policy is asked, whatever came before', () => {
    const policy = compilePolicy([
      deny('d', { commands: ['rm **'] }),
      allow('e', { commands: ['**'] }),
      allow('l', { shell: true }),
    ]);
    const asked = [exec('ls'), ASKED.shell, exec('rm x'), undefined, exec('ls'), ASKED.pty, ASKED.login];
    const answers = asked.map((facts) => evaluate(policy, asking(facts), NOW, unused).rule);
    expect(answers).toEqual(['e', 'l', 'd', 'default-deny', 'e', 'l', 'e']);
  });
});

describe('what a request does not tell', () => {
  const untold: readonly [SshSelector, SshFacts][] = [
    [{ commands: ['other'] }, { request: 'exec', user }],
    [{ subsystems: ['other'] }, { request: 'subsystem', user }],
    [{ forwards: ['other:1'] }, { request: 'forward', user }],
    [{ forwards: ['other:1'] }, { request: 'jump', user }],
    [{ listens: ['other:1'] }, { request: 'listen', user }],
    [{ hostKeys: [OTHER_KEY] }, { request: 'sign-login', user }],
    [{ namespaces: ['other'] }, { request: 'sign-document' }],
    [{ users: ['other'], shell: true }, { request: 'shell' }],
    [{ users: ['other'] }, { request: 'jump', destination: 'h:1' }],
    [{ users: ['other'] }, { request: 'sign-login', hostKey: KEY }],
    [{ git: { repos: ['other'], push: true } }, exec('cat .gitignore', { git: 'unclear' })],
  ];
  test.each(untold)('keeps it from no rule that denies %j', (ssh, facts) => {
    const open = allow('all', { commands: ['**'], shell: true, forwards: ['*'], listens: ['*'], subsystems: ['*'] });
    expect(decider([deny('d', ssh), open, allow('rest')], facts)).toBe('-d');
  });

  const anything = { commands: ['**'], subsystems: ['*'], forwards: ['*:*'], listens: ['/**'], namespaces: ['*'] };
  test.each(untold.slice(0, 7))('is covered by nothing that an allow rule names: %j', (_ssh, facts) => {
    expect(decider([allow('a', { ...anything, hostKeys: [KEY] })], facts)).toBe('-default-deny');
  });

  test.each(untold.slice(7, 10))('of its user is covered by no allow rule on users: %j', (_ssh, facts) => {
    expect(decider([allow('a', { users: ['*'] })], facts)).toBe('-default-deny');
  });

  test.each(untold.slice(0, 7))('is no matter to a rule without keys: %j', (_ssh, facts) => {
    const usual = facts.request !== 'forward' && facts.request !== 'listen';
    expect(decider([allow('a')], facts)).toBe(usual ? '+a' : '-default-deny');
    expect(decider([allow('a'), deny('d')], facts)).toBe('-d');
  });

  test('of its user is no matter where there is none: a document is signed for nobody', () => {
    expect(decider([deny('d', { users: ['*'] }), allow('a')], ASKED['sign-document'])).toBe('+a');
    expect(decider([deny('d', { users: ['*'], namespaces: ['*'] }), allow('a')], ASKED['sign-document'])).toBe('+a');
    expect(decider([allow('a', { users: ['*'] })], ASKED['sign-document'])).toBe('-default-deny');
  });
});

describe('git', () => {
  const named = (selector: NonNullable<SshSelector['git']>, facts: SshFacts): boolean => {
    const allowed = decider([allow('r', { git: selector })], facts) === '+r';
    const denied = decider([allow('a'), deny('r', { git: selector })], facts) === '-r';
    expect(denied).toBe(allowed);
    return allowed;
  };
  test.each<[NonNullable<SshSelector['git']>, SshFacts, boolean]>([
    [{ repos: ['acme/api'] }, git('acme/api'), true],
    [{ repos: ['acme/api'] }, git('acme/api', true), true],
    [{ repos: ['Acme/API'] }, git('acme/api'), true],
    [{ repos: ['acme/api'] }, git('Acme/API'), true],
    [{ repos: ['acme/api'] }, git('acme/api2'), false],
    [{ repos: ['acme/*'] }, git('acme/api'), true],
    [{ repos: ['acme/*'] }, git('acme/api/wiki'), false],
    [{ repos: ['acme/**'] }, git('acme/api/wiki'), true],
    [{ repos: ['*'] }, git('acme/api'), false],
    [{ repos: ['**'] }, git('acme/api'), true],
    [{ repos: ['other', '*/api'] }, git('acme/api'), true],
    [{ push: true }, git('acme/api'), false],
    [{ push: true }, git('acme/api', true), true],
    [{ push: false }, git('acme/api'), true],
    [{ push: false }, git('acme/api', true), false],
    [{ repos: ['acme/*'], push: false }, git('acme/api', true), false],
    [{ repos: ['acme/*'], push: false }, git('other/api'), false],
    [{ repos: ['**'] }, exec('uptime'), false],
    [{ push: false }, exec('uptime'), false],
  ])('%j names %j: %j', (selector, facts, expected) => {
    expect(named(selector, facts)).toBe(expected);
  });

  test('a command that may be one of git’s is allowed by no rule on git, and denied by each', () => {
    const unclear = exec("git-upload-pack 'a'; id", { git: 'unclear' });
    expect(decider([allow('a', { git: { repos: ['**'] } })], unclear)).toBe('-default-deny');
    expect(decider([allow('a'), deny('d', { git: { push: true } })], unclear)).toBe('-d');
    expect(decider([allow('a', { commands: ['**'] })], unclear)).toBe('+a');
  });

  test('beside commands either covers', () => {
    const rules = [allow('a', { git: { push: false }, commands: ['uptime'] })];
    expect([git('a'), exec('uptime'), git('a', true), exec('id')].map((facts) => decider(rules, facts))).toEqual([
      '+a',
      '+a',
      '-default-deny',
      '-default-deny',
    ]);
    const denied = [allow('a'), deny('d', { git: { push: true }, commands: ['rm **'] })];
    expect([git('a', true), exec('rm x'), git('a'), exec('id')].map((facts) => decider(denied, facts))).toEqual([
      '-d',
      '-d',
      '+a',
      '+a',
    ]);
  });
});

describe('signatures', () => {
  const unproven: SshFacts = { request: 'sign-login', user };
  test('for a host that is not proven are covered by a star alone, and denied by every list of host keys', () => {
    expect(decider([allow('a', { hostKeys: [KEY, OTHER_KEY] })], unproven)).toBe('-default-deny');
    expect(decider([allow('a', { hostKeys: [KEY, '*'] })], unproven)).toBe('+a');
    expect(decider([allow('a')], unproven)).toBe('+a');
    expect(decider([allow('a'), deny('d', { hostKeys: [OTHER_KEY] })], unproven)).toBe('-d');
    expect(decider([allow('a'), deny('d', { hostKeys: [OTHER_KEY] })], ASKED['sign-login'])).toBe('+a');
  });

  const forwarded = (facts: SshFacts): SshFacts => ({ ...facts, forwarded: true });
  const asked = [ASKED['sign-login'], ASKED['sign-document']].map(forwarded);
  test.each<[SshSelector | undefined, string, string]>([
    [undefined, '-default-deny', '-default-deny'],
    [{ hostKeys: ['*'], namespaces: ['*'] }, '-default-deny', '-default-deny'],
    [{ agentForwarding: true }, '-default-deny', '-default-deny'],
    [{ agentForwarding: true, hostKeys: [KEY] }, '+a', '-default-deny'],
    [{ agentForwarding: true, hostKeys: [OTHER_KEY] }, '-default-deny', '-default-deny'],
    [{ agentForwarding: true, namespaces: ['git'] }, '-default-deny', '+a'],
    [{ agentForwarding: true, namespaces: ['file'] }, '-default-deny', '-default-deny'],
  ])('that a host on the way asks for are allowed by %j: %j, %j', (ssh, ofLogin, ofDocument) => {
    expect(asked.map((facts) => decider([allow('a', ssh)], facts))).toEqual([ofLogin, ofDocument]);
  });

  test('that a host on the way asks for are denied with agent forwarding, and others are not', () => {
    const open = allow('a', { agentForwarding: true, hostKeys: ['*'], namespaces: ['*'] });
    for (const facts of asked) {
      expect(decider([open, deny('d', { agentForwarding: true })], facts)).toBe('-d');
      expect(decider([open, deny('d', { agentForwarding: true })], { ...facts, forwarded: false })).toBe('+a');
      expect(decider([open, deny('d')], facts)).toBe('-d');
    }
    expect(decider([open, deny('d', { hostKeys: [KEY] })], asked[0]!)).toBe('-d');
    expect(decider([open, deny('d', { namespaces: ['file'] })], asked[1]!)).toBe('+a');
  });
});

describe('openings', () => {
  const closed = { time: { to: '01:00' } };
  test('a rule outside its time does not open, and leaves that to another', () => {
    expect(decider([allow('shut', undefined, closed)], ASKED.login)).toBe('-default-deny');
    expect(decider([allow('shut', undefined, closed), allow('late', { commands: ['id'] })], ASKED.login)).toBe('+late');
    expect(decider([allow('shut', undefined, closed), allow('late')], ASKED.keys)).toBe('+late');
    expect(decider([allow('shut', undefined, closed), allow('late')], ASKED.exec)).toBe('-shut');
    expect(evaluate(compilePolicy([allow('shut', undefined, closed)]), asking(ASKED.login), NOW, unused)).toMatchObject(
      {
        reason: 'no rule allows this now: the time of those that could is over',
      },
    );
    expect(
      evaluate(compilePolicy([allow('other', { namespaces: ['git'] })]), asking(ASKED.login), NOW, unused),
    ).toMatchObject({
      reason: 'no rule allows this',
    });
  });

  test('a rule that denies all is heard before, within its time', () => {
    expect(decider([allow('a'), deny('d')], ASKED.login)).toBe('-d');
    expect(decider([allow('a'), deny('d', undefined, closed)], ASKED.login)).toBe('+a');
    expect(decider([allow('a'), deny('d', { users: [user] })], ASKED.login)).toBe('-d');
    expect(decider([allow('a'), deny('d', { users: [user] })], ASKED.keys)).toBe('+a');
    // Whom the credentials name is told by what comes after.
    expect(decider([allow('a'), deny('d', { users: ['*'] })], { request: 'login' })).toBe('+a');
    expect(decider([allow('a', { users: [user] })], { request: 'login' })).toBe('+a');
    expect(decider([allow('a', { users: [user], pty: true })], { request: 'login' })).toBe('-default-deny');
    expect(decider([allow('a'), deny('d', { shell: true, commands: ['**'] })], ASKED.login)).toBe('+a');
  });

  function counting(...rules: Rule[]) {
    const policy = new Policy(rules, { now: () => NOW, monotonic: () => 0 });
    return (...asked: SshFacts[]): string =>
      asked
        .map((facts) => {
          const decision = policy.decide(asking(facts));
          return decision.allow ? '+' : decision.code === 'rate-limited' ? '~' : '-';
        })
        .join('');
  }
  const rate = { rate: { perMinute: 2 } };
  const { login, keys, shell, pty } = ASKED;

  test('are counted apart from what comes after', () => {
    const ask = counting(allow('a', undefined, rate));
    expect(ask(login, exec('id'), login, exec('id'), login, exec('id'), shell)).toBe('++++~~~');
    expect(counting(allow('a', { users: [user] }, rate))(login, login, login)).toBe('++~');
    expect(counting(allow('a', undefined, rate))(keys, keys, keys)).toBe('++~');
  });

  test('are not counted where the rule may turn out to be about something else', () => {
    expect(
      counting(allow('a', { commands: ['id'] }, rate))(login, login, login, exec('id'), exec('id'), exec('id')),
    ).toBe('+++++~');
    expect(counting(allow('a', { shell: false }, rate))(login, login, login)).toBe('+++');
    expect(counting(allow('a', { pty: false }, rate))(login, login, login)).toBe('+++');
    expect(counting(allow('a', { users: [user] }, rate))(keys, keys, keys)).toBe('+++');
    const unnamed = { request: 'login' } as const;
    expect(counting(allow('a', { users: [user] }, rate))(unnamed, unnamed, unnamed)).toBe('+++');
    expect(counting(allow('a', { hostKeys: ['*'] }, rate))(keys, keys, keys)).toBe('+++');
  });

  test('what goes with a command or a shell is not counted', () => {
    const ask = counting(allow('a', { shell: true, agentForwarding: true, x11Forwarding: true }, rate));
    const equipped = [pty, ASKED['agent-forwarding'], ASKED['x11-forwarding']];
    expect(ask(...equipped, shell, ...equipped, shell, ...equipped, shell)).toBe('+++++++++++~');
  });

  test('that were allowed are permitted as long as the rule is there, its rate apart', () => {
    const policy = new Policy([allow('a', undefined, rate)], { now: () => NOW, monotonic: () => 0 });
    for (let times = 0; times < 3; times += 1) policy.decide(asking(login));
    expect(policy.decide(asking(login)).allow).toBe(false);
    expect(policy.permits(asking(login))).toBe(true);
    expect(new Policy([allow('a', { namespaces: ['git'] })]).permits(asking(login))).toBe(false);
  });
});
