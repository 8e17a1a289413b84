import { Query, type QueryConfig } from 'pg';
import { failure } from '../case.ts';
import { next, type PgCase, type PgPlace } from './place.ts';

async function shape(place: PgPlace, text: string, values?: unknown[]): Promise<unknown> {
  const { command, rowCount, rows, fields } = await place.query(text, values);
  return { command, rowCount, rows, fields: fields.map(({ name }) => name) };
}

/** Rows of a query object as its events bring them. */
async function events(place: PgPlace, config: ConstructorParameters<typeof Query>[0]): Promise<unknown[]> {
  const client = await place.client();
  const seen: unknown[] = [];
  const query = client.query(new Query(config));
  query.on('row', (row) => seen.push(row));
  query.on('error', (error) => seen.push((error as { code?: string }).code));
  await Promise.race([next(query, 'end'), next(query, 'error')]);
  return seen;
}

export const QUERIES: readonly PgCase[] = [
  [
    'selects one row',
    (at) => shape(at, 'select 1 as one, $$two$$ as two'),
    {
      command: 'SELECT',
      rowCount: 1,
      rows: [{ one: 1, two: 'two' }],
      fields: ['one', 'two'],
    },
  ],
  [
    'selects no row',
    (at) => shape(at, 'select 1 as one where false'),
    {
      command: 'SELECT',
      rowCount: 0,
      rows: [],
      fields: ['one'],
    },
  ],
  [
    'selects a row without columns',
    (at) => shape(at, 'select'),
    {
      command: 'SELECT',
      rowCount: 1,
      rows: [{}],
      fields: [],
    },
  ],
  [
    'runs an empty query',
    async (at) => {
      const { command, rowCount, rows } = await at.query('');
      return { command, rowCount, rows };
    },
    { command: null, rowCount: null, rows: [] },
  ],
  [
    'runs an empty prepared query',
    async (at) => (await (await at.client()).query({ name: 'none', text: '' })).rows as unknown,
    [],
  ],
  ['runs a comment alone', async (at) => (await at.query('-- nothing here')).rows, []],
  [
    'counts inserted, updated and deleted rows',
    async (at) => {
      await at.query('create temp table counted (n int)');
      const inserted = await at.query('insert into counted select generate_series(1, 10)');
      const updated = await at.query('update counted set n = n + 1 where n > 5');
      const deleted = await at.query('delete from counted where n < 3');
      return [inserted, updated, deleted].map(({ command, rowCount }) => [command, rowCount]);
    },
    [
      ['INSERT', 10],
      ['UPDATE', 5],
      ['DELETE', 2],
    ],
  ],
  [
    'returns inserted rows',
    async (at) => {
      await at.query('create temp table returned (id serial, name text)');
      return at.rows('insert into returned (name) values ($1), ($2) returning *', ['a', 'b']);
    },
    [
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ],
  ],
  [
    'gives every result of several statements',
    async (at) => {
      const results = (await at.query('select 1 as n; create temp table t (x int); select 2 as n')) as unknown;
      return (results as { command: string; rows: unknown[] }[]).map(({ command, rows }) => [command, rows]);
    },
    [
      ['SELECT', [{ n: 1 }]],
      ['CREATE', []],
      ['SELECT', [{ n: 2 }]],
    ],
  ],
  [
    'gives rows as arrays, with columns of one name',
    async (at) =>
      (await (await at.client()).query({ text: 'select 1 as n, 2 as n, null as n', rowMode: 'array' })).rows,
    [[1, 2, null]],
  ],
  [
    'escapes names of columns',
    (at) => at.rows(`select 1 as "it's", 2 as "a ""b""", 3 as "\\\\x", 4 as "ü"`),
    [{ "it's": 1, 'a "b"': 2, '\\\\x': 3, ü: 4 }],
  ],
  [
    'describes fields',
    async (at) => {
      const { fields } = await at.query(`select 1::int4 as a, 'x'::varchar(7) as b, now() as c`);
      return fields.map(({ name, dataTypeID, dataTypeSize, dataTypeModifier, format }) => [
        name,
        dataTypeID,
        dataTypeSize,
        dataTypeModifier,
        format,
      ]);
    },
    [
      ['a', 23, 4, -1, 'text'],
      ['b', 1043, -1, 11, 'text'],
      ['c', 1184, 8, -1, 'text'],
    ],
  ],
  [
    'names the table and column of a field',
    async (at) => {
      await at.query('create temp table sourced (a int, b int)');
      const { fields } = await at.query('select b, a, 1 as c from sourced');
      return fields.map(({ tableID, columnID }) => [tableID > 0, columnID]);
    },
    [
      [true, 2],
      [true, 1],
      [false, 0],
    ],
  ],
  [
    'takes parameters',
    (at) => at.rows('select $1::int + $2::int as sum, $3::text as word', [1, 2, `it's "x" \\ é`]),
    [{ sum: 3, word: `it's "x" \\ é` }],
  ],
  [
    'takes null and undefined as null',
    (at) => at.rows('select $1::text as a, $2::text as b', [null, undefined]),
    [{ a: null, b: null }],
  ],
  [
    'takes 65,535 parameters',
    async (at) => {
      const values = Array.from({ length: 65_535 }, (_, at) => at);
      const list = values.map((_, at) => `$${at + 1}::int4`).join(',');
      return at.value(`select count(*)::int from unnest(array[${list}])`, values);
    },
    65_535,
  ],
  [
    'takes a query text of a million characters',
    (at) => at.value(`select length('${'x'.repeat(1_000_000)}')`),
    1_000_000,
  ],
  [
    'takes a parameter of 50 MB and gives it back',
    async (at) => {
      const value = (await at.value('select $1::text', ['y'.repeat(50_000_000)])) as string;
      return [value.length, value.at(-1)];
    },
    [50_000_000, 'y'],
  ],
  [
    'prepares a statement once and executes it often',
    async (at) => {
      const client = await at.client();
      const run = async (n: number): Promise<unknown> =>
        (await client.query<{ n: number }>({ name: 'plus', text: 'select $1::int + 1 as n', values: [n] })).rows[0]!.n;
      const sums = [await run(1), await run(2), await run(3)];
      return [sums, await at.value(`select count(*)::int from pg_prepared_statements where name = 'plus'`)];
    },
    [[2, 3, 4], 1],
  ],
  [
    'refuses another text under the name of a prepared statement',
    async (at) => {
      const client = await at.client();
      await client.query({ name: 'same', text: 'select 1' });
      return failure(client.query({ name: 'same', text: 'select 2' }), 'message');
    },
    { message: "Prepared statements must be unique - 'same' was used for a different statement" },
  ],
  [
    'prepares many statements',
    async (at) => {
      const client = await at.client();
      for (let n = 0; n < 100; n += 1) await client.query({ name: `many-${n}`, text: `select ${n} as n` });
      return at.value('select count(*)::int from pg_prepared_statements');
    },
    100,
  ],
  [
    'runs a statement again after it failed to bind',
    async (at) => {
      const client = await at.client();
      const run = (value: unknown): Promise<unknown> =>
        client
          .query({ name: 'bound', text: 'select $1::int as n', values: [value] })
          .then(({ rows }) => rows as unknown);
      return [await run(1), await failure(run('x'), 'code'), await run(2)];
    },
    [[{ n: 1 }], { code: '22P02' }, [{ n: 2 }]],
  ],
  [
    'gives results in binary format',
    async (at) => {
      const client = await at.client();
      const binary: QueryConfig = { text: 'select 7::int4 as n', values: [], ...{ binary: true } };
      return (await client.query<{ n: number }>(binary)).rows;
    },
    [{ n: 7 }],
  ],
  [
    'reads a portal in batches of rows',
    (at) => events(at, { text: 'select n from generate_series(1, 7) n', rows: 2 } as never),
    [1, 2, 3, 4, 5, 6, 7].map((n) => ({ n })),
  ],
  [
    'reads a prepared portal in batches of rows',
    (at) => events(at, { name: 'portal', text: 'select n from generate_series(1, 5) n', rows: 2, values: [] } as never),
    [1, 2, 3, 4, 5].map((n) => ({ n })),
  ],
  [
    'emits rows, then the error of a later one',
    (at) => events(at, { text: 'select 4 / n as n from (values (2), (1), (0)) v(n)' }),
    [{ n: 2 }, { n: 4 }, '22012'],
  ],
  [
    'queues queries of one client',
    async (at) => {
      const client = await at.client();
      const all = await Promise.all(
        Array.from({ length: 200 }, (_, n) => client.query<{ n: number }>('select $1::int as n', [n])),
      );
      return all.map(({ rows }) => rows[0]!.n).every((n, at) => n === at);
    },
    true,
  ],
  [
    'goes on with the queue after an error',
    async (at) => {
      const client = await at.client();
      const all = await Promise.allSettled([
        client.query('select 1'),
        client.query('select oops'),
        client.query('select 3'),
      ]);
      return all.map(({ status }) => status);
    },
    ['fulfilled', 'rejected', 'fulfilled'],
  ],
  [
    'pipelines queries',
    async (at) => {
      const client = await at.connect({ pipeline: true });
      const all = await Promise.all(
        Array.from({ length: 500 }, (_, n) => client.query<{ n: number }>('select $1::int as n', [n])),
      );
      return all.every(({ rows }, at) => rows[0]!.n === at);
    },
    true,
  ],
  [
    'keeps errors of a pipeline to the query that failed',
    async (at) => {
      const client = await at.connect({ pipeline: true });
      const all = await Promise.allSettled([
        client.query('select 1 as n'),
        client.query('select 1 / 0'),
        client.query('select $1::int as n', [3]),
      ]);
      return all.map((one) => (one.status === 'fulfilled' ? one.value.rows : (one.reason as { code: string }).code));
    },
    [[{ n: 1 }], '22012', [{ n: 3 }]],
  ],
  [
    'pipelines prepared statements, large answers and writes',
    async (at) => {
      const client = await at.connect({ pipeline: true });
      const [, , many, count] = await Promise.all([
        client.query('create temp table piped (n int)'),
        client.query({ name: 'fill', text: 'insert into piped select generate_series(1, $1)', values: [1000] }),
        client.query(`select repeat('z', 10000) as z from piped`),
        client.query<{ count: string }>('select count(*) from piped'),
      ]);
      return [many.rows.length, count.rows];
    },
    [1000, [{ count: '1000' }]],
  ],
  [
    'calls back',
    async (at) => {
      const client = await at.client();
      return new Promise((resolve, reject) => {
        client.query('select $1::text as word', ['back'], (error: Error | null, result) =>
          error ? reject(error) : resolve(result.rows as unknown),
        );
      });
    },
    [{ word: 'back' }],
  ],
  [
    'knows literals and identifiers',
    async (at) => {
      const client = await at.client();
      const literal = client.escapeLiteral(`it's \\ "q"`);
      return at.rows(`select ${literal} as ${client.escapeIdentifier('a"b')}`);
    },
    [{ 'a"b': `it's \\ "q"` }],
  ],
  ['runs a DO block', async (at) => (await at.query('do $$ begin perform 1; end $$')).command, 'DO'],
  [
    'reads 100,000 rows',
    async (at) => {
      const { rows } = await at.query('select n, md5(n::text) as m from generate_series(1, 100000) n');
      return [rows.length, rows.at(-1)];
    },
    [100_000, { n: 100_000, m: '14ee22eaba297944c96afdbe5b16c65b' }],
  ],
  [
    'reads a row of 1,600 columns',
    async (at) =>
      Object.keys((await at.rows(`select ${Array.from({ length: 1600 }, (_, n) => `${n} as c${n}`).join()}`))[0]!)
        .length,
    1600,
  ],
];
