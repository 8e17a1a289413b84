import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { checkConfig, CIPHERS, Config } from './config.ts';
import { chooseAlgorithms } from './transport/algorithms.ts';

const validate = new Ajv({ strict: false, allErrors: true }).compile(Config);
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlcPVWRMTqrZnWdUoHdnBCOzCuaCE6Yr/ak2AXXi9NY';
const OTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4gWIgVcHK4Lu5hdPwDJ9Y9Mh0sHq6Y0e4Vn1O7vXbk';
const token = 'made-up-for-one-agent';

describe('the keys of config', () => {
  test.each([
    {},
    { agents: { a: { publicKey: KEY } } },
    { agents: { a: { publicKey: `${KEY} a@somewhere` } } },
    { agents: { a: { token } } },
    { users: ['deploy', 'git-user', '_x.y'] },
    { via: 'bastion' },
    { insecure: true },
    { keepalive: '30s' },
    { environment: ['BUILD_*', 'CI'] },
    { ciphers: ['aes256-ctr'] },
  ])('%j is well', (config) => {
    expect(validate(config)).toBe(true);
    expect(checkConfig(config as Config)).toEqual([]);
  });

  test.each([
    { agents: {} },
    { agents: { a: {} } },
    { agents: { a: { publicKey: KEY, token } } },
    { agents: { a: { token: 'too-short' } } },
    { agents: { a: { publicKey: `${KEY}\n${OTHER}` } } },
    { agents: { a: { publicKey: 'ssh-dss AAAA' } } },
    { agents: { a: { publicKey: 'ssh-ed25519-cert-v01@openssh.com AAAA' } } },
    { users: [] },
    { users: ['a@b'] },
    { users: ['-x'] },
    { users: ['a b'] },
    { insecure: false },
    { keepalive: 'soon' },
    { environment: ['A=B'] },
    { ciphers: ['aes128-cbc'] },
    { ciphers: [] },
    { hostKeys: [] },
  ])('%j is not', (config) => {
    expect(validate(config)).toBe(false);
  });

  test.each([
    [{ agents: { a: { publicKey: KEY }, b: { token } } }, ['agents']],
    [{ agents: { a: { publicKey: KEY }, b: { publicKey: `${KEY} b` } } }, ['agents', 'b', 'publicKey']],
    [{ agents: { a: { token }, b: { token } } }, ['agents', 'b', 'token']],
    [{ agents: { a: { publicKey: 'ssh-ed25519 AAAA' } } }, ['agents', 'a', 'publicKey']],
    [{ agents: { a: { publicKey: KEY.replace('ssh-ed25519', 'ssh-rsa') } } }, ['agents', 'a', 'publicKey']],
    [{ keepalive: '1s' }, ['keepalive']],
    [{ environment: ['LD_*'] }, ['environment', 0]],
    [{ environment: ['*'] }, ['environment', 0]],
  ] as const)('%j has a problem at %j', (config, path) => {
    expect(checkConfig(config as unknown as Config).map((problem) => problem.path)).toEqual([path]);
    expect(JSON.stringify(checkConfig(config as unknown as Config))).not.toContain(token);
  });
});

test('every cipher that may be named is one that the transport has', () => {
  expect(chooseAlgorithms('server', { cipher: [...CIPHERS] }).cipher).toEqual(CIPHERS);
});

test('reading the catalog loads nothing of what logs in', () => {
  const index = pathToFileURL(join(import.meta.dirname, 'index.ts')).href;
  const script = `
    const { registerHooks } = await import('node:module');
    const seen = [];
    registerHooks({ resolve: (name, context, next) => (seen.push(name), next(name, context)) });
    await import(${JSON.stringify(index)});
    console.log(JSON.stringify(seen));
  `;
  const flags = ['--conditions=secretless-source', '--input-type=module', '-e', script];
  const seen = JSON.parse(execFileSync(process.execPath, flags, { encoding: 'utf8' })) as string[];
  expect(seen).toContain('./config.ts');
  expect(seen.filter((name) => /ssh2|transport|relay\/|service\.ts/.test(name))).toEqual([]);
});
