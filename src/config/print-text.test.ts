import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { printText } from './print-text.ts';
import { file, load } from './testdata/catalogs.ts';

const withFlag = (value: string) =>
  JSON.stringify(load(file()).normalized).replace('"headers":{', () => `"headers":{"X-Flag":${JSON.stringify(value)},`);

function flagOf(text: string): unknown {
  const { config } = load(text);
  return (config?.services[0]?.config as { headers: Record<string, string> } | undefined)?.headers['X-Flag'];
}

const awkward = [
  'yes',
  'On',
  'n',
  '010',
  '0x1F',
  '0o17',
  '1_000',
  '1.10',
  '.5',
  '.inf',
  '~',
  'null',
  '2001-01-01',
  '1:30',
  '+1',
];

test.each(awkward)('%s prints so that it loads as the same text', (value) => {
  expect(flagOf(printText(JSON.parse(withFlag(value))))).toBe(value);
});

test('a plain YAML 1.2 writer would change some of them', () => {
  const changed = awkward.filter((value) => flagOf(stringify(JSON.parse(withFlag(value)))) !== value);
  expect(changed).toEqual(expect.arrayContaining(['yes', '1_000']));
});

test('any text prints so that it loads as the same text', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+.0-9_a-fxoOXEe:]{1,8}$/), fc.constantFrom(...awkward));
  fc.assert(
    fc.property(text, (value) => {
      const source = withFlag(value);
      // What the grammar refuses is refused in both forms.
      expect(flagOf(printText(JSON.parse(source)))).toBe(flagOf(source));
    }),
  );
});
