import { describe, expect, test } from 'vitest';
import { checkRules } from '../policy/decide.ts';
import { load, shown, wholeCatalog as catalog } from './testdata/catalogs.ts';

function file(rules: string): string {
  return `version: '2'
services:
  host:
    connector: ssh
    listenOn: tcp://127.0.0.1:2222
    credentials: { address: a.internal, hostKey: x, privateKey: { from: env, get: KEY } }
  keys:
    connector: ssh-agent
    listenOn: unix:///run/agent.sock
    credentials: { key: { from: env, get: KEY } }
  orders-db:
    connector: pg
    listenOn: tcp://127.0.0.1:5432
    credentials: { host: db.internal }
rules:
${rules}
`;
}

function read(rest: string, effect = 'allow') {
  const more = effect === 'deny' ? '\n  - { id: b, effect: allow }' : '';
  return load(file(`  - { id: a, effect: ${effect}, ${rest} }${more}`), { catalog, checkRules });
}

const told = (rest: string, severity: 'error' | 'warning', effect?: string): string[] =>
  read(rest, effect)
    .problems.filter((problem) => problem.severity === severity && problem.path.startsWith('rules'))
    .map(
      ({ path, message, suggestion }) =>
        `${path.slice('rules.0.'.length)}: ${message}${suggestion ? ` (${suggestion})` : ''}`,
    );
const FINGERPRINT = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';
const GITHUB = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

describe('rules about SSH', () => {
  test('come out as they are written', () => {
    const ssh = `{ users: [git], commands: [uptime, 'df *'], git: { repos: [acme/*], push: false }, shell: false, subsystems: [sftp], forwards: ['db.internal:5432'], listens: ['localhost:*'], agentForwarding: true, x11Forwarding: true, hostKeys: ['${FINGERPRINT}', '*'] }`;
    const { config } = read(`ssh: ${ssh}`);
    expect(config?.rules).toEqual([
      {
        id: 'a',
        effect: 'allow',
        ssh: {
          users: ['git'],
          commands: ['uptime', 'df *'],
          git: { repos: ['acme/*'], push: false },
          shell: false,
          subsystems: ['sftp'],
          forwards: ['db.internal:5432'],
          listens: ['localhost:*'],
          agentForwarding: true,
          x11Forwarding: true,
          hostKeys: [FINGERPRINT, '*'],
        },
      },
    ]);
  });

  test.each([
    ['{}', 'ssh: must not be empty'],
    ['sftp', 'ssh: must be a map'],
    ['{ command: [uptime] }', 'ssh.command: unknown key "command" (commands)'],
    ['{ commands: [] }', 'ssh.commands: must not be empty'],
    ['{ commands: uptime }', 'ssh.commands: must be a list'],
    ['{ shell: maybe }', 'ssh.shell: must be true or false'],
    ['{ git: {} }', 'ssh.git: must not be empty'],
    ['{ git: { repo: [a] } }', 'ssh.git.repo: unknown key "repo" (repos)'],
    [
      '{ git: { repos: [acme/api.git] } }',
      'ssh.git.repos.0: a repository has no slashes around it and no `.git` (acme/api)',
    ],
    [
      '{ git: { repos: [/acme/api/] } }',
      'ssh.git.repos.0: a repository has no slashes around it and no `.git` (acme/api)',
    ],
    [
      '{ git: { repos: ["git@github.com:acme/api.git"] } }',
      'ssh.git.repos.0: a repository is the path alone, without the host (acme/api)',
    ],
    [
      '{ git: { repos: ["ssh://git@h:22/acme/api"] } }',
      'ssh.git.repos.0: a repository is the path alone, without the host (acme/api)',
    ],
    ['{ git: { repos: [a/../b] } }', 'ssh.git.repos.0: no repository has such a path, so that this never matches'],
    ['{ git: { repos: [a//b] } }', 'ssh.git.repos.0: no repository has such a path, so that this never matches'],
    ['{ users: [git@github.com] }', 'ssh.users.0: a user is a plain name, without the host'],
    [
      '{ users: [git], namespaces: [git] }',
      'ssh.namespaces: the signature of a document is for no user: write a rule without `users` for it',
    ],
    ['{ forwards: [db.internal] }', 'ssh.forwards.0: needs a port: write host:port, or `host:*` for any'],
    ['{ forwards: ["[::1]"] }', 'ssh.forwards.0: needs a port: write host:port, or `host:*` for any'],
    ['{ forwards: ["8080:db:5432"] }', 'ssh.forwards.0: an address is host:port alone, an IPv6 address in brackets'],
    ['{ forwards: ["tcp://db:5432"] }', 'ssh.forwards.0: an address is host:port, without a scheme'],
    ['{ forwards: ["db:ssh"] }', 'ssh.forwards.0: a port is a number, or `*`'],
    ['{ forwards: ["db:65536"] }', 'ssh.forwards.0: a port is a number up to 65535, without zeros before it'],
    ['{ forwards: ["db:022"] }', 'ssh.forwards.0: a port is a number up to 65535, without zeros before it'],
    ['{ forwards: ["a b:22"] }', 'ssh.forwards.0: no host has such a name'],
    ['{ listens: ["~/x.sock:1"] }', 'ssh.listens.0: the path of a socket is absolute'],
    [
      `{ hostKeys: ['ssh-ed25519 ${GITHUB} github'] }`,
      `ssh.hostKeys.0: a host key is told by its SHA256 fingerprint, as \`ssh-keygen -l\` shows it (${FINGERPRINT})`,
    ],
    [
      `{ hostKeys: ['${FINGERPRINT}='] }`,
      `ssh.hostKeys.0: a host key is told by its SHA256 fingerprint, as \`ssh-keygen -l\` shows it (${FINGERPRINT})`,
    ],
    [
      `{ hostKeys: ['${FINGERPRINT.toLowerCase().slice(0, 7)}${FINGERPRINT.slice(7)}'] }`,
      `ssh.hostKeys.0: a host key is told by its SHA256 fingerprint, as \`ssh-keygen -l\` shows it (${FINGERPRINT})`,
    ],
    [
      '{ hostKeys: ["MD5:aa:bb"] }',
      'ssh.hostKeys.0: a host key is told by its SHA256 fingerprint, as `ssh-keygen -l` shows it',
    ],
  ])('%s is refused', (ssh, message) => {
    expect(told(`ssh: ${ssh}`, 'error')).toEqual([message]);
    expect(read(`ssh: ${ssh}`).config).toBeUndefined();
  });

  test('a rule that denies what is false is refused, since it could be read both ways', () => {
    for (const key of ['shell', 'pty', 'agentForwarding', 'x11Forwarding']) {
      expect(told(`ssh: { ${key}: false }`, 'error', 'deny')).toEqual([
        `ssh.${key}: of a rule that denies this is true, or left out`,
      ]);
      expect(told(`ssh: { ${key}: false }`, 'error')).toEqual([]);
    }
    expect(told('ssh: { shell: true, pty: false }', 'error', 'deny')).toEqual([]);
  });

  test.each([
    [`{ commands: ["'uptime'"] }`, 'ssh.commands.0: commands are compared whole, quotes and all (uptime)'],
    [`{ commands: ['"uptime"'] }`, 'ssh.commands.0: commands are compared whole, quotes and all (uptime)'],
    [`{ commands: ["uptime "] }`, 'ssh.commands.0: commands are compared whole, blanks at their ends too (uptime)'],
    [`{ commands: ["^uptime$"] }`, 'ssh.commands.0: a command is no regular expression: all but `*` stands for itself'],
    [`{ commands: ["ls .*"] }`, 'ssh.commands.0: a command is no regular expression: all but `*` stands for itself'],
    [
      `{ commands: ["ls [a-z]+"] }`,
      'ssh.commands.0: a command is no regular expression: all but `*` stands for itself',
    ],
    [`{ commands: ["(ls|df)"] }`, 'ssh.commands.0: a command is no regular expression: all but `*` stands for itself'],
    [
      `{ commands: ["git-upload-pack *"] }`,
      'ssh.commands.0: git writes its commands in more than one way: name what it asks for with `git`',
    ],
    [
      `{ commands: ["*"] }`,
      'ssh.commands.0: any command of letters, digits, blanks and `_@%+=:,./-`, which is nearly any: `**` is any at all',
    ],
    ['{ commands: [uptime], shell: true }', 'ssh.commands: a shell, which the rule allows too, runs any command'],
    ['{ commands: [uptime], shell: false }', 'ssh.shell: the rule covers commands alone: this changes nothing'],
    ['{ forwards: ["*"] }', 'ssh.forwards.0: any address that the upstream reaches, and any socket of its own'],
    ['{ forwards: ["*:*"] }', 'ssh.forwards.0: any address that the upstream reaches, and any socket of its own'],
    ['{ listens: ["/**"] }', 'ssh.listens.0: any address that the upstream reaches, and any socket of its own'],
    [
      '{ shell: false }',
      'ssh.shell: a command may be a shell as well (`sh`), and the rule covers all: name `commands` too',
    ],
    [
      '{ commands: ["**"], git: { push: false } }',
      'ssh.git: `commands` covers those of git too, whatever the repository, so that this narrows nothing',
    ],
    [
      '{ commands: ["uptime", "git*"], git: { repos: [acme/*] } }',
      'ssh.git: `commands` covers those of git too, whatever the repository, so that this narrows nothing',
    ],
    [
      '{ subsystems: [/usr/lib/openssh/sftp-server] }',
      'ssh.subsystems.0: a subsystem is asked for by name, not by its program (sftp)',
    ],
    [
      '{ users: [git], agentForwarding: true }',
      'ssh.agentForwarding: this covers no signature: name them with `hostKeys` or `namespaces`',
    ],
  ])('%s is warned about', (ssh, message) => {
    expect(told(`ssh: ${ssh}`, 'warning')).toEqual([message]);
    expect(told(`ssh: ${ssh}`, 'error')).toEqual([]);
  });

  test('what is meant otherwise of a rule that allows is right of one that denies, and the reverse', () => {
    expect(told('ssh: { commands: ["*"], forwards: ["*"] }', 'warning', 'deny')).toEqual([]);
    expect(told('ssh: { git: { push: false } }', 'warning')).toEqual([]);
    expect(told('ssh: { git: { push: false }, commands: [uptime, "df *", "git-lfs *"] }', 'warning')).toEqual([]);
    expect(told('ssh: { git: { push: true }, commands: ["**"] }', 'warning', 'deny')).toEqual([]);
    expect(told('ssh: { forwards: ["*:22", "db.internal:*", "/run/*"] }', 'warning')).toEqual([]);
    expect(told('ssh: { git: { push: false } }', 'warning', 'deny')).toEqual([
      'ssh.git.push: this denies all but pushes: to deny pushes write true',
    ]);
  });

  test('a rule that no service of these connectors is behind is warned about, and others are not', () => {
    const never =
      'ssh: no service that the rule is about is of the connector ssh or ssh-agent, so that the rule never matches';
    const nothing = (key: string, connector: string) =>
      `ssh.${key}: no service that the rule is about is of the connector ${connector}, so that this covers nothing`;
    expect(told('services: [orders-db], ssh: { shell: true }', 'warning')).toEqual([never]);
    expect(told('services: [host], ssh: { shell: true }', 'warning')).toEqual([]);
    expect(told('services: [keys], ssh: { shell: true, namespaces: [git] }', 'warning')).toEqual([
      nothing('shell', 'ssh'),
    ]);
    expect(told('services: [host], ssh: { users: [git], hostKeys: ["*"], git: { push: false } }', 'warning')).toEqual([
      nothing('hostKeys', 'ssh-agent'),
    ]);
    expect(told('services: ["*"], ssh: { shell: true, namespaces: [git] }', 'warning')).toEqual([]);
    expect(told('services: [keyz], ssh: { shell: true }', 'warning')).toEqual([
      'services.0: no service has this name (keys)',
    ]);
    const without = file('  - { id: a, effect: allow, ssh: { shell: true } }').replaceAll(
      /connector: ssh.*/g,
      'connector: mysql',
    );
    expect(shown(load(without, { catalog }), 'warning').join()).toContain(
      'no service of the file is of the connector ssh or ssh-agent',
    );
  });
});
