import { describe, expect, test } from 'vitest';
import { errors, file, load, warnings, wholeCatalog } from './testdata/catalogs.ts';

const basic = (credentials: string) =>
  `version: 2\nservices:\n  s:\n    connector: basic_auth\n    listenOn: tcp://127.0.0.1:1\n    target: https://x.example\n    credentials: ${credentials}\n`;

describe('the names of credentials', () => {
  test('one that the connector needs is asked for', () => {
    expect(errors(basic('{ username: jo }'))).toEqual(['7:5 the credential "password" is missing: the password']);
  });

  test('one that the connector does not know is refused with the one that was meant', () => {
    const { problems } = load(basic('{ username: jo, password: { from: env, get: P }, usernam: "" }'));
    expect(problems).toMatchObject([
      { message: 'unknown credential "usernam": basic-auth takes username, password', suggestion: 'username' },
    ]);
  });

  test('none at all is refused', () => {
    expect(errors(basic('{}'))).toContain('7:18 must not be empty');
    expect(errors(basic('')).length).toBeGreaterThan(0);
    expect(errors(basic('[a]'))).toContain('7:18 must be a map');
  });

  test('a source without a name is told from two names', () => {
    expect(errors(file({ credentials: '{ from: env, get: TOKEN }' }))[0]).toContain('credentials are named');
  });
});

describe('the sources of credentials', () => {
  test('an unknown provider is refused with the one that was meant', () => {
    const { problems } = load(file({ credentials: '{ token: { from: enb, get: T } }' }));
    expect(problems).toMatchObject([
      { message: 'no such provider', suggestion: 'env', path: 'services.api.credentials.token.from' },
    ]);
  });

  test('a credential in the place of the provider is not repeated', () => {
    const { problems } = load(file({ credentials: '{ token: { from: canary-77, get: env } }' }));
    expect(problems).toHaveLength(1);
    expect(JSON.stringify(problems)).not.toContain('canary');
  });

  test('a provider that this build lacks is told from one that nobody knows', () => {
    const { problems } = load(file({ credentials: '{ token: { from: vault, get: a#b } }' }));
    expect(problems).toMatchObject([{ message: 'provider "vault" is not in this build', kind: 'not-in-build' }]);
  });

  test('the provider judges the id', () => {
    expect(errors(file({ credentials: '{ token: { from: keychain, get: nothing } }' }))).toEqual([
      '7:50 write service#account',
    ]);
  });

  test('a named provider is known, and its type judges the id', () => {
    const top = 'providers: { ring: { type: keychain } }';
    expect(errors(file({ top, credentials: '{ token: { from: ring, get: a#b } }' }))).toEqual([]);
    expect(errors(file({ top, credentials: '{ token: { from: ring, get: ab } }' }))).toEqual([
      '7:46 write service#account',
    ]);
  });

  test.each([
    ['{ from: env }', 'the key "get" is missing'],
    ['{ get: T }', 'the key "from" is missing'],
    ['{ from: env, get: T, id: x }', 'unknown key "id"'],
    ['{ from: env, get: [T] }', 'must be text'],
    ['[a]', 'must be a map'],
  ])('%s is refused', (credential, message) => {
    expect(errors(file({ credentials: `{ token: ${credential} }` }))).toEqual([expect.stringContaining(message)]);
  });
});

describe('a literal credential', () => {
  const literalOf = (written: string) =>
    load(file({ credentials: `\n      token: ${written}` })).config?.services[0]?.credentials['token'];

  test.each([
    ['5432', '5432'],
    ['010', '8'],
    ['yes', 'true'],
    ['1e3', '1000'],
    ['"010"', '010'],
    ['2001-01-01', '2001-01-01'],
    ['~', ''],
  ])('%s is %j', (written, text) => {
    expect(literalOf(written)).toEqual({ from: 'literal', get: text });
  });

  test('that changes by being unquoted is warned about', () => {
    expect(warnings(file({ credentials: '{ token: 010 }' }))).toContainEqual(
      expect.stringContaining('write it in quotes'),
    );
    expect(warnings(file({ credentials: '{ token: "010" }' })).join()).not.toContain('write it in quotes');
    expect(warnings(file({ credentials: '{ token: true }' })).join()).not.toContain('write it in quotes');
  });

  test.each([
    '" canary"',
    '"canary "',
    '"canary\\t"',
    '"can\\nary"',
    '"canary\\r"',
    '"canary\\0"',
    '"canary\\n"',
    '"\\u001bcanary"',
  ])('%s is refused and not repeated', (written) => {
    const result = load(file({ credentials: `{ token: ${written} }` }));
    expect(result.config).toBeUndefined();
    expect(result.problems.some((problem) => problem.severity === 'error')).toBe(true);
    expect(JSON.stringify(result)).not.toContain('canary');
  });

  test('loses the line break at the end of a block, with a warning', () => {
    expect(literalOf('|\n        abc')).toEqual({ from: 'literal', get: 'abc' });
    expect(warnings(file({ credentials: '\n      token: |\n        abc' })).join()).toContain('is dropped');
    expect(errors(file({ credentials: '\n      token: |\n        a\n        b' }))).toEqual([
      expect.stringContaining('holds a line break'),
    ]);
  });

  test('of a name that takes many lines keeps them', () => {
    const text =
      'version: 2\nservices:\n  s:\n    connector: ssh\n    listenOn: tcp://127.0.0.1:1\n    credentials:\n      address: db\n      privateKey: |\n        a\n        b\n';
    const { config, problems } = load(text, { catalog: wholeCatalog });
    expect(problems.filter((problem) => problem.severity === 'error')).toEqual([]);
    expect(config?.services[0]?.credentials['privateKey']?.get).toBe('a\nb\n');
    expect(errors(text.replace('privateKey', 'user'), { catalog: wholeCatalog })).toHaveLength(1);
  });

  test('that looks secret is warned about once a file, a public one and a variable never', () => {
    expect(warnings(basic('{ username: jo, password: p }'))).toEqual([
      expect.stringContaining('a credential stands in this file'),
    ]);
    expect(warnings(file({ credentials: '{ token: a, b: c }' }))).toHaveLength(1);
    expect(warnings(basic('{ username: jo, password: "${P}" }'), { environment: { P: 'x' } })).toEqual([]);
  });

  test('is masked in the print', () => {
    const { normalized } = load(file({ credentials: '{ token: canary, b: { from: literal, get: canary } }' }));
    expect(normalized).toMatchObject({
      services: { api: { credentials: { token: { from: 'literal', get: '[secret]' } } } },
    });
    expect(JSON.stringify(normalized)).not.toContain('canary');
  });
});
