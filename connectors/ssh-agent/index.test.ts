import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { fingerprint } from 'secretless-sidecar/connector/ssh';
import { conformanceChecks, type ConnectorSample } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import type { SshAgentConfig } from './config.ts';
import { isAnyOf } from './glob.ts';
import { sshAgent } from './index.ts';
import { keyPair } from './testdata/agent-kit.ts';
import { pemOf } from './testdata/served-agent.ts';

const sample = JSON.parse(readFileSync(join(import.meta.dirname, 'testdata/sample.json'), 'utf8')) as ConnectorSample;
const { publicBlob } = keyPair();
const PIN = fingerprint(publicBlob);
const LINE = `ssh-ed25519 ${publicBlob.toString('base64')}`;

describe('as every connector', () => {
  test.each(conformanceChecks(sshAgent, sample).map((check) => [check.name, check] as const))(
    '%s',
    async (_, check) => {
      await check.run();
    },
  );
});

describe('the configuration', () => {
  const validate = new Ajv({ strict: false }).compile(sshAgent.config);

  test.each<[SshAgentConfig]>([
    [{}],
    [{ logins: false, signatures: ['git', 'file'], comment: 'ours' }],
    [
      {
        users: ['git', 'deploy-*'],
        hosts: [PIN, `${PIN}=`, LINE, `git.corp,10.0.0.1 ${LINE} a comment`],
        unbound: 'deny',
      },
    ],
    [{ hosts: [`@cert-authority *.corp ${LINE}`, `@revoked * ${LINE}`, `|1|aa=|bb= ${LINE}`], forwarding: true }],
    [{ confirm: {} }],
    [{ confirm: { program: ['/usr/bin/ssh-askpass', '--x'], seconds: 600 } }],
  ])('%j is taken', (config) => {
    expect(validate(config)).toBe(true);
    expect(sshAgent.check?.(config, ['privateKey'])).toEqual([]);
  });

  test.each<[object]>([
    [{ users: [] }],
    [{ hosts: [] }],
    [{ hosts: ['one\ntwo'] }],
    [{ signatures: [''] }],
    [{ unbound: 'ask' }],
    [{ comment: '' }],
    [{ confirm: true }],
    [{ confirm: { program: [] } }],
    [{ confirm: { seconds: 0 } }],
    [{ confirm: { seconds: 601 } }],
  ])('%j is refused by the schema', (config) => {
    expect(validate(config)).toBe(false);
  });

  test.each<[SshAgentConfig, string[], (string | number)[], RegExp]>([
    [{ logins: false, signatures: [] }, ['rsa'], ['signatures'], /nothing is left/],
    [{ logins: false, users: ['git'] }, ['rsa'], ['users'], /`logins` is false/],
    [{ logins: false, hosts: [PIN] }, ['rsa'], ['hosts'], /`logins` is false/],
    [{ confirm: { program: ['ssh-askpass'] } }, ['rsa'], ['confirm', 'program', 0], /absolute/],
    [{ hosts: [PIN, 'github.com'] }, ['rsa'], ['hosts', 1], /neither a fingerprint/],
    [{ hosts: [`${PIN.slice(0, -1)}/`] }, ['rsa'], ['hosts', 0], /neither/],
    [{ hosts: ['MD5:00:11'] }, ['rsa'], ['hosts', 0], /neither/],
    [{ hosts: [LINE.replace('ed25519', 'ed448')] }, ['rsa'], ['hosts', 0], /neither/],
    [{ hosts: [`@trusted * ${LINE}`] }, ['rsa'], ['hosts', 0], /neither/],
    [{ hosts: [`@revoked * ${LINE}`] }, ['rsa'], ['hosts'], /only says which keys are revoked/],
    [{}, [], [], /there is no key/],
    [{}, ['comment', 'lifetime', 'confirm'], [], /there is no key/],
    [{}, ['rsa', 'passphrase'], [], /belongs to the key "privateKey"/],
    [{}, ['rsa', 'workCertificate'], [], /belongs to the key "work"/],
    [{ comment: 'x' }, ['rsa', 'comment'], ['comment'], /keep one of the two/],
  ])('%j with the credentials %j has a problem', (config, names, path, message) => {
    const problems = sshAgent.check!(config, names);
    expect(problems).toMatchObject([{ path }]);
    expect(problems[0]!.message).toMatch(message);
    expect(problems[0]!.severity).toBeUndefined();
  });

  test('a client that says nothing about its host goes past `hosts` only with a warning', () => {
    const problems = sshAgent.check!({ hosts: [PIN], unbound: 'allow' }, ['rsa']);
    expect(problems).toMatchObject([{ path: ['unbound'], severity: 'warning' }]);
  });

  test.each<[string, string, boolean]>([
    ['lifetime', '3600', true],
    ['lifetime', '1h', false],
    ['confirm', 'True', true],
    ['confirm', 'yes', false],
    ['deploy', pemOf(), true],
    ['user', 'git', false],
    ['workPassphrase', 'anything', true],
  ])('the literal %s: %j is taken: %j', (name, text, isTaken) => {
    const problems = sshAgent.check!({}, ['work', name], { [name]: text });
    expect(problems.map(({ credential }) => credential)).toEqual(isTaken ? [] : [name]);
    for (const { message } of problems) expect(message).not.toContain(text);
  });

  test('names of an authority that cannot be read keep the service from being opened', async () => {
    const hosts = [`@cert-authority |1|short|too ${LINE}`];
    await expect(sshAgent.open({ hosts })).rejects.toThrow('configuration is not valid');
  });
});

test('a pattern is the whole text, its stars any run, and case counts', () => {
  const yes = [
    ['git', 'git'],
    ['*', ''],
    ['*', 'any'],
    ['de*', 'de'],
    ['*-bot', 'a-bot'],
    ['a*b*c', 'a-b-b-c'],
    ['a**c', 'ac'],
  ];
  const no = [
    ['git', 'Git'],
    ['git', 'git2'],
    ['', 'a'],
    ['a*a', 'a'],
    ['ab*ba', 'aba'],
    ['a*b*c', 'a-c-b'],
    ['*b', 'ba'],
    ['a*bb*b', 'abb'],
  ];
  for (const [pattern, text] of yes) expect([pattern, text, isAnyOf([pattern!], text!)]).toEqual([pattern, text, true]);
  for (const [pattern, text] of no) expect([pattern, text, isAnyOf([pattern!], text!)]).toEqual([pattern, text, false]);
  expect(isAnyOf(['x', 'git'], 'git')).toBe(true);
  expect(isAnyOf([], 'git')).toBe(false);
  expect(isAnyOf([`${'*a'.repeat(200)}*b`], 'a'.repeat(5000))).toBe(false);
});
