import { expect, test } from 'vitest';
import { controlSocketPath, ledgerPath, stateFolder } from './state.ts';

test('the state folder is SECRETLESS_HOME where it is set', () => {
  expect(stateFolder({ SECRETLESS_HOME: '/run/secretless', HOME: '/home/me' })).toBe('/run/secretless');
});

test('else it is .secretless in the home folder', () => {
  expect(stateFolder({ HOME: '/home/me' })).toBe('/home/me/.secretless');
  expect(stateFolder({ SECRETLESS_HOME: '', HOME: '/home/me' })).toBe('/home/me/.secretless');
});

test('a relative state folder is made absolute', () => {
  expect(stateFolder({ SECRETLESS_HOME: 'state' })).toBe(`${process.cwd()}/state`);
});

test('control socket and ledger lie in the state folder', () => {
  const env = { SECRETLESS_HOME: '/s' };
  expect([controlSocketPath(env), ledgerPath(env)]).toEqual(['/s/control.sock', '/s/ledger.jsonl']);
});
