import type { Sql } from 'postgres';
import { failure } from '../case.ts';
import type { JsCase, JsPlace } from './place.ts';

/** A connection that has asked the server for its array types. */
async function arrays(at: JsPlace): Promise<Sql> {
  const sql = at.open({ fetch_types: true });
  await sql`select 1`;
  return sql;
}

function value(name: string, expression: string, expected: unknown): JsCase {
  return [`reads ${name}`, (at) => at.value(`select ${expression} as x`), expected];
}

export const VALUES: readonly JsCase[] = [
  value('null', 'null', null),
  value('an integer', '1::int4', 1),
  value('a bigint as text', '9223372036854775807::int8', '9223372036854775807'),
  value('a numeric as text', '1.50::numeric', '1.50'),
  value('a double', '0.1::float8', 0.1),
  value('a text', `'hello ü 漢 🦉'`, 'hello ü 漢 🦉'),
  value('true', 'true', true),
  value('false', 'false', false),
  value('a date', `'2020-01-02 03:04:05+00'::timestamptz`, new Date('2020-01-02T03:04:05Z')),
  value('json', `'{"a": "hello", "b": 42}'::json`, { a: 'hello', b: 42 }),
  value('jsonb', `'[1, {"a": null}]'::jsonb`, [1, { a: null }]),
  value('bytea', `'\\x0001ff'::bytea`, Buffer.from([0, 1, 255])),
  value('a uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  value('a point as text', `'(1,2)'::point`, '(1,2)'),
  ['sends a text', async ({ sql }) => [...(await sql`select ${'hello'}::text as x`)], [{ x: 'hello' }]],
  ['sends an integer', async ({ sql }) => [...(await sql`select ${42}::int as x`)], [{ x: 42 }]],
  [
    'sends a boolean',
    async ({ sql }) => [...(await sql`select ${true}::bool as x, ${false}::bool as y`)],
    [{ x: true, y: false }],
  ],
  [
    'sends a date',
    async ({ sql }) => {
      const now = new Date('2022-03-04T05:06:07.089Z');
      return (await sql`select ${now}::timestamptz as x`)[0]!['x'] as unknown;
    },
    new Date('2022-03-04T05:06:07.089Z'),
  ],
  ['sends null', async ({ sql }) => [...(await sql`select ${null}::text as x`)], [{ x: null }]],
  [
    'sends json',
    async ({ sql }) => (await sql`select ${sql.json({ a: "it's", b: [1] })} as x`)[0]!['x'] as unknown,
    { a: "it's", b: [1] },
  ],
  [
    'sends an object to a json column',
    async ({ sql }) => {
      await sql`create temp table j (x json, y jsonb)`;
      const [row] = await sql`insert into j (x, y) values (${{ a: 1 } as never}, ${{ b: 2 } as never}) returning *`;
      return { ...row };
    },
    { x: { a: 1 }, y: { b: 2 } },
  ],
  [
    'sends bytes',
    async ({ sql }) => (await sql`select ${Buffer.from([0, 255])}::bytea as x`)[0]!['x'] as unknown,
    Buffer.from([0, 255]),
  ],
  [
    'sends an empty text and odd letters',
    async ({ sql }) => [...(await sql`select ${''}::text as a, ${'\\ \' " $1 \n'}::text as b`)],
    [{ a: '', b: '\\ \' " $1 \n' }],
  ],
  [
    'sends an array of integers',
    async (at) => {
      const sql = await arrays(at);
      return (await sql`select ${sql.array([1, 2, 3])}::int[] as x`)[0]!['x'] as unknown;
    },
    [1, 2, 3],
  ],
  [
    'sends an array of text',
    async (at) => {
      const sql = await arrays(at);
      return (await sql`select ${sql.array(['a', 'b,c', '"d"', '\\e', 'null'])} as x`)[0]!['x'] as unknown;
    },
    ['a', 'b,c', '"d"', '\\e', 'null'],
  ],
  [
    'sends an array of dates',
    async (at) => {
      const sql = await arrays(at);
      return (await sql`select ${sql.array([new Date(0)])}::timestamptz[] as x`)[0]!['x'] as unknown;
    },
    [new Date(0)],
  ],
  [
    'sends nested arrays',
    async (at) => {
      const sql = await arrays(at);
      return (
        await sql`select ${sql.array([
          [1, 2],
          [3, 4],
        ] as never)}::int[] as x`
      )[0]!['x'] as unknown;
    },
    [
      [1, 2],
      [3, 4],
    ],
  ],
  [
    'reads arrays of numbers, of nothing, of arrays',
    async (at) => {
      const sql = await arrays(at);
      const [row] = await sql`select array[1, 2] as a, ${'{}'}::text[] as b, array[array['x y', '"']] as c`;
      return { ...row };
    },
    { a: [1, 2], b: [], c: [['x y', '"']] },
  ],
  [
    'reads an array of jsonb',
    async (at) => {
      const sql = await arrays(at);
      return (await sql`select array['{"a": 1}'::jsonb, 'null'] as x`)[0]!['x'] as unknown;
    },
    [{ a: 1 }, null],
  ],
  [
    'lets the server cast what it does not know',
    async ({ sql }) => {
      await sql`create temp table cast_me (t timestamp with time zone, n int)`;
      const [row] = await sql`insert into cast_me values (${new Date(1000).toISOString()}, ${'7'}) returning *`;
      return { ...row };
    },
    { t: new Date(1000), n: 7 },
  ],
  [
    'uses a custom type',
    async (at) => {
      const sql = at.open({
        types: { big: { to: 20, from: [20], parse: (x: string) => BigInt(x), serialize: (x: bigint) => x.toString() } },
      });
      return (await sql`select ${5n as never}::int8 as x`)[0]!['x'] as unknown;
    },
    5n,
  ],
  [
    'refuses undefined',
    ({ sql }) => failure(sql`select ${undefined as never}`, 'code', 'message'),
    {
      code: 'UNDEFINED_VALUE',
      message: 'UNDEFINED_VALUE: Undefined values are not allowed',
    },
  ],
  [
    'turns undefined into null',
    async (at) => {
      const sql = at.open({ transform: { undefined: null } });
      return (await sql`select ${undefined as never}::int as x`)[0]!['x'] as unknown;
    },
    null,
  ],
  [
    'reads the result as an array',
    async ({ sql }) => {
      const result = await sql`select 1 as a`;
      return [
        Array.isArray(result),
        result.length,
        result.count,
        result.command,
        result.columns.map(({ name, type }) => [name, type]),
      ];
    },
    [true, 1, 1, 'SELECT', [['a', 23]]],
  ],
  [
    'counts what a command did',
    async ({ sql }) => {
      await sql`create temp table c (n int)`;
      const insert = await sql`insert into c select generate_series(1, 9)`;
      const update = await sql`update c set n = 0 where n < 4`;
      return [insert.count, insert.command, update.count, update.command];
    },
    [9, 'INSERT', 3, 'UPDATE'],
  ],
  ['reads rows as arrays', async ({ sql }) => [...(await sql`select 1 as a, 'b' as b`.values())], [[1, 'b']]],
  [
    'reads rows raw',
    async ({ sql }) => [...(await sql`select 1 as a, 'b' as b, null as c`.raw())],
    [[Buffer.from('1'), Buffer.from('b'), null]],
  ],
  [
    'reads a row of 20 MB',
    async ({ sql }) => ((await sql`select repeat('b', 20000000) as x`)[0]!['x'] as string).length,
    20_000_000,
  ],
  [
    'reads 100,000 rows',
    async ({ sql }) => {
      const rows = await sql`select generate_series(1, 100000) as n`;
      return [rows.length, rows.at(-1)!['n'] as unknown];
    },
    [100_000, 100_000],
  ],
  [
    'reads rows one by one',
    async ({ sql }) => {
      const seen: unknown[] = [];
      await sql`select generate_series(1, 3) as n`.forEach((row) => seen.push(row['n']));
      return seen;
    },
    [1, 2, 3],
  ],
  [
    'describes a statement',
    async ({ sql }) => {
      const { string, types, columns } = await sql`select ${1}::int4 as a, ${'x'}::text as b`.describe();
      return { string, types, columns: columns.map(({ name, type }) => [name, type]) };
    },
    {
      string: 'select $1::int4 as a, $2::text as b',
      types: [23, 25],
      columns: [
        ['a', 23],
        ['b', 25],
      ],
    },
  ],
  [
    'describes a statement without columns',
    async ({ sql }) => {
      await sql`create temp table d (n int)`;
      const { columns } = await sql`insert into d values (1)`.describe();
      return columns ?? 'none';
    },
    [],
  ],
  [
    'names table and number of a column',
    async ({ sql }) => {
      await sql`create temp table n (a int, b int)`;
      const { columns } = await sql`select b from n`;
      return (columns as unknown as { table: number; number: number }[]).map(({ table, number }) => [
        table > 0,
        number,
      ]);
    },
    [[true, 2]],
  ],
];
