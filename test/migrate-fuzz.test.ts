import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadConfig, type LoadResult } from '../src/config/load.ts';
import { compileUrlPattern } from '../src/http/match.ts';
import { CATALOG } from '../src/main.ts';
import { lostComments } from '../src/migrate/comments.ts';
import { fromCyberArk } from '../src/migrate/cyberark.ts';

/* Files of versions 1 and 2, right and wrong, with comments wherever YAML takes one. */

const RUNS = 300;

function load(text: string): LoadResult {
  const options = {
    file: '/etc/secretless.yml',
    environment: { SET: 'value' },
    home: '/var/lib/secretless',
    catalog: CATALOG,
  };
  return loadConfig(text, { ...options, checkPattern: compileUrlPattern });
}

const SECRET = 'zq7secretzq7';
/** Written as they are: what YAML 1.1 and the broker make of each is part of the test. */
const scalar = fc.constantFrom(
  ...['u', '010', 'yes', '~', '1.10', "'a: b'", '"x\\ty"', 'db.example.com', '127.0.0.1', '"${SET}"', "'$${SET}'"],
  ...[`'${SECRET}'`, SECRET, "'# no comment'", '5432'],
);
const name = fc.constantFrom('api', 'b-wiki', "'x y'", '010', 'zeta', 'db', "'a.b'");
const source = fc.constantFrom('env', 'literal', 'file', 'vault', 'keychain');
const pattern = fc.constantFrom(
  "'^http://a\\.example/'",
  '^https?://b\\.example:8443',
  "'.*'",
  "'['",
  '12',
  "'^http://127\\.0\\.0\\.1:\\d+/'",
);

/** A value as lines, before comments: text is a scalar, a list is a map of pairs, `items` is a list. */
type Value = string | readonly (readonly [string, Value])[] | { readonly items: readonly Value[] };

const credentials2: fc.Arbitrary<Value> = fc.array(
  fc.tuple(
    fc.constantFrom('username', 'password', 'host', 'token', 'sslmode', 'port', 'extra'),
    fc.oneof(
      scalar,
      fc.tuple(source, scalar).map(([from, get]): Value => [
        ['from', from],
        ['get', get],
      ]),
    ),
  ),
  { minLength: 1, maxLength: 4 },
);
const config2: fc.Arbitrary<Value> = fc
  .record({ match: fc.array(pattern, { minLength: 1, maxLength: 2 }), force: fc.boolean(), odd: fc.boolean() })
  .map(({ match, force, odd }): Value => [
    ['authenticateURLsMatching', { items: match }],
    ...(force ? [['forceSSL', 'true'] as const] : []),
    ...(odd ? [['credentialPatterns', 'x'] as const] : []),
  ]);
const service2: fc.Arbitrary<Value> = fc
  .record({
    word: fc.constantFrom('connector', 'connector', 'protocol'),
    connector: fc.constantFrom('basic_auth', 'generic_http', 'pg', 'aws', 'mysql', 'ssh-agent'),
    listenOn: fc.constantFrom('tcp://127.0.0.1:8080', 'tcp://0.0.0.0:1', "'unix:///run/x.sock'", 'tcp://:5'),
    credentials: credentials2,
    config: fc.option(config2, { nil: undefined }),
    twice: fc.boolean(),
    debug: fc.boolean(),
  })
  .map(({ word, connector, listenOn, credentials, config, twice, debug }): Value => [
    ...(debug ? [['debug', 'true'] as const] : []),
    [word, connector],
    ...(twice ? [['listenOn', 'tcp://127.0.0.1:9'] as const] : []),
    ['listenOn', listenOn],
    ['credentials', credentials],
    ...(config === undefined ? [] : [['config', config] as const]),
  ]);
/** One that this build takes, most of the time. */
const fitting = fc.constantFrom("'u'", 'u', "'a: b'", '1.10', SECRET, '010');
const fitting2: fc.Arbitrary<Value> = fc
  .record({ port: fc.integer({ min: 1, max: 60_000 }), user: fitting, password: fitting, odd: fc.boolean() })
  .map(({ port, user, password, odd }): Value => [
    ['connector', 'basic_auth'],
    ['listenOn', `tcp://127.0.0.1:${port}`],
    [
      'credentials',
      [
        ['username', user],
        [
          'password',
          [
            ['from', odd ? 'literal' : 'env'],
            ['get', password],
          ],
        ],
      ],
    ],
    ['config', [['authenticateURLsMatching', "'^http://a\\.example/'"]]],
  ]);

const version2: fc.Arbitrary<Value> = fc
  .tuple(
    fc.constantFrom('2', "'2'", '"2"'),
    fc.array(fc.tuple(name, fc.oneof(service2, fitting2, fitting2)), { minLength: 1, maxLength: 3 }),
  )
  .map(([version, services]): Value => [
    ['version', version],
    ['services', services],
  ]);

const credentials1: fc.Arbitrary<Value> = fc
  .array(fc.tuple(fc.constantFrom('username', 'password', 'host', 'extra'), source, scalar), {
    minLength: 1,
    maxLength: 3,
  })
  .map((all): Value => ({
    items: all.map(([called, provider, id]): Value => [
      ['name', called],
      ['provider', provider],
      ['id', id],
    ]),
  }));
const handler1: fc.Arbitrary<Value> = fc
  .record({
    called: name,
    listener: fc.constantFrom('web', 'db'),
    type: fc.constantFrom('basic_auth', 'http/basic_auth', 'aws'),
    match: fc.array(pattern, { minLength: 1, maxLength: 2 }),
    credentials: credentials1,
    debug: fc.boolean(),
  })
  .map(({ called, listener, type, match, credentials, debug }): Value => [
    ['name', called],
    ['listener', listener],
    ...(debug ? [['debug', 'true'] as const] : []),
    ['type', type],
    ['match', { items: match }],
    ['credentials', credentials],
  ]);
const fitting1: fc.Arbitrary<Value> = fc
  .record({ called: name, id: fitting, match: fc.boolean() })
  .map(({ called, id, match }): Value => [
    ['name', called],
    ['listener', match ? 'web' : 'db'],
    ...(match
      ? [
          ['type', 'http/basic_auth'] as const,
          ['match', { items: ["'^http://a\\.example/'", "'^http://b\\.example/'"] }] as const,
        ]
      : []),
    [
      'credentials',
      {
        items: ['username', match ? 'password' : 'host'].map((credential): Value => [
          ['name', credential],
          ['provider', 'literal'],
          ['id', id],
        ]),
      },
    ],
  ]);

/** Those that handlers name: one that none names is refused. */
function listenersOf(handlers: readonly Value[], odd: boolean): Value[] {
  const all: readonly Value[] = [
    [
      ['name', 'web'],
      ['address', '127.0.0.1:8080'],
    ],
    [
      ['name', 'db'],
      ['protocol', 'pg'],
      ['socket', '/run/db'],
      ...(odd ? [['caCertFiles', { items: ['/ca.pem'] }] as const] : []),
    ],
  ];
  const named = JSON.stringify(handlers);
  return all.filter((_, at) => named.includes(`["listener","${at === 0 ? 'web' : 'db'}"]`));
}

const version1: fc.Arbitrary<Value> = fc
  .record({
    written: fc.boolean(),
    odd: fc.boolean(),
    handlers: fc.array(fc.oneof(handler1, fitting1, fitting1), { minLength: 1, maxLength: 3 }),
  })
  .map(({ written, odd, handlers }): Value => [
    ...(written ? [['version', '1'] as const] : []),
    ['listeners', { items: listenersOf(handlers, odd) }],
    ['handlers', { items: handlers }],
  ]);

/** Draws what a text looks like from a list of numbers, so that it shrinks. */
class Pen {
  readonly #tape: readonly number[];
  #at = 0;
  #comments = 0;

  constructor(tape: readonly number[]) {
    this.#tape = tape;
  }

  document(value: Value): string {
    return `${this.#above('')}${this.#block(value, '')}${this.#above('')}`;
  }

  #chance(of: number): boolean {
    this.#at += 1;
    return (this.#tape[this.#at % Math.max(1, this.#tape.length)] ?? 0) % of === 0;
  }

  #above(indent: string): string {
    const blank = this.#chance(6) ? '\n' : '';
    return this.#chance(3) ? `${blank}${indent}#${this.#chance(2) ? ' ' : ''}${this.#word()}\n` : blank;
  }

  #word(): string {
    this.#comments += 1;
    return this.#chance(4) ? 'the same: { in, [ many } places' : `comment ${this.#comments}: 'it"s`;
  }

  #behind(): string {
    return this.#chance(4) ? ` # ${this.#word()}` : '';
  }

  #block(value: Value, indent: string): string {
    if (typeof value === 'string') return ` ${value}${this.#behind()}\n`;
    const pairs =
      'items' in value
        ? value.items.map((item) => ['-', item] as const)
        : value.map(([key, of]) => [`${key}:`, of] as const);
    return pairs
      .map(([mark, of]) => `${this.#above(indent)}${indent}${mark}${this.#inside(of, indent, mark)}`)
      .join('');
  }

  #inside(value: Value, indent: string, mark: string): string {
    if (typeof value === 'string') return this.#block(value, indent);
    if (this.#chance(3)) return ` ${this.#flow(value)}${this.#behind()}\n`;
    const deeper = `${indent}  `;
    if (mark !== '-') return `${this.#behind()}\n${this.#block(value, deeper)}`;
    // The first key of an item stands behind its dash.
    const [first, ...rest] = value as readonly (readonly [string, Value])[];
    return ` ${first![0]}:${this.#inside(first![1], deeper, '')}${this.#block(rest, deeper)}`;
  }

  #flow(value: Value): string {
    if (typeof value === 'string') return value.startsWith('^') ? `'${value}'` : value;
    if ('items' in value) return `[${value.items.map((item) => this.#flow(item)).join(', ')}]`;
    return `{ ${value.map(([key, of]) => `${key}: ${this.#flow(of)}`).join(', ')} }`;
  }
}

const tape = fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 80 });

/** What the drawn files came to, so that a generator that draws nothing of use is seen. */
interface Tally {
  converted: number;
  loading: number;
  comments: number;
}

function holds(text: string, tally: Tally): void {
  const before = load(text);
  expect(before.problems.filter(({ message }) => message.startsWith('not valid YAML'))).toEqual([]);
  const { text: out, findings, problems } = fromCyberArk(text, load);
  for (const { text: told } of findings) expect(told).not.toContain(SECRET);
  if (out === undefined) {
    expect(problems).not.toEqual([]);
    return;
  }
  tally.converted += 1;
  tally.comments += text.split('#').length - 1;
  expect(lostComments(text, out)).toEqual([]);
  const after = load(out);
  expect(after.normalized).toBeDefined();
  const errors = after.problems.filter(({ severity }) => severity === 'error');
  expect(errors.length === 0 || findings.some(({ weight }) => weight === 'todo')).toBe(true);
  if (before.config !== undefined) {
    tally.loading += 1;
    expect(isDeepStrictEqual(after.config, before.config)).toBe(true);
  }
  const again = fromCyberArk(out, load).text!;
  expect(lostComments(again, out)).toEqual([]);
  expect(load(again).config).toEqual(after.config);
}

test.each([
  ['version 1', version1],
  ['version 2', version2],
])(
  'every file of %s keeps its comments and its meaning, and loads where the original does',
  { timeout: 120_000 },
  (_, files) => {
    const tally: Tally = { converted: 0, loading: 0, comments: 0 };
    fc.assert(
      fc.property(files, tape, (value, marks) => holds(new Pen(marks).document(value), tally)),
      { numRuns: RUNS },
    );
    expect(tally.converted).toBeGreaterThan(RUNS / 3);
    expect(tally.loading).toBeGreaterThan(RUNS / 30);
    expect(tally.comments).toBeGreaterThan(RUNS);
  },
);

test('text that is no configuration at all is refused without a word of it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (noise) => {
      const { text, problems } = fromCyberArk(noise, load);
      expect(text === undefined ? problems.length : 1).toBeGreaterThan(0);
    }),
    { numRuns: RUNS },
  );
});
