import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';
import type { Sql } from 'postgres';
import { failure, pause } from '../case.ts';
import { pending, type JsCase, type JsPlace } from './place.ts';

async function cursor(sql: Sql, size: number, rows: number): Promise<number[]> {
  const seen: number[] = [];
  await sql`select generate_series(1, ${rows}::int) as n`.cursor(size, (batch) => {
    seen.push(batch.length);
  });
  return seen;
}

/** Changes of a table as a subscription hears them. */
async function changes(at: JsPlace, statements: readonly string[]): Promise<unknown[]> {
  const publication = `published_${at.door.database}_${statements.length}`;
  await at.sql.unsafe(`create table if not exists watched (id serial primary key, word text); truncate watched;
    drop publication if exists ${publication}; create publication ${publication} for table watched`);
  const sql = at.open({ publications: publication });
  const seen: unknown[] = [];
  const last = pending<void>();
  const subscription = await sql.subscribe('*', (row, event) => {
    // The types of the package leave out what an update replaced.
    const { command, old } = event as { command: string; old?: unknown };
    const words = [row, old].map((each) => (each as { word?: string } | null | undefined)?.word);
    seen.push([command, ...words]);
    if (words[0] === 'last') last.resolve();
  });
  for (const statement of statements) await at.sql.unsafe(statement);
  await at.sql.unsafe(`insert into watched (word) values ('last')`);
  await last.promise;
  subscription.unsubscribe();
  return seen;
}

export const STREAMS: readonly JsCase[] = [
  ['reads by cursor row by row', ({ sql }) => cursor(sql, 1, 3), [1, 1, 1]],
  ['reads by cursor in batches', ({ sql }) => cursor(sql, 10, 25), [10, 10, 5]],
  ['reads by cursor less than a batch', ({ sql }) => cursor(sql, 100, 3), [3]],
  ['reads by cursor 50,000 rows', async ({ sql }) => (await cursor(sql, 1000, 50_000)).length, 50],
  [
    'stops a cursor',
    async (at) => {
      const { CLOSE } = at.sql as unknown as { CLOSE: object };
      let batches = 0;
      await at.sql`select generate_series(1, 100) as n`.cursor(10, () => {
        batches += 1;
        return batches === 2 ? CLOSE : undefined;
      });
      return [batches, [...(await at.sql`select 1 as x`)]];
    },
    [2, [{ x: 1 }]],
  ],
  [
    'hears what the function of a cursor throws',
    async ({ sql }) => {
      return failure(
        sql`select generate_series(1, 100) as n`.cursor(10, () => {
          throw new Error('enough');
        }),
        'message',
      );
    },
    { message: 'enough' },
  ],
  [
    'hears the error of a query with a cursor',
    ({ sql }) =>
      failure(
        sql`wat`.cursor(() => undefined),
        'code',
      ),
    { code: '42601' },
  ],
  [
    'hears an error in a later batch',
    ({ sql }) =>
      failure(
        sql`select 1 / (50 - n) from generate_series(1, 100) n`.cursor(10, () => undefined),
        'code',
      ),
    { code: '22012' },
  ],
  [
    'waits for the function of a cursor',
    async ({ sql }) => {
      const order: unknown[] = [];
      await sql`select generate_series(1, 2) as n`.cursor(1, (async ([row]: [{ n: number }]) => {
        order.push(row.n);
        await pause(20);
        order.push('waited');
      }) as never);
      return order;
    },
    [1, 'waited', 2, 'waited'],
  ],
  [
    'reads cursors one after the other',
    async ({ sql }) => Promise.all([cursor(sql, 5, 10), cursor(sql, 3, 6)]),
    [
      [5, 5],
      [3, 3],
    ],
  ],
  [
    'iterates a cursor',
    async ({ sql }) => {
      const seen: number[] = [];
      for await (const rows of sql`select generate_series(1, 7) as n`.cursor(3)) seen.push(rows.length);
      return seen;
    },
    [3, 3, 1],
  ],
  [
    'breaks out of a cursor',
    async ({ sql }) => {
      for await (const rows of sql`select generate_series(1, 1000) as n`.cursor(10)) if (rows.length > 0) break;
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'iterates unsafe text by cursor',
    async ({ sql }) => {
      const seen: number[] = [];
      for await (const rows of sql.unsafe('select generate_series(1, $1::int) as n', [4]).cursor(2))
        seen.push(rows.length);
      return seen;
    },
    [2, 2],
  ],
  [
    'copies out',
    async ({ sql }) => {
      const stream = await sql`copy (select n, 'w' || n from generate_series(1, 3) n) to stdout`.readable();
      return (await buffer(stream)).toString();
    },
    '1\tw1\n2\tw2\n3\tw3\n',
  ],
  [
    'copies out 20 MB',
    async ({ sql }) =>
      (await buffer(await sql`copy (select repeat('o', 9999) from generate_series(1, 2000)) to stdout`.readable()))
        .length,
    20_000_000,
  ],
  [
    'copies out to a slow reader',
    async ({ sql }) => {
      let bytes = 0;
      for await (const chunk of await sql`copy (select repeat('o', 9999) from generate_series(1, 500)) to stdout`.readable()) {
        bytes += (chunk as Buffer).length;
        if (bytes % 50_000 === 0) await pause(1);
      }
      return bytes;
    },
    5_000_000,
  ],
  [
    'copies in',
    async ({ sql }) => {
      await sql`create temp table t (n int, w text)`;
      const stream = await sql`copy t from stdin`.writable();
      await pipeline(Readable.from(['1\ta\n', '2\tb\n']), stream);
      return [...(await sql`select * from t order by n`)];
    },
    [
      { n: 1, w: 'a' },
      { n: 2, w: 'b' },
    ],
  ],
  [
    'copies in as its first query',
    async (at) => {
      await at.sql`create table if not exists first_copied (n int)`;
      const sql = at.open();
      const stream = await sql`copy first_copied from stdin`.writable();
      stream.end('1\n2\n');
      await finished(stream);
      return (await sql`select * from first_copied`).length;
    },
    2,
  ],
  [
    'copies in 20 MB',
    async ({ sql }) => {
      await sql`create temp table t (w text)`;
      const line = `${'i'.repeat(9999)}\n`;
      await pipeline(Readable.from(Array.from({ length: 2000 }, () => line)), await sql`copy t from stdin`.writable());
      return [...(await sql`select count(*)::int as n, sum(length(w))::int as l from t`)];
    },
    [{ n: 2000, l: 19_998_000 }],
  ],
  [
    'copies in within a transaction',
    async ({ sql }) => {
      await sql`create temp table t (n int)`;
      await sql.begin(async (sql) => {
        const stream = await sql`copy t from stdin`.writable();
        stream.end('7\n');
        await finished(stream);
      });
      return [...(await sql`select * from t`)];
    },
    [{ n: 7 }],
  ],
  [
    'gives up a copy in',
    async ({ sql }) => {
      await sql`create temp table t (n int)`;
      const stream = await sql`copy t from stdin`.writable();
      stream.write('1\n');
      const error = new Promise((resolve) => stream.once('error', ({ message }: Error) => resolve(message)));
      stream.destroy(new Error('no more'));
      return [await error, (await sql`select * from t`).length];
    },
    ['no more', 0],
  ],
  [
    'writes and reads a large object',
    async ({ sql }) => {
      await sql`begin`;
      const [{ oid }] = (await sql`select lo_from_bytea(0, ${Buffer.alloc(500_000, 1)}) as oid`) as unknown as [
        { oid: number },
      ];
      const [row] = await sql`select length(lo_get(${oid})) as l, lo_unlink(${oid}) as u`;
      await sql`commit`;
      return { ...row };
    },
    { l: 500_000, u: 1 },
  ],
  [
    'listens and is notified',
    async ({ sql }) => {
      const heard = pending<string>();
      await sql.listen('channel one', heard.resolve);
      await sql.notify('channel one', 'it works');
      return heard.promise;
    },
    'it works',
  ],
  [
    'listens on channels of every spelling',
    async ({ sql }) => {
      const names = ['withUPPERCase', 'with spaces', 'with"quotes', 'ünïcode', 'a-b.c'];
      const heard = names.map(() => pending<string>());
      for (const [at, name] of names.entries()) await sql.listen(name, heard[at]!.resolve);
      for (const name of names) await sql.notify(name, name);
      return Promise.all(heard.map(({ promise }) => promise));
    },
    ['withUPPERCase', 'with spaces', 'with"quotes', 'ünïcode', 'a-b.c'],
  ],
  [
    'tells every listener of a channel',
    async ({ sql }) => {
      const heard = [pending<string>(), pending<string>()];
      for (const { resolve } of heard) await sql.listen('twice', resolve);
      await sql.notify('twice', 'both');
      return Promise.all(heard.map(({ promise }) => promise));
    },
    ['both', 'both'],
  ],
  [
    'stops listening',
    async ({ sql }) => {
      const seen: string[] = [];
      const listening = await sql.listen('stopped', (payload) => seen.push(payload));
      await sql.notify('stopped', 'one');
      await pause(50);
      await listening.unlisten();
      await sql.notify('stopped', 'two');
      await pause(50);
      return seen;
    },
    ['one'],
  ],
  [
    'listens again after its session was terminated',
    async (at) => {
      const listening: (() => void)[] = [];
      const again = pending<void>();
      const heard = pending<string>();
      const { state } = await at.sql.listen('again', heard.resolve, () => {
        listening.push(again.resolve);
        if (listening.length === 2) again.resolve();
      });
      await at.value('select pg_terminate_backend($1)', [state.pid]);
      await again.promise;
      await at.sql.notify('again', 'still here');
      return heard.promise;
    },
    'still here',
  ],
  [
    'subscribes to inserts',
    (at) => changes(at, [`insert into watched (word) values ('a'), ('b')`]),
    [
      ['insert', 'a', undefined],
      ['insert', 'b', undefined],
      ['insert', 'last', undefined],
    ],
  ],
  [
    'subscribes to updates and deletes',
    (at) =>
      changes(at, [
        'alter table watched replica identity full',
        `insert into watched (word) values ('old')`,
        `update watched set word = 'new'`,
        'delete from watched',
      ]),
    [
      ['insert', 'old', undefined],
      ['update', 'new', 'old'],
      ['delete', 'new', undefined],
      ['insert', 'last', undefined],
    ],
  ],
];
