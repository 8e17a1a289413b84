import { describe, expect, test } from 'vitest';
import { Type } from '../schema.ts';
import { Ajv } from 'ajv';
import type { Catalog, CatalogConnector } from './catalog.ts';
import { emitSchema } from './emit.ts';
import { errors, file, load, ownCatalog } from './testdata/catalogs.ts';

const none = Type.Object({}, { additionalProperties: false });
const seen: (readonly string[])[] = [];

/** Takes exactly what the set brings. */
const signer: CatalogConnector = {
  name: 'signer',
  kind: 'http',
  config: none,
  credentials: [
    { name: 'id', required: true, meaning: 'the id', example: 'x' },
    { name: 'key', required: true, meaning: 'the key', example: 'x' },
    { name: 'token', required: false, meaning: 'the token', example: 'x' },
  ],
  check(_: object, names) {
    seen.push(names);
    return [];
  },
};
const catalog: Catalog = {
  connectors: [...ownCatalog.connectors, signer],
  providers: [
    ...ownCatalog.providers,
    {
      name: 'set',
      config: none,
      fields: ['id', 'key', 'token'],
      checkId: (id: string) => (/^role\/\w+$/.test(id) ? undefined : 'write role/name'),
    },
    { name: 'wide', config: none, fields: ['id', 'key', 'other'] },
  ],
};
const options = { catalog };

const signed = (credentials: string, connector = 'signer') =>
  `version: 2\nservices:\n  s:\n    connector: ${connector}\n    listenOn: tcp://127.0.0.1:1\n    target: https://x.example\n    credentials: ${credentials}\n`;
const referencesOf = (text: string) => load(text, options).config?.services[0]?.credentials;

describe('credentials without names', () => {
  test('are those that the provider brings, of one fetch', () => {
    const text = signed('{ from: set, get: role/a }');
    expect(errors(text, options)).toEqual([]);
    expect(referencesOf(text)).toEqual({
      id: { from: 'set', get: 'role/a', field: 'id' },
      key: { from: 'set', get: 'role/a', field: 'key' },
      token: { from: 'set', get: 'role/a', field: 'token' },
    });
    expect(seen.at(-1)).toEqual(['id', 'key', 'token']);
  });

  test('may come from a named store', () => {
    const text = `${signed('{ from: mine, get: role/a }')}providers: { mine: { type: set } }\n`;
    expect(referencesOf(text)?.['key']).toEqual({ from: 'mine', get: 'role/a', field: 'key' });
  });

  test('serve a connector that takes any name', () => {
    const text = file({ credentials: '{ from: set, get: role/a }' });
    expect(errors(text, options)).toEqual([]);
    expect(Object.keys(referencesOf(text)!)).toEqual(['id', 'key', 'token']);
  });

  test('are shown as they were written, and that loads again', () => {
    const { normalized } = load(signed('{ from: set, get: role/a }'), options);
    expect(normalized).toMatchObject({ services: { s: { credentials: { from: 'set', get: 'role/a' } } } });
    expect(errors(JSON.stringify(normalized), options)).toEqual([]);
  });

  test('are shown with the options of their store, and paths of files among them', () => {
    const config = Type.Object({ tokenFile: Type.String(), token: Type.String() });
    const typed = { name: 'typed', config, fields: ['id', 'key', 'token'] };
    const text = `${signed('{ from: mine, get: x }')}providers: { mine: { type: typed, tokenFile: /t, token: canary } }\n`;
    const { normalized } = load(text, { catalog: { ...catalog, providers: [...catalog.providers, typed] } });
    expect(normalized).toMatchObject({ providers: { mine: { tokenFile: '/t', token: '[secret]' } } });
  });

  test.each([
    ['{ from: set, get: roles }', 'write role/name'],
    ['{ from: env, get: TOKEN }', 'provider "env" brings one value, and credentials are named'],
    ['{ from: canary, get: role/a }', 'no such provider'],
    ['{ from: vault, get: role/a }', 'provider "vault" is not in this build'],
    ['{ from: wide, get: x }', 'brings id, key, other, and signer does not take other'],
    ['{ from: set, get: role/a, id: x }', 'stand alone: name every credential'],
    ['{ from: set, get: [role/a] }', 'must be text'],
    ['{ from: set, get: role/a, field: id }', 'stand alone: name every credential'],
  ])('%s is refused once, in a sentence that says what to write', (credentials, message) => {
    const found = errors(signed(credentials), options);
    expect(found[0]).toContain(message);
    expect(found.join()).not.toContain('canary');
    expect(found.filter((line) => line.includes(message))).toHaveLength(1);
  });

  test('that lack one which the connector needs are refused', () => {
    expect(errors(signed('{ from: set, get: role/a }', 'basic_auth'), options)).toEqual([
      '7:5 the credential "username" is missing: provider "set" brings id, key, token',
      '7:5 the credential "password" is missing: provider "set" brings id, key, token',
    ]);
  });

  test('are taken by the schema for editors, beside those with names', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(catalog));
    const document = (credentials: object) => ({
      version: '2',
      services: { s: { connector: 'signer', listenOn: 'tcp://127.0.0.1:1', credentials } },
    });
    expect(validate(document({ from: 'set', get: 'role/a' }))).toBe(true);
    expect(validate(document({ id: { from: 'set', get: 'role/a' }, key: 'x' }))).toBe(true);
    expect(validate(document({ id: { from: 'set', fetch: 'role/a' } }))).toBe(false);
    expect(validate(document({}))).toBe(false);
  });
});

describe('credentials with names, of a provider that brings several', () => {
  test('are the field after the last #, or of their own name', () => {
    const text = signed('{ id: { from: set, get: role/a }, key: { from: set, get: "role/a#token" } }');
    expect(errors(text, options)).toEqual([]);
    expect(referencesOf(text)).toEqual({
      id: { from: 'set', get: 'role/a', field: 'id' },
      key: { from: 'set', get: 'role/a', field: 'token' },
    });
  });

  test.each([
    ['role/a#tokn', 'there is no such value after the #'],
    ['role/a', 'say which of its values this credential is: add one of #id, #key, #token'],
    ['role/a#b#token', 'write role/name'],
  ])('%s is refused for a name that says nothing', (get, message) => {
    const text = file({ credentials: `{ token2: { from: set, get: "${get}" }, token: x }` });
    expect(errors(text, options)).toEqual([expect.stringContaining(message)]);
  });

  test('a # in an id of any other provider stays where it is', () => {
    const text = file({ credentials: '{ token: { from: keychain, get: "a#token" } }' });
    expect(referencesOf(text)).toEqual({ token: { from: 'keychain', get: 'a#token' } });
  });
});
