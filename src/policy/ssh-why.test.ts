import { describe, expect, test } from 'vitest';
import { compilePolicy, evaluate } from './decide.ts';
import type { SshFacts } from './request.ts';
import type { SshSelector } from './rules.ts';
import { ASKED, KEY, NOW, OTHER_KEY, allow, asking, deny, exec, git, reasons, unused, user } from './testdata/ssh.ts';

describe('explaining', () => {
  test.each<[SshSelector, SshFacts | undefined, string]>([
    [{ users: ['*'] }, undefined, 'the request is none over SSH'],
    [{ users: ['root', 'git'] }, ASKED.login, 'user "deploy" matches none of root, git'],
    [{ users: ['root'] }, { request: 'jump' }, 'the request tells no user'],
    [{ commands: ['id'] }, ASKED.shell, 'the rule does not name shell'],
    [{ commands: ['id'] }, exec('a\u001b"\udce9'), 'command "a\\u001b\\"\ufffd" matches none of id'],
    [{ shell: true }, exec('a'), 'the rule names neither commands nor git'],
    [{ git: { push: false } }, exec('a'), 'it is no command of git'],
    [{ git: { push: false } }, git('acme/api', true), 'a push to "acme/api" is not what `git` says'],
    [{ git: { repos: ['x'] } }, git('acme/api'), 'a fetch from "acme/api" is not what `git` says'],
    [
      { git: { push: false }, commands: ['id'] },
      exec('git x', { git: 'unclear' }),
      'command "git x" matches none of id, and it cannot be read with certainty as a command of git',
    ],
    [{ subsystems: ['a', 'b'] }, ASKED.subsystem, 'subsystem "sftp" matches none of a, b'],
    [{ forwards: ['a:1'] }, ASKED.forward, 'destination "db.internal:5432" matches none of a:1'],
    [{ forwards: ['a:1'] }, ASKED.jump, 'destination "inner.internal:22" matches none of a:1'],
    [{ users: ['*'] }, ASKED.forward, 'the rule does not name forwards'],
    [{ listens: ['a:1'] }, ASKED.listen, 'address "localhost:8080" matches none of a:1'],
    [{ shell: true }, ASKED['agent-forwarding'], 'the rule does not name agentForwarding'],
    [
      { hostKeys: [KEY] },
      { ...ASKED['sign-login'], hostKey: OTHER_KEY },
      `host key "${OTHER_KEY}" matches none of ${KEY}`,
    ],
    [{ hostKeys: [KEY] }, { request: 'sign-login', user }, 'the request tells no host key'],
    [{ hostKeys: [KEY] }, { ...ASKED['sign-login'], forwarded: true }, 'the rule does not say agentForwarding'],
    [{ namespaces: ['file'] }, ASKED['sign-document'], 'namespace "git" matches none of file'],
    [{ namespaces: ['file'] }, ASKED.login, 'the rule allows nothing that a login is for'],
    [{ commands: ['id'] }, ASKED.keys, 'the rule allows no signature'],
    [{ commands: ['id'] }, ASKED.login, 'all selectors match: the rule may allow what is asked for later'],
    [{ users: ['deploy'] }, ASKED.login, 'all selectors match'],
    [{ shell: true }, ASKED.pty, 'all selectors match'],
  ])('says of an allow rule with %j and of %j why', (ssh, facts, because) => {
    expect(reasons([allow('a', ssh)], facts)).toEqual([because]);
  });

  test.each<[SshSelector | undefined, SshFacts, string]>([
    [{ commands: ['id'] }, ASKED.login, 'the rule denies only some of what may be asked for later'],
    [undefined, ASKED.login, 'denied by the rule'],
    [
      { git: { push: true } },
      exec('a', { git: 'unclear' }),
      'denied by the rule: the command may be one of git’s, which counts as a match',
    ],
    [{ git: { push: true }, commands: ['a'] }, exec('a', { git: 'unclear' }), 'denied by the rule'],
    [
      { hostKeys: [KEY] },
      { request: 'sign-login', user },
      'denied by the rule: the host is not proven, which counts as a match',
    ],
    [undefined, { request: 'sign-login', user }, 'denied by the rule'],
  ])('says of a deny rule with %j and of %j why', (ssh, facts, because) => {
    expect(reasons([deny('d', ssh)], facts)).toEqual([because]);
  });

  test('a reason that goes to the ledger quotes nothing of the request', () => {
    const facts: SshFacts = {
      request: 'exec',
      user: 'canary',
      command: 'canary',
      git: { repository: 'canary', push: true },
    };
    const policies = [[allow('a', { commands: ['x'] })], [deny('d', { commands: ['can*'] })], []];
    const verdicts = policies.map((rules) => evaluate(compilePolicy(rules), asking(facts), NOW, unused));
    expect(verdicts.some((verdict) => verdict.allow)).toBe(false);
    expect(JSON.stringify(verdicts)).not.toContain('canary');
  });
});
