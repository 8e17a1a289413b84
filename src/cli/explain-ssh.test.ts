import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../config/load.ts';
import { CATALOG } from '../main.ts';
import { Type } from '../schema.ts';
import { explainLogin } from './explain-login.ts';
import { explainSsh, sshQuestionOf, sshText, type SshValues } from './explain-ssh.ts';
import { explainedText } from './explained.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const KEY = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';
const FILE = `version: '2'
services:
  forge:
    connector: ssh
    listenOn: tcp://127.0.0.1:2222
    agent: reviewer
    credentials: { privateKey: { from: env, get: KEY } }
  keys:
    connector: ssh-agent
    listenOn: unix:///run/agent.sock
    agent: reviewer
    credentials: { privateKey: { from: env, get: KEY } }
rules:
  - { id: no-root, effect: deny, ssh: { users: [root] } }
  - { id: fetches, effect: allow, ssh: { users: [git], git: { repos: [acme/*], push: false } } }
  - { id: runs, effect: allow, agents: [builder], ssh: { commands: ['df *'], subsystems: [sftp], listens: ['localhost:*'] } }
  - { id: commits, effect: allow, ssh: { namespaces: [git] } }
  - { id: logins, effect: allow, ssh: { hostKeys: ['${KEY}'] } }
`;

/** Stand-ins by the same words: what is explained knows nothing of keys. */
const standIns = ['ssh', 'ssh-agent'].map((name) => ({
  name,
  kind: 'relay' as const,
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [],
  otherCredentials: 'anything',
}));
const others = CATALOG.connectors.filter(({ name }) => !standIns.some((standIn) => standIn.name === name));
const catalog = { ...CATALOG, connectors: [...others, ...standIns] };
const { config, problems } = loadConfig(FILE, { file: 's.yml', environment: {}, home: '/state', catalog });

function explained(values: SshValues, service = 'forge'): string {
  const question = sshQuestionOf(service, values);
  return explainSsh(config!, question)
    .map((one) => explainedText(sshText(question), one))
    .join('');
}

test('the file of these tests is right', () => {
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
});

test('a fetch is explained by its repository, as the command that git sends', () => {
  expect(explained({ ssh: 'exec', user: 'git', 'git-repo': '/Acme/API.git' }))
    .toBe(`exec "git-upload-pack 'Acme/API.git'" as user "git" on tcp://127.0.0.1:2222
  service forge (ssh), agent reviewer
  allowed by rule fetches: the first allow rule that matches
  RULE     EFFECT  OUTCOME      WHY
  no-root  deny    passed over  user "git" matches none of root
  fetches  allow   decides      all selectors match
`);
});

test('a push that is refused is shown beside the login before it, which is not', () => {
  const text = explained({ ssh: 'exec', user: 'git', 'git-repo': 'acme/api', push: true });
  expect(text).toMatch(/^exec "git-receive-pack 'acme\/api.git'" as user "git" on /);
  expect(text).toContain(
    '\n  refused (policy-denied) by rule default-deny: no rule allows this\n  login before: allowed by rule fetches:',
  );
  expect(text).toMatch(/fetches +allow +passed over +a push to "acme\/api" is not what `git` says/);
});

test.each<[string, SshValues, RegExp, service?: string]>([
  [
    'a login',
    { ssh: 'login', user: 'git' },
    /^login as user "git" on [^]*by rule fetches[^]*may allow what is asked for later\n$/,
  ],
  ['a login of somebody who is kept out', { ssh: 'login', user: 'root' }, /\(policy-denied\) by rule no-root/],
  [
    'a command',
    { ssh: 'exec', command: 'df -h', agent: 'builder', user: 'x' },
    /agent builder\n {2}allowed by rule runs/,
  ],
  [
    'a command that may be one of git’s',
    { ssh: 'exec', command: 'cd a; git log', user: 'git' },
    /cannot be read with certainty/,
  ],
  ['a command with a control character', { ssh: 'exec', command: '\u001b[2J' }, /^exec "\\u001b\[2J" on/],
  ['a shell', { ssh: 'shell', user: 'git' }, /^shell as user "git" on [^]*does not name shell/],
  [
    'a subsystem',
    { ssh: 'subsystem', subsystem: 'sftp', agent: 'builder', user: 'x' },
    /^subsystem "sftp" [^]*by rule runs/,
  ],
  [
    'a forward',
    { ssh: 'forward', destination: 'db:5432', user: 'git' },
    /^forward "db:5432" [^]*only a rule that names it allows this/,
  ],
  [
    'a listen',
    { ssh: 'listen', destination: 'localhost:80', agent: 'builder', user: 'x' },
    /^listen "localhost:80" [^]*by rule runs/,
  ],
  ['a listing of keys', { ssh: 'keys' }, /^keys on unix:[^]*allowed by rule commits/, 'keys'],
  [
    'a signature',
    { ssh: 'sign-login', user: 'git', 'host-key': KEY },
    /^sign-login "SHA256:[^]*by rule logins[^]*keys are listed before: allowed by rule commits/,
    'keys',
  ],
  [
    'one through forwarding',
    { ssh: 'sign-login', user: 'git', 'host-key': KEY, forwarded: true },
    /, forwarded on [^]*does not say agentForwarding/,
    'keys',
  ],
  [
    'a document',
    { ssh: 'sign-document', namespace: 'git' },
    /^sign-document "git" on [^]*allowed by rule commits/,
    'keys',
  ],
  ['another document', { ssh: 'sign-document', namespace: 'file' }, /namespace "file" matches none of git/, 'keys'],
])('%s is told as what it is', (_name, values, text, service) => {
  expect(explained(values, service)).toMatch(text);
});

test('a login without more is no question to such a service', () => {
  for (const service of ['forge', 'keys']) {
    expect(() => explainLogin(config!, { service, replication: false })).toThrow('is one of SSH: say with --ssh what');
  }
});

test.each<[SshValues, string, service?: string]>([
  [{ ssh: 'sign-login' }, 'service "forge" is of the connector ssh, and --ssh sign-login is of ssh-agent'],
  [{ ssh: 'shell' }, 'service "keys" is of the connector ssh-agent, and --ssh shell is of ssh', 'keys'],
  [{ ssh: 'shell' }, 'no service "forg" in the file (did you mean forge?)', 'forg'],
])('%j is a question for another service', (values, message, service) => {
  expect(() => explained(values, service)).toThrow(message);
});

async function run(words: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'sl-explain-ssh-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const text = `version: '2'
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://api.example.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`;
  writeFileSync(join(folder, 's.yml'), text);
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(['explain', '-f', join(folder, 's.yml'), ...words], io);
  return { code, out: io.out(), err: io.err() };
}

test.each([
  [['--ssh', 'shell'], '--ssh needs the name of its service: add --service'],
  [['--command', 'id', '--service', 'api'], '--command is of what is asked for over SSH: add --ssh request'],
  [['--service', 'api', '--ssh', 'shell'], 'service "api" is of the connector http, and --ssh shell is of ssh'],
  [['--service', 'api', '--ssh', 'sftp'], /^--ssh is one of login, exec, shell, .*, sign-document$/],
  [['--service', 'api', '--ssh', 'toString'], /^--ssh is one of login, /],
  [['--service', 'api', '--ssh', 'exec'], '--ssh exec needs --command or --git-repo'],
  [
    ['--service', 'api', '--ssh', 'exec', '--command', 'a', '--git-repo', 'b'],
    '--git-repo is asked in place of --command',
  ],
  [['--service', 'api', '--ssh', 'exec', '--command', 'a', '--push'], '--push needs the repository: add --git-repo'],
  [
    ['--service', 'api', '--ssh', 'exec', '--command', "git-upload-pack 'a'"],
    'ask about a command of git with --git-repo, and --push for a push',
  ],
  [['--service', 'api', '--ssh', 'forward'], '--ssh forward needs --destination'],
  [['--service', 'api', '--ssh', 'shell', '--command', 'id'], '--command is nothing that --ssh shell has'],
  [['--service', 'api', '--ssh', 'shell', '--database', 'a'], '--ssh is a question of its own, "database" is too many'],
  [['--service', 'api', '--ssh', 'shell', '--aws', 's3'], '--ssh is a question of its own, "aws" is too many'],
  [['--service', 'api', '--ssh', 'shell', '/path'], '--ssh is a question of its own, "/path" is too many'],
])('%j is a usage error that says what to write', async (words, message) => {
  const { code, out, err } = await run(words);
  const told = /^secretless: (.*)\nrun `secretless help`\n$/.exec(err)?.[1];
  expect({ code, out }).toEqual({ code: 64, out: '' });
  if (typeof message === 'string') expect(told).toBe(message);
  else expect(told).toMatch(message);
});
