import { expect, test } from 'vitest';
import { Grant, type AccessRequest } from './request.ts';

const request: AccessRequest = {
  service: 'github',
  connector: 'http',
  principal: { agent: 'reviewer', attested: 'listener' },
  facts: {},
};

test('a grant that was issued is genuine and carries what was granted', () => {
  const grant = Grant.issue(request, 'review');
  expect(Grant.isGenuine(grant)).toBe(true);
  expect(grant).toMatchObject({ service: 'github', principal: { agent: 'reviewer' }, rule: 'review' });
});

test.each<[string, (grant: Grant) => unknown]>([
  ['a structural fake', () => ({ service: 'github', principal: request.principal, rule: 'review' })],
  ['a prototype without the constructor', (): unknown => Object.create(Grant.prototype)],
  ['an object that inherits from a grant', (grant): unknown => Object.create(grant)],
  ['a JSON copy', (grant): unknown => JSON.parse(JSON.stringify(grant))],
  ['a spread copy', (grant) => ({ ...grant })],
  ['a structured clone', (grant) => structuredClone(grant)],
  ['a proxy', (grant) => new Proxy(grant, {})],
  ['an object whose prototype is set afterwards', (): unknown => Object.setPrototypeOf({ rule: 'r' }, Grant.prototype)],
  ['null', () => null],
  ['a string', () => 'grant'],
])('%s is no grant', (_name, forge) => {
  expect(Grant.isGenuine(forge(Grant.issue(request, 'review')))).toBe(false);
});

test('most forgeries pass for a grant where only the class is asked', () => {
  expect(Object.create(Grant.prototype) instanceof Grant).toBe(true);
  expect(new Proxy(Grant.issue(request, undefined), {}) instanceof Grant).toBe(true);
});

test('what was granted does not change with the request or by writing to the grant', () => {
  const changing = { ...request };
  const grant = Grant.issue(changing, 'review');
  changing.service = 'payments';
  expect(() => Object.assign(grant, { service: 'payments' })).toThrow(TypeError);
  expect(() => Object.assign(grant, { rule: 'other' })).toThrow(TypeError);
  expect(grant.service).toBe('github');
  expect(grant.rule).toBe('review');
});
