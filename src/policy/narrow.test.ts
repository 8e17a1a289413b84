import { expect, test } from 'vitest';
import { compilePolicy } from './compile.ts';
import { Narrowing } from './narrow.ts';
import type { AccessRequest, Facts } from './request.ts';

function asking(facts: Facts): AccessRequest {
  return { service: 'github', connector: 'http', principal: { agent: 'reviewer', attested: 'listener' }, facts };
}

const rules = compilePolicy([
  { id: 'd', effect: 'deny', methods: ['DELETE'] },
  { id: 'a', effect: 'allow', hosts: ['a.test'], paths: ['/x'] },
  { id: 'b', effect: 'allow', services: ['other'] },
]);

test('what is left are the rules whose selectors, paths apart, match, in their order', () => {
  const { denies, allows } = new Narrowing(rules).rulesFor(asking({ method: 'DELETE', host: 'a.test', path: '/y' }));
  expect([...denies, ...allows].map(({ source }) => source.id)).toEqual(['d', 'a']);
});

test('a combination is worked out once', () => {
  const narrowing = new Narrowing(rules);
  const first = narrowing.rulesFor(asking({ method: 'GET', host: 'a.test', port: 443, path: '/x' }));
  expect(narrowing.rulesFor(asking({ method: 'GET', host: 'a.test', port: 443, path: '/y' }))).toBe(first);
  expect(narrowing.rulesFor(asking({ method: 'GET', host: 'a.test', port: 80 }))).not.toBe(first);
});

test('what a login says of itself is not worked out here, and takes no memory', () => {
  const logins = compilePolicy([
    { id: 'a', effect: 'allow', databases: ['orders'], applications: ['psql'], replication: false },
  ]);
  const narrowing = new Narrowing(logins);
  const first = narrowing.rulesFor(asking({ database: 'orders', application: 'psql', replication: false }));
  expect(first.allows).toHaveLength(1);
  expect(narrowing.rulesFor(asking({ database: 'stock', application: 'x', replication: true }))).toBe(first);
});

test('what is asked for over SSH is not worked out here either', () => {
  const overSsh = compilePolicy([
    { id: 'd', effect: 'deny', ssh: { users: ['root'] } },
    { id: 'a', effect: 'allow', ssh: { commands: ['uptime'] } },
  ]);
  const narrowing = new Narrowing(overSsh);
  const first = narrowing.rulesFor(asking({ ssh: { request: 'exec', user: 'root', command: 'id' } }));
  expect([first.denies.length, first.allows.length]).toEqual([1, 1]);
  expect(narrowing.rulesFor(asking({ ssh: { request: 'login', user: 'git' } }))).toBe(first);
});

test.each<[string, number, (at: number) => Facts]>([
  ['methods', 5000, (at) => ({ method: `M${at}` })],
  ['hosts', 20, (at) => ({ method: 'GET', host: `h${at}.test` })],
])(
  'a client that makes up %s, %d of them, has old combinations forgotten, so that they do not pile up',
  (_name, count, facts) => {
    const narrowing = new Narrowing(rules);
    const first = narrowing.rulesFor(asking(facts(0)));
    for (let at = 1; at <= count; at += 1) narrowing.rulesFor(asking(facts(at)));
    expect(narrowing.rulesFor(asking(facts(0)))).not.toBe(first);
  },
);
