import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chosenUser, readLoginName } from './names.ts';

const code = (read: () => unknown): string => {
  try {
    read();
    return 'read';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a login name', () => {
  const services = ['db', 'git--hub', 'web'];

  test.each([
    ['db', { service: 'db' }],
    ['deploy--web', { service: 'web', user: 'deploy' }],
    ['a--b--web', { service: 'web', user: 'a--b' }],
    ['-x--web', { service: 'web', user: '-x' }],
    ['git--hub', { service: 'git--hub' }],
  ])('%s is read', (name, expected) => {
    expect(readLoginName(name, services)).toEqual(expected);
  });

  test.each([
    '',
    'alice',
    'DB',
    'db ',
    '--db',
    'deploy--',
    'deploy--mail',
    'web--deploy',
    'a@db',
    'db@web',
    'a--db:22',
  ])('"%s" is of none of several services', (name) => {
    expect(code(() => readLoginName(name, services))).toBe('upstream-unclear');
  });

  test('is the name of a user where there is one service', () => {
    expect(readLoginName('alice', ['web'])).toEqual({ service: 'web', user: 'alice' });
    expect(readLoginName('', ['web'])).toEqual({ service: 'web', user: '' });
  });

  test('that names a service which there is not goes to no other', () => {
    expect(code(() => readLoginName('deploy--prod', ['staging']))).toBe('upstream-unclear');
  });

  test('carries no host, no port, no path and no control character', () => {
    const foreign = fc.constantFrom('@', ':', '/', '\\', ' ', '\n', '\u0000', '\u001b', '\u007f', '\u0085');
    fc.assert(
      fc.property(fc.string(), foreign, fc.string(), fc.constantFrom('', '--web'), (before, letter, after, end) => {
        expect(code(() => readLoginName(before + letter + after + end, ['web']))).toBe('upstream-unclear');
      }),
    );
  });

  test('says nothing in its refusal of what was sent', () => {
    expect.assertions(1);
    try {
      readLoginName('canary-name--mail', services);
    } catch (error) {
      expect(JSON.stringify([(error as Error).message, (error as { next: string }).next])).not.toContain('canary');
    }
  });
});

describe('the user upstream', () => {
  const login = (user?: string) => ({ service: 'web', ...(user !== undefined && { user }) });

  test('is that of the credentials where nobody may choose', () => {
    expect(chosenUser(login('alice'), undefined)).toBeUndefined();
  });

  test('is one of those that may be chosen, and no other', () => {
    expect(chosenUser(login('deploy'), ['deploy', 'ci'])).toBe('deploy');
    expect(chosenUser(login(), ['deploy'])).toBeUndefined();
    for (const user of ['alice', 'Deploy', 'deploy ', '']) {
      expect(code(() => chosenUser(login(user), ['deploy']))).toBe('policy-denied');
    }
  });
});
