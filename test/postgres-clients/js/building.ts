import postgres from 'postgres';
import { failure } from '../case.ts';
import type { JsCase } from './place.ts';

export const BUILDING: readonly JsCase[] = [
  [
    'inserts an object',
    async ({ sql }) => {
      await sql`create temp table t (a int, b text)`;
      return [...(await sql`insert into t ${sql({ a: 1, b: 'x' })} returning *`)];
    },
    [{ a: 1, b: 'x' }],
  ],
  [
    'inserts chosen keys of an object',
    async ({ sql }) => {
      await sql`create temp table t (a int, b text)`;
      return [...(await sql`insert into t ${sql({ a: 1, b: 'x', c: 2 }, 'a', 'b')} returning *`)];
    },
    [{ a: 1, b: 'x' }],
  ],
  [
    'inserts many objects',
    async ({ sql }) => {
      await sql`create temp table t (a int, b text)`;
      const rows = Array.from({ length: 1000 }, (_, a) => ({ a, b: `b${a}` }));
      return (await sql`insert into t ${sql(rows)}`).count;
    },
    1000,
  ],
  [
    'updates from an object',
    async ({ sql }) => {
      await sql`create temp table t (a int, b text)`;
      await sql`insert into t values (1, 'x')`;
      return [...(await sql`update t set ${sql({ b: 'y' })} where a = ${1} returning *`)];
    },
    [{ a: 1, b: 'y' }],
  ],
  [
    'selects columns by name',
    async ({ sql }) => [...(await sql`select ${sql(['a', 'b'])} from (values (1, 2)) v(a, b)`)],
    [{ a: 1, b: 2 }],
  ],
  [
    'escapes identifiers with their schema',
    async ({ sql }) => {
      await sql`create temp table ${sql('it"s')} (n int)`;
      return [...(await sql`select count(*)::int as ${sql('a b')} from ${sql('pg_temp.it"s')}`)];
    },
    [{ 'a b': 0 }],
  ],
  [
    'selects from a list',
    async ({ sql }) => [...(await sql`select n from generate_series(1, 5) n where n in ${sql([2, 4])}`)],
    [{ n: 2 }, { n: 4 }],
  ],
  [
    'selects rows of values',
    async ({ sql }) => [
      ...(await sql`select * from (values ${sql([
        ['a', 'b'],
        ['c', 'd'],
      ])}) as v(x, y)`),
    ],
    [
      { x: 'a', y: 'b' },
      { x: 'c', y: 'd' },
    ],
  ],
  [
    'puts fragments together',
    async ({ sql }) => {
      const where = (n: number | undefined) => (n === undefined ? sql`` : sql`where n = ${n}`);
      const all = await sql`select n from generate_series(1, 3) n ${where(undefined)}`;
      const one = await sql`select n from generate_series(1, 3) n ${where(2)} and ${true}`;
      return [all.length, one.length];
    },
    [3, 1],
  ],
  [
    'nests fragments with parameters',
    async ({ sql }) => {
      const sum = sql`(${1}::int + ${2}::int)`;
      return [...(await sql`select ${sum} * ${10}::int as x`)];
    },
    [{ x: 30 }],
  ],
  [
    'runs unsafe text with parameters',
    async ({ sql }) => [...(await sql.unsafe('select $1::int as x', [5]))],
    [{ x: 5 }],
  ],
  [
    'runs several unsafe statements',
    async ({ sql }) => {
      const results = (await sql.unsafe('select 1 as x; select 2 as x')) as unknown as unknown[][];
      return results.map((rows) => [...rows]);
    },
    [[{ x: 1 }], [{ x: 2 }]],
  ],
  ['runs a query in the simple protocol', async ({ sql }) => [...(await sql`select 1 as x`.simple())], [{ x: 1 }]],
  [
    'runs several statements in the simple protocol',
    async ({ sql }) => {
      const results = (await sql`select 1 as x; select 'y' as y`.simple()) as unknown as unknown[][];
      return results.map((rows) => [...rows]);
    },
    [[{ x: 1 }], [{ y: 'y' }]],
  ],
  [
    'allows one statement only in the extended protocol',
    ({ sql }) => failure(sql`select 1; select 2`, 'code', 'message'),
    {
      code: '42601',
      message: 'cannot insert multiple commands into a prepared statement',
    },
  ],
  [
    'prepares statements by itself',
    async ({ sql }) => {
      for (let n = 0; n < 3; n += 1) await sql`select ${n}::int as n`;
      return [...(await sql`select count(*)::int as n from pg_prepared_statements where statement like '%::int as n'`)];
    },
    [{ n: 1 }],
  ],
  [
    'prepares nothing when told so',
    async (at) => {
      const sql = at.open({ prepare: false });
      await sql`select ${1}::int as n`;
      return [...(await sql`select count(*)::int as n from pg_prepared_statements`)];
    },
    [{ n: 0 }],
  ],
  [
    'prepares unsafe text when told so',
    async ({ sql }) => {
      await sql.unsafe('select $1::int', [77], { prepare: true });
      return [...(await sql`select count(*)::int as n from pg_prepared_statements where statement = 'select $1::int'`)];
    },
    [{ n: 1 }],
  ],
  [
    'prepares again by itself after a change of the table',
    async ({ sql }) => {
      await sql`create temp table t (a int)`;
      await sql`insert into t values (1)`;
      const read = async (): Promise<unknown[]> => [...(await sql`select * from t`)];
      const before = await read();
      await sql`alter table t add column b int default 2`;
      return [before, await read(), await read()];
    },
    [[{ a: 1 }], [{ a: 1, b: 2 }], [{ a: 1, b: 2 }]],
  ],
  [
    'transforms columns and rows',
    async (at) => {
      const sql = at.open({ transform: postgres.camel });
      return [...(await sql`select 1 as one_two, 3 as three`)];
    },
    [{ oneTwo: 1, three: 3 }],
  ],
  [
    'transforms values and rows',
    async (at) => {
      const sql = at.open({
        transform: { value: (x: unknown) => (x === 1 ? 2 : x), row: (row: object) => ({ ...row, more: true }) },
      });
      return [...(await sql`select 1 as a`)];
    },
    [{ a: 2, more: true }],
  ],
  [
    'transforms names that it inserts',
    async (at) => {
      const sql = at.open({ transform: { column: { to: postgres.fromCamel, from: postgres.toCamel } } });
      await sql`create temp table t (a_b int)`;
      return [...(await sql`insert into t ${sql({ aB: 1 })} returning *`)];
    },
    [{ aB: 1 }],
  ],
  [
    'sends a query of a megabyte',
    async ({ sql }) => (await sql.unsafe(`select length('${'q'.repeat(1_000_000)}') as n`))[0]!['n'] as unknown,
    1_000_000,
  ],
  [
    'sends 65,533 parameters',
    async ({ sql }) => {
      const values = Array.from({ length: 65_533 }, (_, n) => n);
      const list = values.map((_, n) => `$${n + 1}::int`).join();
      return (await sql.unsafe(`select count(*)::int as n from unnest(array[${list}])`, values))[0]!['n'] as unknown;
    },
    65_533,
  ],
  [
    'refuses more than 65,533 parameters',
    ({ sql }) => {
      const values = Array.from({ length: 65_534 }, (_, n) => n);
      return failure(sql.unsafe(`select ${values.map((_, n) => `$${n + 1}::int`).join('+')}`, values), 'code');
    },
    { code: 'MAX_PARAMETERS_EXCEEDED' },
  ],
  [
    'runs many queries at a time on one connection',
    async ({ sql }) => {
      const all = await Promise.all(Array.from({ length: 500 }, (_, n) => sql`select ${n}::int as n`));
      return all.every(([row], n) => row!['n'] === n);
    },
    true,
  ],
  [
    'keeps the order of piped queries that fail',
    async ({ sql }) => {
      const all = await Promise.allSettled([sql`select 1`, sql`select 1 / 0`, sql`select oops`, sql`select 4`]);
      return all.map((one) => (one.status === 'fulfilled' ? 'ok' : (one.reason as { code: string }).code));
    },
    ['ok', '22012', '42703', 'ok'],
  ],
  [
    'runs the same query twice at a time',
    async ({ sql }) => {
      const [a, b] = await Promise.all([sql`select 1 as x`, sql`select 1 as x`]);
      return [a[0]!['x'] as unknown, b[0]!['x'] as unknown];
    },
    [1, 1],
  ],
  [
    'executes without waiting',
    async ({ sql }) => {
      await sql`create temp table t (n int)`;
      void sql`insert into t values (1)`.execute();
      return [...(await sql`select * from t`)];
    },
    [{ n: 1 }],
  ],
];
