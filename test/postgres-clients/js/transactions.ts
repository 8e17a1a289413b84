import { failure, pause } from '../case.ts';
import type { JsCase, JsPlace } from './place.ts';

async function table(at: JsPlace): Promise<string> {
  await at.open()`create table if not exists done (n int)`;
  await at.open()`truncate done`;
  return 'done';
}

export const TRANSACTIONS: readonly JsCase[] = [
  [
    'commits',
    async (at) => {
      await table(at);
      await at.sql.begin(async (sql) => {
        await sql`insert into done values (1)`;
      });
      return [...(await at.sql`select n from done`)];
    },
    [{ n: 1 }],
  ],
  [
    'rolls back when its function throws',
    async (at) => {
      await table(at);
      const error = await failure(
        at.sql.begin(async (sql) => {
          await sql`insert into done values (1)`;
          throw new Error('no');
        }),
        'message',
      );
      return [error, (await at.sql`select n from done`).length];
    },
    [{ message: 'no' }, 0],
  ],
  [
    'rolls back when a query fails',
    async (at) => {
      await table(at);
      const error = await failure(
        at.sql.begin(async (sql) => {
          await sql`insert into done values (1)`;
          await sql`insert into done values ('x')`;
        }),
        'code',
      );
      return [error, (await at.sql`select n from done`).length];
    },
    [{ code: '22P02' }, 0],
  ],
  [
    'rolls back when a query nobody waits for fails',
    async (at) => {
      await table(at);
      const error = await failure(
        at.sql.begin((sql) => [sql`insert into done values (1)`, sql`select oops`] as never),
        'code',
      );
      return [error, (await at.sql`select n from done`).length];
    },
    [{ code: '42703' }, 0],
  ],
  [
    'gives the results of a list',
    async ({ sql }) => {
      const results = await sql.begin((sql) => [sql`select 1 as a`, sql`select 2 as a`] as never);
      return (results as unknown as unknown[][]).map((rows) => [...rows]);
    },
    [[{ a: 1 }], [{ a: 2 }]],
  ],
  [
    'takes a mode',
    async ({ sql }) =>
      failure(
        sql.begin('read only', async (sql) => sql`create table never (n int)`),
        'code',
      ),
    { code: '25006' },
  ],
  [
    'takes an isolation level',
    async ({ sql }) =>
      sql.begin('isolation level serializable', async (sql) => [...(await sql`show transaction_isolation`)]),
    [{ transaction_isolation: 'serializable' }],
  ],
  [
    'keeps a savepoint',
    async (at) => {
      await table(at);
      await at.sql.begin(async (sql) => {
        await sql`insert into done values (1)`;
        await sql
          .savepoint(async (sql) => {
            await sql`insert into done values (2)`;
            throw new Error('back');
          })
          .catch(() => undefined);
        await sql.savepoint('named', async (sql) => sql`insert into done values (3)`);
      });
      return [...(await at.sql`select n from done order by n`)];
    },
    [{ n: 1 }, { n: 3 }],
  ],
  [
    'gives the result of a savepoint',
    async ({ sql }) =>
      sql.begin(async (sql) => [...((await sql.savepoint((sql) => sql`select 1 as x`)) as unknown as unknown[])]),
    [{ x: 1 }],
  ],
  [
    'runs 100 transactions side by side',
    async (at) => {
      await table(at);
      const sql = at.open({ max: 8 });
      await Promise.all(
        Array.from({ length: 100 }, (_, n) =>
          sql.begin(async (sql) => {
            await sql`insert into done values (${n})`;
            await sql`select 1`;
          }),
        ),
      );
      return [...(await at.sql`select count(*)::int as n from done`)];
    },
    [{ n: 100 }],
  ],
  [
    'queues transactions on one connection',
    async (at) => {
      await table(at);
      await Promise.all(
        Array.from({ length: 30 }, (_, n) => at.sql.begin((sql) => sql`insert into done values (${n})`)),
      );
      return [...(await at.sql`select sum(n)::int as n from done`)];
    },
    [{ n: 435 }],
  ],
  [
    'waits within a transaction',
    async ({ sql }) =>
      sql.begin(async (sql) => {
        await pause(100);
        return [...(await sql`select 1 as x`)];
      }),
    [{ x: 1 }],
  ],
  [
    'does not end while a transaction is open',
    async (at) => {
      await table(at);
      const sql = at.open();
      const work = sql.begin(async (sql) => {
        await sql`insert into done values (1)`;
        await pause(100);
        await sql`insert into done values (2)`;
      });
      await pause(50);
      await sql.end();
      await work;
      return (await at.sql`select n from done`).length;
    },
    2,
  ],
  [
    'refuses a transaction by hand',
    async (at) => failure(at.open({ max: 10 })`begin`, 'code'),
    { code: 'UNSAFE_TRANSACTION' },
  ],
  [
    'begins by hand on one connection',
    async ({ sql }) => {
      await sql`begin`;
      const inside = await sql`select 1 as x`;
      await sql`rollback`;
      return [...inside];
    },
    [{ x: 1 }],
  ],
  [
    'prepares a transaction',
    async (at) => {
      await table(at);
      const name = `js ${at.door.database}`;
      await at.sql.begin(async (sql) => {
        await sql`insert into done values (5)`;
        await (sql as unknown as { prepare(name: string): Promise<void> }).prepare(name);
      });
      const before = (await at.sql`select n from done`).length;
      await at.sql.unsafe(`commit prepared '${name}'`);
      return [before, (await at.sql`select n from done`).length];
    },
    [0, 1],
  ],
  [
    'reserves a connection',
    async (at) => {
      const sql = at.open({ max: 2 });
      await sql`select 1`;
      const reserved = await sql.reserve();
      const own = await reserved`select pg_backend_pid() as pid`;
      const again = await reserved`select pg_backend_pid() as pid`;
      const [other] = await sql`select pg_backend_pid() as pid`;
      reserved.release();
      return [own[0]!['pid'] === again[0]!['pid'], own[0]!['pid'] === other!['pid']];
    },
    [true, false],
  ],
];
