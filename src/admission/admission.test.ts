import { expect, test } from 'vitest';
import type { Facts } from '../policy/request.ts';
import { toldOf } from './admission.ts';

test.each<[Facts, object]>([
  [{ method: 'GET', path: '/a', application: 'psql' }, {}],
  [{ database: 'orders' }, { database: 'orders' }],
  [
    { ssh: { request: 'exec', user: 'git', command: "git-upload-pack 'a'", git: 'unclear' } },
    { request: 'exec', user: 'git', command: "git-upload-pack 'a'" },
  ],
  [{ ssh: { request: 'subsystem', subsystem: 'sftp' } }, { request: 'subsystem', command: 'sftp' }],
  [{ ssh: { request: 'forward', destination: 'db:5432' } }, { request: 'forward', destination: 'db:5432' }],
  [
    { ssh: { request: 'sign-login', user: 'git', hostKey: 'SHA256:abc' } },
    { request: 'sign-login', user: 'git', destination: 'SHA256:abc' },
  ],
  [{ ssh: { request: 'sign-document', namespace: 'git' } }, { request: 'sign-document', destination: 'git' }],
  [
    { ssh: { request: 'sign-document', namespace: 'git', forwarded: true } },
    { request: 'sign-document', destination: 'git', forwarded: true },
  ],
  [{ ssh: { request: 'keys', forwarded: false } }, { request: 'keys' }],
])('of %j the ledger tells %j', (facts, told) => {
  expect(toldOf(facts)).toEqual(told);
});
