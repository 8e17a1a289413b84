import { failure, pause } from '../case.ts';
import { pending, type JsCase, type JsPlace } from './place.ts';

async function gone(at: JsPlace, pid: unknown): Promise<string> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await at.value('select count(*)::int from pg_stat_activity where pid = $1', [pid])) === 0) return 'gone';
    await pause(20);
  }
  return 'still there';
}

export const CONNECTIONS: readonly JsCase[] = [
  [
    'connects from a URL',
    async (at) => {
      const { default: postgres } = await import('postgres');
      const { host, port, user, password, database } = at.door;
      const secret = password === undefined ? '' : `:${password}`;
      const sql = postgres(
        `postgres://${user}${secret}@${host}:${port}/${database}?application_name=url&search_path=elsewhere`,
        { max: 1 },
      );
      const rows = [
        ...(await sql`select current_setting('application_name') as a, current_setting('search_path') as s`),
      ];
      await sql.end();
      return rows;
    },
    [{ a: 'url', s: 'elsewhere' }],
  ],
  [
    'connects over a Unix socket',
    async (at) => {
      const sql = at.open({ host: undefined, path: `${at.door.socketFolder}/.s.PGSQL.${at.door.port}` });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'connects over a socket of its own making',
    async (at) => {
      const { connect } = await import('node:net');
      const sql = at.open({
        socket: () =>
          new Promise((resolve, reject) => {
            const socket = connect(at.door.port, at.door.host, () => resolve(socket)).on('error', reject);
          }),
      });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'prefers TLS and does without',
    async (at) => {
      const sql = at.open({ ssl: 'prefer' });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  ['uses its database', async (at) => (await at.value('select current_database()')) === at.door.database, true],
  [
    'gives its connection parameters',
    async (at) => {
      const sql = at.open({
        connection: { application_name: 'given', statement_timeout: 4000, TimeZone: 'UTC', IntervalStyle: 'iso_8601' },
      });
      return [
        ...(await sql`select current_setting('application_name') as a, current_setting('statement_timeout') as t, interval '1 day' as i`),
      ];
    },
    [{ a: 'given', t: '4s', i: 'P1D' }],
  ],
  [
    'gives options',
    async (at) => {
      const sql = at.open({ connection: { options: '-c search_path=x,y -c work_mem=1MB' } });
      return [...(await sql`select current_setting('search_path') as s, current_setting('work_mem') as w`)];
    },
    [{ s: 'x,y', w: '1MB' }],
  ],
  [
    'gives an empty parameter',
    async (at) => {
      const sql = at.open({ connection: { application_name: '' } });
      return [...(await sql`select current_setting('application_name') as a`)];
    },
    [{ a: '' }],
  ],
  [
    'uses a function for its password',
    async (at) => {
      const sql = at.open({ password: () => Promise.resolve(at.door.password ?? 'dummy') });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'asks for a writable server',
    async (at) => {
      const sql = at.open({ target_session_attrs: 'read-write' });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'asks for a primary',
    async (at) => [...(await at.open({ target_session_attrs: 'primary' })`select 1 as x`)],
    [{ x: 1 }],
  ],
  [
    'fetches types',
    async (at) => {
      const sql = at.open({ fetch_types: true });
      await sql`select 1`;
      return (await sql`select array[1, 2] as x`)[0]!['x'] as unknown;
    },
    [1, 2],
  ],
  [
    'queries many times before it is connected',
    async (at) => {
      const sql = at.open();
      const all = await Promise.all([sql`select 1 as x`, sql`select 2 as x`, sql`select 3 as x`]);
      return all.map(([row]) => row!['x'] as number);
    },
    [1, 2, 3],
  ],
  [
    'opens as many connections as it needs',
    async (at) => {
      const sql = at.open({ max: 5 });
      const all = await Promise.all(
        Array.from({ length: 5 }, () => sql`select pg_backend_pid() as pid, pg_sleep(0.2)`),
      );
      return new Set(all.map(([row]) => row!['pid'] as number)).size;
    },
    5,
  ],
  [
    'runs 3,000 queries on 10 connections',
    async (at) => {
      const sql = at.open({ max: 10 });
      const all = await Promise.all(Array.from({ length: 3000 }, (_, n) => sql`select ${n}::int as n`));
      return all.every(([row], n) => row!['n'] === n);
    },
    true,
  ],
  [
    'closes an idle connection',
    async (at) => {
      const closed = pending<number>();
      const sql = at.open({ idle_timeout: 0.2, onclose: closed.resolve });
      const [row] = await sql`select pg_backend_pid() as pid`;
      await closed.promise;
      return [await gone(at, row!['pid']), [...(await sql`select 1 as x`)]];
    },
    ['gone', [{ x: 1 }]],
  ],
  [
    'does not close a connection in use',
    async (at) => {
      const sql = at.open({ idle_timeout: 0.1 });
      return [...(await sql`select 1 as x, pg_sleep(0.4)::text as s`)];
    },
    [{ x: 1, s: '' }],
  ],
  [
    'renews a connection at the end of its life',
    async (at) => {
      const sql = at.open({ max_lifetime: 0.1 });
      const pid = async () => (await sql`select pg_backend_pid() as pid`)[0]!['pid'] as number;
      const first = await pid();
      await pause(300);
      return first === (await pid());
    },
    false,
  ],
  [
    'reconnects after its session was terminated',
    async (at) => {
      const sql = at.open();
      const [{ pid }] = (await sql`select pg_backend_pid() as pid`) as unknown as [{ pid: number }];
      await at.value('select pg_terminate_backend($1)', [pid]);
      await pause(100);
      const [again] = await sql`select pg_backend_pid() as pid`;
      return again!['pid'] !== pid;
    },
    true,
  ],
  [
    'keeps using its other connections when one ends',
    async (at) => {
      const sql = at.open({ max: 3 });
      const rows = await Promise.all(
        Array.from({ length: 3 }, () => sql`select pg_backend_pid() as pid, pg_sleep(0.1)`),
      );
      await at.value('select pg_terminate_backend($1)', [rows[0]![0]!['pid']]);
      await pause(100);
      const all = await Promise.all(Array.from({ length: 30 }, () => sql`select 1 as x`));
      return all.length;
    },
    30,
  ],
  [
    'ends once its queries are done',
    async (at) => {
      const sql = at.open();
      const query = sql`select 1 as x, pg_sleep(0.2)::text as s`.execute();
      await sql.end();
      return [...(await query)];
    },
    [{ x: 1, s: '' }],
  ],
  [
    'ends after its patience',
    async (at) => {
      const sql = at.open();
      const error = failure(sql`select pg_sleep(30)`, 'code');
      await pause(100);
      await sql.end({ timeout: 0.1 });
      return error;
    },
    { code: 'CONNECTION_DESTROYED' },
  ],
  [
    'refuses queries once it has ended',
    async (at) => {
      const sql = at.open();
      await sql.end();
      return failure(sql`select 1`, 'code');
    },
    { code: 'CONNECTION_ENDED' },
  ],
  [
    'leaves no session behind',
    async (at) => {
      const sql = at.open();
      const [row] = await sql`select pg_backend_pid() as pid`;
      await sql.end();
      return gone(at, row!['pid']);
    },
    'gone',
  ],
  [
    'leaves no running session behind when it is destroyed',
    async (at) => {
      const sql = at.open();
      const [row] = await sql`select pg_backend_pid() as pid`;
      const query = failure(sql`select pg_sleep(0.5)`, 'code');
      await pause(50);
      await sql.end({ timeout: 0 });
      return [await query, await gone(at, row!['pid'])];
    },
    [{ code: 'CONNECTION_DESTROYED' }, 'gone'],
  ],
];
