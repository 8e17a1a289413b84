import { expect, it } from 'vitest';
import { awsSts } from './index.ts';
import type { StsOptions } from './options.ts';

const ROLE = 'arn:aws:iam::123456789012:role/path/agent';
const statement = (bytes: number) => JSON.stringify({ Statement: 'x'.repeat(bytes) });

it.each<[string, StsOptions, string | undefined]>([
  ['nothing', {}, undefined],
  ['a policy of 2,048 characters', { policy: statement(2048 - '{"Statement":""}'.length) }, undefined],
  ['one more', { policy: statement(2049 - '{"Statement":""}'.length) }, '2049 characters'],
  ['a policy that is too long with its blanks alone', { policy: `{${' '.repeat(3000)}}` }, undefined],
  ['a policy that is no JSON', { policy: '{' }, 'not JSON'],
  ['a token file', { webIdentityTokenFile: '/t' }, undefined],
  ['a token file and tags', { webIdentityTokenFile: '/t', tags: { a: 'b' } }, 'exclude each other'],
  ['a token file and a base', { webIdentityTokenFile: '/t', base: 'container' }, 'exclude each other'],
  ['a transitive tag that is none', { tags: { a: 'b' }, transitiveTags: ['c'] }, 'not in `tags`'],
  ['a minute', { duration: '1m' }, 'between 15m and 12h'],
  ['a day', { duration: '24h' }, 'between 15m and 12h'],
  ['half a day', { duration: '12h' }, undefined],
  ['clear text to another machine', { endpoint: 'http://sts.internal' }, 'https, or http on loopback'],
  [
    'clear text to a name that begins like loopback',
    { endpoint: 'http://127.0.0.1.evil' },
    'https, or http on loopback',
  ],
  ['an endpoint of one’s own', { endpoint: 'https://sts.internal:8443' }, undefined],
])('%s is judged before anything runs', (_, options, problem) => {
  const found = awsSts.checkId!(ROLE, options);
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toContain(problem);
  if (problem !== undefined) expect(() => awsSts.open({ region: 'eu-west-1', ...options })).toThrow(problem);
});

it('without a region it does not open, since no region is a guess worth making', () => {
  const names = ['AWS_REGION', 'AWS_DEFAULT_REGION'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) delete process.env[name];
  expect(() => awsSts.open({})).toThrow('AWS_REGION');
  process.env['AWS_REGION'] = 'evil.example/';
  expect(() => awsSts.open({})).toThrow('AWS_REGION');
  names.forEach((name, at) => (before[at] === undefined ? delete process.env[name] : (process.env[name] = before[at])));
});
