import { describe, expect, test } from 'vitest';
import { checkRules, compilePolicy, evaluate } from './decide.ts';
import type { SshFacts } from './request.ts';
import type { Rule, SshSelector } from './rules.ts';
import { ASKED, KEY, NOW, allow, asking, decider, deny, exec, unused, user } from './testdata/ssh.ts';

describe('commands', () => {
  const covers = (effect: 'allow' | 'deny', pattern: string, command: string): boolean =>
    effect === 'allow'
      ? decider([allow('r', { commands: [pattern] })], exec(command)) === '+r'
      : decider([allow('a'), deny('r', { commands: [pattern] })], exec(command)) === '-r';

  const PLAIN = 'abcxyzABCXYZ0189 _@%+=:,./-';
  test('a star of an allow rule is exactly what no shell reads anything into', () => {
    const units = Array.from({ length: 0x300 }, (_, unit) => String.fromCharCode(unit)).concat(
      '\u212a',
      '\udce9',
      '😀',
    );
    const plain = units.filter((unit) => covers('allow', 'a*b', `a${unit}b`)).join('');
    expect(plain).toBe(' %+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz');
    expect(covers('allow', '*', PLAIN)).toBe(true);
    for (const unit of units) {
      expect(covers('allow', 'a**b', `a${unit}b`)).toBe(true);
      expect(covers('deny', 'a*b', `a${unit}b`)).toBe(true);
    }
  });

  test.each<[string, string, boolean]>([
    ['uptime', 'uptime', true],
    ['uptime', 'uptime ', false],
    ['uptime', 'Uptime', false],
    ['uptime', 'uptime\0', false],
    ['uptime', 'uptime\n', false],
    ['uptime', '/usr/bin/uptime', false],
    ["cat '/etc/motd'; true", "cat '/etc/motd'; true", true],
    ["cat '*'", "cat 'a b'", true],
    ["cat '*'", "cat 'a'b'", false],
    ["cat '*'", "cat 'a'; rm 'b'", false],
    ['git log *', 'git log -1', true],
    ['git log *', 'git log', false],
    ['git log *', 'git log $(id)', false],
    ['git log *', 'git log a\nid', false],
    ['git log **', 'git log a\nid', true],
    ['git log ***', 'git log a\nid', true],
    ['*', '', true],
    ['*', 'a;b', false],
    ['**', 'a;b\n\udce9', true],
    ['*;*', 'a;b', true],
    ['*;*', 'a;b;c', false],
    ['*;**', 'a;b;c', true],
    ['**a*b', 'xaxb', true],
    ['**a*b', ';axaxb', true],
    ['**a*b', 'ax;b', false],
    ['**a*b', 'ax;axb', true],
    ['**a*b**', 'ax;axb;', true],
    ['a*a', 'a', false],
    ['a**a', 'aa', true],
    ['a**a', 'a', false],
    ['abc**c', 'abc', false],
    ['*;x*;y', ';xq;x;y', false],
    ['[a-z]+', '[a-z]+', true],
    ['[a-z]+', 'abc', false],
    ['\udce9*', '\udce9x', true],
  ])('%j covers %j: %j', (pattern, command, expected) => {
    expect(covers('allow', pattern, command)).toBe(expected);
  });

  test('a command of the greatest length is held against a pattern with many stars in no time', () => {
    const pattern = `${'**a*'.repeat(20)}b`;
    const command = 'a'.repeat(256 * 1024);
    const policy = compilePolicy([allow('r', { commands: [pattern] })]);
    const began = performance.now();
    expect(evaluate(policy, asking(exec(`${command}c`)), NOW, unused).allow).toBe(false);
    expect(evaluate(policy, asking(exec(`;${command}b`)), NOW, unused).allow).toBe(true);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('destinations', () => {
  const covers = (effect: 'allow' | 'deny', pattern: string, destination: string): boolean => {
    const facts: SshFacts = { request: 'forward', user, destination };
    const open = allow('all', { forwards: ['*'] });
    return effect === 'allow'
      ? decider([allow('r', { forwards: [pattern] })], facts) === '+r'
      : decider([open, deny('r', { forwards: [pattern] })], facts) === '-r';
  };
  test.each<[string, string, allowed: boolean, denied: boolean]>([
    ['db.internal:5432', 'db.internal:5432', true, true],
    ['DB.internal:5432', 'db.INTERNAL:5432', true, true],
    ['db.internal:5432', 'db.internal:54321', false, false],
    ['k8s.internal:443', '\u212a8s.internal:443', false, false],
    ['db.internal:*', 'db.internal:22', true, true],
    ['*.internal:80', 'db.internal:80', true, true],
    ['*.internal:80', '169.254.169.254 x.internal:80', false, true],
    ['**.internal:80', '169.254.169.254 x.internal:80', true, true],
    ['*.internal:80', 'evil\0.internal:80', false, true],
    ['db:*', 'db:22:22', false, true],
    ['*:22', '[::1]:22', true, true],
    ['[::1]:22', '[::1]:22', true, true],
    ['10.0.0.*:22', '10.0.0.7:22', true, true],
    ['10.0.0.*:22', '10.0.0.7.evil.example:22', false, true],
    ['10.0.0.*:22', '10.0.0.0x7:22', false, true],
    ['10.*:22', '10.evil.example:22', false, true],
    ['10**:22', '10.evil.example:22', true, true],
    ['db-1*:22', 'db-10.internal:22', true, true],
    ['[fd00:*]:22', '[fd00::7]:22', true, true],
    ['[fd00:*]:22', '[fd00:x.evil.example]:22', false, true],
    ['[fd00:*]:22', 'fd00::7:22', false, true],
    ['db.internal:22', 'db.internal.:22', false, true],
    ['db.internal:22', 'DB.internal.:22', false, true],
    ['db.internal:22', 'db.internal..:22', false, false],
    [':8080', ':8080', true, true],
    [':8080', 'localhost:8080', false, false],
    ['*:*', '/run/docker.sock', false, false],
    ['*:22', '/run/x:22', false, false],
    ['*', '/run/docker.sock', true, true],
    ['*', 'db.internal:22', true, true],
    ['/run/app.sock', '/run/app.sock', true, true],
    ['/run/app.sock', '/run/APP.sock', false, false],
    ['/run/app.sock', 'run/app.sock:1', false, false],
    ['/run/app.sock', 'run/../app.sock:1', false, false],
    ['/run/*.sock', '/run/app.sock', true, true],
    ['/run/*.sock', '/run/x/app.sock', false, true],
    ['/run/**.sock', '/run/x/app.sock', true, true],
    ['/run/**.sock', '/run/../docker.sock', false, true],
    ['/run/*/a', '/run/./a', false, true],
    ['/run/**', '/run/..', false, true],
    ['/run/app.sock', '/run//app.sock', false, true],
    ['/run/../app.sock', '/run/../app.sock', true, true],
  ])('%j covers %j: allowed %j, denied %j', (pattern, destination, allowed, denied) => {
    expect([covers('allow', pattern, destination), covers('deny', pattern, destination)]).toEqual([allowed, denied]);
  });

  test('of listens are their own', () => {
    expect(decider([allow('a', { forwards: ['*'] })], ASKED.listen)).toBe('-default-deny');
    expect(decider([allow('a', { listens: ['*'] })], ASKED.forward)).toBe('-default-deny');
    expect(decider([allow('a', { listens: ['*'] })], ASKED.jump)).toBe('-default-deny');
    expect(decider([allow('a', { listens: ['localhost:*'] })], ASKED.listen)).toBe('+a');
  });
});

describe('selectors that cannot be compiled', () => {
  test.each<[string, Rule, string]>([
    ['none at all', allow('a', {}), 'ssh'],
    ['a text', deny('a', 'ssh' as never), 'ssh'],
    ['an empty list', deny('a', { commands: [] }), 'ssh.commands'],
    ['an empty command', deny('a', { commands: ['id', ''] }), 'ssh.commands'],
    ['an empty user', allow('a', { users: [''] }), 'ssh.users'],
    ['a git of nothing', allow('a', { git: {} }), 'ssh.git'],
    ['no repositories', allow('a', { git: { repos: [] } }), 'ssh.git.repos'],
    ['a repository with .git', deny('a', { git: { repos: ['a/b.GIT'] } }), 'ssh.git.repos'],
    ['a repository with a slash before it', deny('a', { git: { repos: ['/a/b'] } }), 'ssh.git.repos'],
    ['a repository with a slash after it', deny('a', { git: { repos: ['a/b/'] } }), 'ssh.git.repos'],
    ['a push that is neither', allow('a', { git: { push: 'no' as never } }), 'ssh.git.push'],
    ['a shell that is neither', allow('a', { shell: 'no' as never }), 'ssh.shell'],
    ['a deny rule on no shell', deny('a', { shell: false }), 'ssh.shell'],
    ['a deny rule on no terminal', deny('a', { pty: false }), 'ssh.pty'],
    ['a deny rule on no agent forwarding', deny('a', { agentForwarding: false }), 'ssh.agentForwarding'],
    ['a deny rule on no X11', deny('a', { commands: ['x'], x11Forwarding: false }), 'ssh.x11Forwarding'],
    ['a destination without a port', allow('a', { forwards: ['db.internal'] }), 'ssh.forwards'],
    ['a destination with a word for a port', allow('a', { forwards: ['db.internal:ssh'] }), 'ssh.forwards'],
    ['an IPv6 address without brackets', allow('a', { listens: ['::1:80'] }), 'ssh.listens'],
    ['a fingerprint of MD5', allow('a', { hostKeys: ['MD5:aa:bb'] }), 'ssh.hostKeys'],
    ['a fingerprint with padding', deny('a', { hostKeys: [`${KEY}=`] }), 'ssh.hostKeys'],
    ['a fingerprint with a star', allow('a', { hostKeys: ['SHA256:*'] }), 'ssh.hostKeys'],
    ['a fingerprint that no 32 bytes have', allow('a', { hostKeys: [`${KEY.slice(0, -1)}V`] }), 'ssh.hostKeys'],
    ['an empty namespace', allow('a', { namespaces: [''] }), 'ssh.namespaces'],
    ['an empty subsystem', allow('a', { subsystems: [''] }), 'ssh.subsystems'],
  ])('%s is refused', (_name, rule, path) => {
    expect(checkRules([rule])).toEqual([{ path: [0, ...path.split('.')], message: expect.any(String) }]);
    expect(() => compilePolicy([rule])).toThrow('configuration');
  });

  test('those that can have no problems', () => {
    const ssh: SshSelector = {
      users: ['git', 'deploy*'],
      commands: ['uptime', 'systemctl status *'],
      git: { repos: ['acme/*'], push: false },
      shell: true,
      pty: false,
      subsystems: ['sftp'],
      forwards: ['db.internal:5432', '[::1]:*', '/run/*.sock', '*'],
      listens: [':8080', 'localhost:*'],
      agentForwarding: true,
      x11Forwarding: true,
      hostKeys: [KEY, '*'],
      namespaces: ['git'],
    };
    expect(checkRules([allow('a', ssh), deny('d', ssh)])).toEqual([]);
  });
});
