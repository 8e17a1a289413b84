import { SidecarError } from 'secretless-sidecar/connector';
import { expect, test } from 'vitest';
import { upstreamOf } from './index.ts';
import { credentialsOf, type Fields } from './testdata/lending.ts';

const codeOf = (fields: Fields, user?: string): string => {
  try {
    upstreamOf(credentialsOf(fields), user === undefined ? {} : { user });
    return 'fit';
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
};

test.each<[Fields, string, number, string]>([
  [{ address: 'db.internal' }, 'db.internal', 22, 'ssh://db.internal:22'],
  [{ address: 'db.internal:2222\n' }, 'db.internal', 2222, 'ssh://db.internal:2222'],
  [{ address: '[::1]:2222' }, '::1', 2222, 'ssh://[::1]:2222'],
  [{ address: '[::1]' }, '::1', 22, 'ssh://[::1]:22'],
  [{ address: 'fe80::1%eth0' }, 'fe80::1%eth0', 22, 'ssh://[fe80::1%eth0]:22'],
  [{ host: '10.0.0.7' }, '10.0.0.7', 22, 'ssh://10.0.0.7:22'],
  [{ host: 'GitHub.com', port: '443' }, 'GitHub.com', 443, 'ssh://GitHub.com:443'],
])('%j leads to one place', (fields, host, port, name) => {
  expect(upstreamOf(credentialsOf(fields))).toEqual({ host, port, name, user: 'root' });
});

test('where users may be chosen and nobody is named it is the first of them, and never root', () => {
  const users = ['deploy', 'backup'];
  expect(upstreamOf(credentialsOf({ host: 'db' }), { users }).user).toBe('deploy');
  expect(upstreamOf(credentialsOf({ host: 'db' }), { users, user: 'backup' }).user).toBe('backup');
  expect(upstreamOf(credentialsOf({ host: 'db', user: 'me' }), { users }).user).toBe('me');
});

test('the user is the one that was chosen, else that of the credentials, else root', () => {
  const credentials = credentialsOf({ host: 'db', user: 'deploy' });
  expect(upstreamOf(credentials, { user: 'git' }).user).toBe('git');
  expect(upstreamOf(credentials).user).toBe('deploy');
  expect(upstreamOf(credentialsOf({ host: 'db' })).user).toBe('root');
});

test.each<[Fields, string]>([
  [{}, 'credential-missing'],
  [{ port: '22' }, 'credential-missing'],
  [{ address: 'db', host: 'db' }, 'credential-unfit'],
  [{ address: 'db:22', port: '22' }, 'credential-unfit'],
  [{ host: '' }, 'credential-unfit'],
  [{ host: 'a b' }, 'credential-unfit'],
  [{ host: '-oProxyCommand=x' }, 'credential-unfit'],
  [{ host: 'user@db' }, 'credential-unfit'],
  [{ host: '[::1]' }, 'credential-unfit'],
  [{ host: 'db', port: '0' }, 'credential-unfit'],
  [{ host: 'db', port: '65536' }, 'credential-unfit'],
  [{ host: 'db', port: '22a' }, 'credential-unfit'],
  [{ address: 'db:' + '2'.repeat(6) }, 'credential-unfit'],
  [{ host: 'db', user: '' }, 'credential-unfit'],
  [{ host: 'db', user: 'x'.repeat(256) }, 'credential-unfit'],
  [{ host: 'db', user: 'ro\not' }, 'credential-unfit'],
  [{ host: 'd\0b' }, 'credential-unfit'],
])('%j is refused', (fields, code) => {
  expect(codeOf(fields)).toBe(code);
});
