import { describe, expect, test } from 'vitest';
import { errors, file, load } from './testdata/catalogs.ts';

describe('the YAML of a configuration', () => {
  test('a whole file of one service has no problem at all', () => {
    expect(load(file()).problems).toEqual([]);
  });

  test.each([
    ['an empty text', '', '1:1 the file is empty'],
    ['a comment alone', '# nothing\n', '1:1 the file is empty'],
    ['a list', '- a\n', '1:1 the file must be a map with `version` and `services`'],
    ['a scalar', 'hello', '1:1 the file must be a map with `version` and `services`'],
  ])('%s is refused', (_, text, expected) => {
    expect(errors(text)).toEqual([expected]);
  });

  test('a second document is refused', () => {
    expect(errors(`${file()}\n---\na: 1\n`).join()).toContain('one file holds one document');
  });

  test('a duplicate key is named where it stands the second time', () => {
    expect(errors(file({ service: 'target: https://b.example.com' }))).toEqual([
      '9:5 the key "target" is written twice',
    ]);
  });

  test('an alias, an anchor, a tag and a merge key are refused, each at its place', () => {
    const text = file({ top: 'ledger: &a { keep: 3 }\ncontrol: *a\ntelemetry: !!map {}\nlimits: { <<: 1 }' });
    expect(errors(text)).toEqual([
      expect.stringContaining('10:12 anchors are refused'),
      expect.stringContaining('11:10 aliases are refused'),
      expect.stringContaining('tags are refused'),
      expect.stringContaining('merge keys are refused'),
    ]);
  });

  test('an alias bomb is refused without being unfolded', () => {
    const bomb = ['a0: &a0 x'];
    for (let at = 1; at < 30; at += 1) bomb.push(`a${at}: &a${at} [${`*a${at - 1},`.repeat(9)}]`);
    expect(errors(bomb.join('\n')).some((message) => message.includes('aliases are refused'))).toBe(true);
  });

  test.each(['__proto__', 'constructor', 'prototype'])('the key %s is refused wherever it stands', (key) => {
    for (const top of [`${key}: { a: 1 }`, `providers: { ${key}: { type: env } }`, `limits: { "${key}": 1 }`]) {
      expect(errors(file({ top }))).toContainEqual(expect.stringContaining(`the key "${key}" is refused`));
    }
    expect(errors(file({ service: `tls: { ${key}: 1 }` })).length).toBeGreaterThan(0);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
  });

  test('more than 256 KiB is refused unread', () => {
    expect(errors(`# ${'x'.repeat(256 * 1024)}`)).toEqual(['1:1 the file is larger than 256 KiB']);
    expect(errors(`${file()}# ${'x'.repeat(200 * 1024)}`)).toEqual([]);
  });

  test.each([
    ['flow lists', '['.repeat(100_000)],
    ['flow maps', '{a: '.repeat(50_000)],
    ['lists on one line', '- '.repeat(100_000)],
    ['keys on one line', '? '.repeat(100_000)],
    ['lines indented ever deeper', Array.from({ length: 600 }, (_, at) => `${' '.repeat(at)}a:`).join('\n')],
  ])('%s nested without end are refused', (_, text) => {
    expect(errors(text)).toContainEqual(expect.stringContaining('nested too deeply'));
  });

  test('keys that are no text are refused', () => {
    expect(errors('? [a]\n: 1\n')).toContainEqual(expect.stringContaining('a key must be plain text'));
    expect(errors('"a\\nb": 1\n')).toContainEqual(expect.stringContaining('a key holds a control character'));
  });

  test('control characters in a value are refused', () => {
    expect(errors(file({ service: 'agent: "a\\u0007b"' }))).toEqual(['9:12 holds a control character']);
    expect(errors(file({ service: 'agent: "\\ud800"' }))).toEqual(['9:12 holds a control character']);
  });

  test('a syntax error has a place and a sentence that does not quote the file', () => {
    const found = errors('version: "2"\nservices:\n  a: { credentials: { p: "hunter2 } }\n');
    expect(found.length).toBeGreaterThan(0);
    expect(found.join()).not.toContain('hunter2');
  });
});
