import { failure, pause } from '../case.ts';
import { backend, type PgCase } from './place.ts';

export const POOLS: readonly PgCase[] = [
  [
    'runs 2,000 queries on a pool of 10',
    async (at) => {
      const pool = at.pool({ max: 10 });
      const all = await Promise.all(
        Array.from({ length: 2000 }, (_, n) => pool.query<{ n: number }>('select $1::int as n', [n])),
      );
      return [all.every(({ rows }, at) => rows[0]!.n === at), pool.totalCount];
    },
    [true, 10],
  ],
  [
    'makes no more clients than it may',
    async (at) => {
      const pool = at.pool({ max: 3 });
      const pids = await Promise.all(
        Array.from({ length: 30 }, async () => {
          const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid, pg_sleep(0.01)');
          return rows[0]!.pid;
        }),
      );
      return new Set(pids).size;
    },
    3,
  ],
  [
    'replaces a client whose session was terminated',
    async (at) => {
      const pool = at.pool({ max: 1 });
      const first = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
      await at.query('select pg_terminate_backend($1)', [first.rows[0]!.pid]);
      await pause(100);
      const second = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
      return first.rows[0]!.pid !== second.rows[0]!.pid;
    },
    true,
  ],
  [
    'keeps the error of a query out of its other clients',
    async (at) => {
      const pool = at.pool({ max: 2 });
      const all = await Promise.allSettled(
        ['select 1', 'select oops', 'select 2', 'select 1 / 0'].map((text) => pool.query(text)),
      );
      return all.map(({ status }) => status);
    },
    ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
  ],
  [
    'closes idle clients',
    async (at) => {
      const pool = at.pool({ max: 5, idleTimeoutMillis: 50 });
      await Promise.all(Array.from({ length: 5 }, () => pool.query('select pg_sleep(0.02)')));
      await pause(300);
      return [pool.totalCount, (await pool.query('select 1 as n')).rows];
    },
    [0, [{ n: 1 }]],
  ],
  [
    'closes a client after its uses',
    async (at) => {
      const pool = at.pool({ max: 1, maxUses: 2 });
      const pids: number[] = [];
      for (let use = 0; use < 6; use += 1) {
        pids.push((await pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid);
      }
      return new Set(pids).size;
    },
    3,
  ],
  [
    'keeps state of a client between uses',
    async (at) => {
      const pool = at.pool({ max: 1 });
      const client = await pool.connect();
      await client.query('create temp table kept (n int)');
      client.release();
      return (await pool.query('select count(*)::int as n from kept')).rows as unknown;
    },
    [{ n: 0 }],
  ],
  [
    'gives the settings of its clients to each',
    async (at) => {
      const pool = at.pool({ max: 4, application_name: 'pooled', statement_timeout: 5000 });
      const all = await Promise.all(
        Array.from({ length: 4 }, () =>
          pool.query(
            `select current_setting('application_name') as a, current_setting('statement_timeout') as t, pg_sleep(0.05)`,
          ),
        ),
      );
      return all.map(({ rows }) => [(rows[0] as { a: string }).a, (rows[0] as { t: string }).t]);
    },
    Array.from({ length: 4 }, () => ['pooled', '5s']),
  ],
  [
    'prepares statements on each client',
    async (at) => {
      const pool = at.pool({ max: 4 });
      const all = await Promise.all(
        Array.from({ length: 40 }, (_, n) =>
          pool.query<{ n: number }>({ name: 'pooled', text: 'select $1::int as n', values: [n] }),
        ),
      );
      return all.every(({ rows }, at) => rows[0]!.n === at);
    },
    true,
  ],
  [
    'runs transactions side by side',
    async (at) => {
      await at.query('create table sums (n int)');
      const pool = at.pool({ max: 8 });
      await Promise.all(
        Array.from({ length: 40 }, async (_, n) => {
          const client = await pool.connect();
          await client.query('begin');
          await client.query('insert into sums values ($1)', [n]);
          await client.query(n % 2 === 0 ? 'commit' : 'rollback');
          client.release();
        }),
      );
      return at.value('select sum(n)::int from sums');
    },
    380,
  ],
  [
    'waits for a client no longer than it may',
    async (at) => {
      const pool = at.pool({ max: 1, connectionTimeoutMillis: 100 });
      const client = await pool.connect();
      const error = await failure(pool.query('select 1'), 'message');
      client.release();
      return error;
    },
    { message: 'timeout exceeded when trying to connect' },
  ],
  [
    'ends with its clients',
    async (at) => {
      const pool = at.pool({ max: 3 });
      await Promise.all(Array.from({ length: 3 }, () => pool.query('select 1')));
      await pool.end();
      return failure(pool.query('select 1'), 'message');
    },
    { message: 'Cannot use a pool after calling end on the pool' },
  ],
  [
    'hands out clients whose connection works',
    async (at) => {
      const pool = at.pool({
        max: 2,
        verify: (client: { query(text: string): Promise<unknown> }, done: (error?: Error) => void) =>
          void client.query('select 1').then(() => done(), done),
      });
      const client = await pool.connect();
      const pid = await backend(client);
      client.release();
      return pid > 0;
    },
    true,
  ],
  [
    'opens 40 connections at a time',
    async (at) => {
      const clients = await Promise.all(Array.from({ length: 40 }, () => at.connect()));
      const pids = await Promise.all(clients.map((client) => backend(client)));
      return new Set(pids).size;
    },
    40,
  ],
];
