import { describe, expect, test } from 'vitest';
import { compilePolicy, evaluate } from './decide.ts';
import { Policy } from './policy.ts';
import type { SshFacts } from './request.ts';
import { ASKED, KEY, NOW, allow, asking, decider, deny, exec, git, unused } from './testdata/ssh.ts';

describe('rules that look narrower than they are', () => {
  test('a shell that is left out does not keep a command from being one', () => {
    expect(decider([allow('a', { shell: false })], ASKED.shell)).toBe('-default-deny');
    expect(decider([allow('a', { shell: false })], exec('sh -i'))).toBe('+a');
    expect(decider([allow('a', { shell: false, commands: ['uptime'] })], exec('sh -i'))).toBe('-default-deny');
  });

  test('commands beside git let its commands through where they cover them, and only there', () => {
    const push = git('acme/api', true);
    expect(decider([allow('a', { git: { push: false } })], push)).toBe('-default-deny');
    expect(decider([allow('a', { git: { push: false }, commands: ['uptime', 'df *'] })], push)).toBe('-default-deny');
    expect(decider([allow('a', { git: { push: false }, commands: ['**'] })], push)).toBe('+a');
    expect(
      decider([allow('a', { git: { push: false }, commands: ['**'] }), deny('d', { git: { push: true } })], push),
    ).toBe('-d');
  });

  test('a user in a rule says nothing of whoever is told no user', () => {
    const rules = [allow('a', { users: ['deploy'], commands: ['**'], shell: true, subsystems: ['*'] })];
    for (const request of ['exec', 'shell', 'subsystem', 'pty', 'sign-document'] as const) {
      const { user: _, ...untold } = ASKED[request];
      expect(decider(rules, untold as SshFacts), request).toBe('-default-deny');
    }
    const root = { ...ASKED.shell, user: 'root' };
    expect(decider([allow('a'), deny('d', { users: ['root'] })], root)).toBe('-d');
    expect(decider([allow('a'), deny('d', { users: ['root'] })], { request: 'shell' })).toBe('-d');
  });

  test.each<[string, boolean]>([
    ['deploy', true],
    ['Deploy', false],
    ['deploy ', false],
    ['deploy\0', false],
    ['dеploy', false],
    ['deploy--host', false],
  ])('a user is compared as it is: %j', (actual, expected) => {
    const told = decider([allow('a', { users: ['deploy'] })], { ...ASKED.shell, user: actual });
    expect(told).toBe(expected ? '+a' : '-default-deny');
  });

  test('a repository is compared whole, and case is no way past a rule', () => {
    const rules = [allow('a', { git: { repos: ['acme/*'] } }), deny('d', { git: { repos: ['acme/secret'] } })];
    expect(decider(rules, git('acme/api'))).toBe('+a');
    expect(decider(rules, git('acme/SECRET'))).toBe('-d');
    for (const other of ['acme', 'acme/a/b', 'xacme/a', 'other/acme/a', 'acme/../secret']) {
      expect(decider(rules, git(other)), other).toBe('-default-deny');
    }
    expect(decider([...rules, allow('all', { commands: ['**'] })], exec('git-x', { git: 'unclear' }))).toBe('-d');
  });
});

describe('what is remembered of one request', () => {
  test('does not answer for another of the same service and agent', () => {
    const policy = compilePolicy([
      allow('fetch', { git: { push: false } }),
      allow('files', { subsystems: ['sftp'], users: ['deploy'] }),
      deny('never', { commands: ['rm **'] }),
    ]);
    const wanted: readonly (readonly [SshFacts, string])[] = [
      [git('a/b'), 'fetch'],
      [git('a/b', true), 'default-deny'],
      [ASKED.subsystem, 'files'],
      [{ ...ASKED.subsystem, user: 'root' }, 'default-deny'],
      [exec('rm -rf /'), 'never'],
      [exec('uptime'), 'default-deny'],
    ];
    for (let round = 0; round < 3; round += 1) {
      for (const [facts, rule] of round % 2 === 0 ? wanted : [...wanted].reverse()) {
        expect(evaluate(policy, asking(facts), NOW, unused).rule).toBe(rule);
      }
    }
  });

  test('of a rate is counted for each agent and service apart, whatever they are called', () => {
    const policy = new Policy([allow('r', { commands: ['**'] }, { rate: { perMinute: 1 } })], { monotonic: () => 0 });
    const asks = (agent: string, service: string): boolean =>
      policy.decide({ ...asking(exec('id')), service, principal: { agent, attested: 'listener' } }).allow;
    expect([asks('ab', 'c'), asks('a', 'bc'), asks('abc', ''), asks('', 'abc')]).toEqual([true, true, true, true]);
    expect([asks('ab', 'c'), asks('a', 'bc'), asks('abc', ''), asks('', 'abc')]).toEqual([false, false, false, false]);
  });

  test('openings do not use up what follows them, and nothing goes uncounted', () => {
    const policy = new Policy([allow('r', undefined, { rate: { perMinute: 2 } })], { monotonic: () => 0 });
    const asks = (facts: SshFacts): boolean => policy.decide(asking(facts)).allow;
    expect([ASKED.login, ASKED.login, ASKED.login].map(asks)).toEqual([true, true, false]);
    expect([exec('id'), ASKED.shell, ASKED.subsystem, ASKED['sign-document']].map(asks)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('what was allowed', () => {
  test('is not allowed any more when its time is over, or when a rule denies it', () => {
    let now = new Date('2026-01-05T12:00:00Z');
    const time = { from: '09:00', to: '17:00' };
    const office = new Policy([allow('a', { shell: true }, { time })], { now: () => now });
    expect([office.permits(asking(ASKED.shell)), office.permits(asking(ASKED.login))]).toEqual([true, true]);
    now = new Date('2026-01-05T17:00:00Z');
    expect([office.permits(asking(ASKED.shell)), office.permits(asking(ASKED.login))]).toEqual([false, false]);
    const later = new Policy([allow('a'), deny('d', { shell: true })]);
    expect(later.permits(asking(ASKED.shell))).toBe(false);
    expect(later.permits(asking(exec('id')))).toBe(true);
  });
});

describe('the list of keys', () => {
  const forwarded: SshFacts = { request: 'keys', forwarded: true };

  test('is not for a host on the way unless a rule forwards the agent to it', () => {
    expect(decider([allow('a')], forwarded)).toBe('-default-deny');
    expect(decider([allow('a', { hostKeys: [KEY] })], forwarded)).toBe('-default-deny');
    expect(decider([allow('a', { agentForwarding: true })], forwarded)).toBe('-default-deny');
    expect(decider([allow('a', { hostKeys: [KEY], agentForwarding: true })], forwarded)).toBe('+a');
    expect(decider([allow('a', { hostKeys: [KEY] })], ASKED.keys)).toBe('+a');
    expect(decider(undefined, forwarded)).toBe('+');
  });
});
