import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Rule } from '../policy/rules.ts';
import { examplesCatalog, load } from './testdata/catalogs.ts';

const folder = join(import.meta.dirname, '../../config/examples');
const files = readdirSync(folder).filter((name) => name.endsWith('.yml'));
const texts = files.map((name) => readFileSync(join(folder, name), 'utf8'));
const CANARY = 'canary-5f1e';

const naughty = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ': ',
    '- ',
    '&a ',
    '*a',
    '!!js ',
    '<<: ',
    '|',
    '>',
    '"',
    "'",
    '\n',
    '\t',
    '\0',
    '%',
    '${',
    '${X}',
  ),
  fc.constantFrom('__proto__: 1', 'constructor:', '\u202e', '\ufeff', '---\n', '...\n', '? ', '~', '#', '@', '`', '😀'),
);

test('damage to the text never throws and gives a configuration or an error', () => {
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.nat(), fc.nat(30), naughty, (text, start, length, inserted) => {
      const at = start % text.length;
      const { config, problems } = load(text.slice(0, at) + inserted + text.slice(at + length), {
        catalog: examplesCatalog,
      });
      expect(config === undefined).toBe(problems.some((problem) => problem.severity === 'error'));
    }),
    { numRuns: 400 },
  );
}, 60_000);

type Tree = { [key: string]: unknown } | unknown[];

function places(tree: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (tree === null || typeof tree !== 'object') return [];
  return Object.entries(tree).flatMap(([key, value]) => [[...path, key], ...places(value, [...path, key])]);
}

/** Every selector that has lists in it, on a service of any connector. */
const NESTED = `version: '2'
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:8080
    target: https://x.example
    credentials: { token: { from: env, get: TOKEN } }
rules:
  - { id: d, effect: deny, aws: { services: [iam], actions: [CreateUser] }, returnsCredentials: true }
  - { id: a, effect: allow, aws: { regions: [eu-*], buckets: [a], keys: ['a/*'] }, returnsCredentials: true }
`;
const narrowing = [...texts.filter((text) => /^rules:/m.test(text)), NESTED];

/** Selectors of a rule, those within `aws` too. */
function selectorsOf(rule: Rule): string[] {
  return [...Object.keys(rule), ...Object.keys(rule.aws ?? {}).map((list) => `aws.${list}`)].sort();
}

test.each(narrowing)(
  'damage to one key or value of a rule never gives wider rules without a word',
  (text) => {
    const original = load(text, { catalog: examplesCatalog }).config!.rules!;
    const value = fc.oneof(
      fc.constant(null),
      fc.constant([]),
      fc.constant({}),
      fc.constant(''),
      fc.boolean(),
      fc.integer(),
    );
    const spots = places((parse(text) as { rules: Tree }).rules);
    fc.assert(
      fc.property(fc.constantFrom(...spots), value, fc.boolean(), (spot, damage, rename) => {
        const tree = parse(text) as { rules: Tree };
        let holder = tree.rules as Record<string | number, unknown>;
        for (const step of spot.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
        const last = spot.at(-1)!;
        if (rename && !Array.isArray(holder)) {
          holder[`${last}x`] = holder[last];
          delete holder[last];
        } else holder[last] = damage;
        const { config } = load(JSON.stringify(tree), { catalog: examplesCatalog });
        if (config === undefined) return;
        expect(config.rules).toHaveLength(original.length);
        config.rules!.forEach((rule, at) => expect(selectorsOf(rule)).toEqual(selectorsOf(original[at]!)));
      }),
      { numRuns: 300 },
    );
  },
  60_000,
);

test('a credential appears in no problem and not in the print, whatever is damaged around it', () => {
  const text = `version: "2"
services:
  api:
    connector: basic_auth
    listenOn: tcp://127.0.0.1:8080
    target: https://x.example
    credentials: { username: jo, password: { from: literal, get: "${CANARY}" }, other: "${CANARY}", third: ["${CANARY}"] }
egress:
  listenOn: tcp://127.0.0.1:3128
  upstreamProxy: { url: "http://${CANARY}:${CANARY}@proxy:1", username: "${CANARY}", password: "${CANARY}" }
agents: { one: { token: "${CANARY}" }, two: { token: { from: literal, get: "${CANARY}" } } }
`;
  fc.assert(
    fc.property(
      fc.nat(text.length),
      fc.nat(3),
      fc.constantFrom('"', "'", '{', '}', '[', ']', ',', '&a ', '*a', '!!x ', '|', '#', '\0', '---\n', '${', '%'),
      (at, length, inserted) => {
        const cut = text.slice(at, at + length + 8);
        fc.pre(
          !cut.includes(CANARY.slice(0, 2)) &&
            !/^.{0,3}credentials|from|get|password|other|third|literal|url|username|token|one|two|agents|upstreamProxy|egress|listenOn/.test(
              cut,
            ),
        );
        const result = load(text.slice(0, at) + inserted + text.slice(at + length), { catalog: examplesCatalog });
        expect(JSON.stringify(result.problems)).not.toContain(CANARY);
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);
