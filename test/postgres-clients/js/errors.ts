import { failure, pause } from '../case.ts';
import type { JsCase } from './place.ts';

export const ERRORS: readonly JsCase[] = [
  [
    'throws a syntax error',
    ({ sql }) => failure(sql`wat`, 'name', 'code', 'severity', 'message', 'position'),
    {
      name: 'PostgresError',
      code: '42601',
      severity: 'ERROR',
      message: 'syntax error at or near "wat"',
      position: '1',
    },
  ],
  [
    'throws what a constraint refuses',
    async ({ sql }) => {
      await sql`create temp table t (n int constraint n_once unique)`;
      await sql`insert into t values (1)`;
      return failure(sql`insert into t values (1)`, 'code', 'constraint_name', 'table_name', 'detail');
    },
    { code: '23505', constraint_name: 'n_once', table_name: 't', detail: 'Key (n)=(1) already exists.' },
  ],
  [
    'throws every field of an error',
    ({ sql }) =>
      failure(
        sql.unsafe(
          `do $$ begin raise exception 'out' using errcode = 'XY123', detail = 'in', hint = 'up', column = 'c', schema = 's'; end $$`,
        ),
        'code',
        'message',
        'detail',
        'hint',
        'column_name',
        'schema_name',
        'where',
      ),
    {
      code: 'XY123',
      message: 'out',
      detail: 'in',
      hint: 'up',
      column_name: 'c',
      schema_name: 's',
      where: 'PL/pgSQL function inline_code_block line 1 at RAISE',
    },
  ],
  [
    'throws an error with its query',
    async (at) => {
      const sql = at.open({ debug: true });
      return failure(sql`select ${1}::int + oops`, 'query', 'args');
    },
    { query: 'select $1::int + oops', args: [1] },
  ],
  [
    'lives on after an error',
    async ({ sql }) => {
      await failure(sql`select oops`);
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
  [
    'throws on a database that does not exist',
    (at) => failure(at.open({ database: 'no_such' })`select 1`, 'code', 'message'),
    {
      code: '3D000',
      message: 'database "no_such" does not exist',
    },
  ],
  [
    'throws on a setting that does not exist',
    (at) => failure(at.open({ connection: { no_such_setting: 1 } })`select 1`, 'code', 'message'),
    { code: '42704', message: 'unrecognized configuration parameter "no_such_setting"' },
  ],
  [
    'throws when a value cannot be written',
    async ({ sql }) => {
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      const error = await failure(sql`select ${sql.json(circle as never)}`, 'name');
      return [error, [...(await sql`select 1 as x`)]];
    },
    [{ name: 'TypeError' }, [{ x: 1 }]],
  ],
  [
    'throws when a value cannot be read',
    async (at) => {
      const sql = at.open({
        types: {
          bad: {
            to: 25,
            from: [25],
            serialize: (x: unknown) => x,
            parse: () => {
              throw new Error('unread');
            },
          },
        },
      });
      const error = await failure(sql`select 'x'::text as x`, 'message');
      return [error, [...(await sql`select 1 as x`)]];
    },
    [{ message: 'unread' }, [{ x: 1 }]],
  ],
  [
    'is told notices',
    async (at) => {
      const seen: unknown[] = [];
      const sql = at.open({
        onnotice: ({ severity, message, code }: Record<string, string>) => seen.push([severity, message, code]),
      });
      await sql.unsafe(`do $$ begin raise notice 'hear'; raise warning 'ye'; end $$`);
      return seen;
    },
    [
      ['NOTICE', 'hear', '00000'],
      ['WARNING', 'ye', '01000'],
    ],
  ],
  [
    'is told parameters',
    async (at) => {
      const seen: Record<string, unknown> = {};
      const sql = at.open({
        onparameter: (name: string, value: unknown) => (seen[name] = value),
        connection: { application_name: 'told' },
      });
      await sql`set client_encoding = 'LATIN1'`;
      await sql`select 1`;
      return [seen['application_name'], seen['client_encoding'], sql.parameters?.['server_encoding']];
    },
    ['told', 'LATIN1', 'UTF8'],
  ],
  [
    'cancels a running query',
    async ({ sql }) => {
      const query = sql`select pg_sleep(30)`;
      const error = failure(query, 'code', 'message');
      await pause(100);
      query.cancel();
      return [await error, [...(await sql`select 1 as x`)]];
    },
    [{ code: '57014', message: 'canceling statement due to user request' }, [{ x: 1 }]],
  ],
  [
    'cancels a piped query',
    async ({ sql }) => {
      await sql`select 1`;
      const last = sql`select pg_sleep(0.2)`.execute();
      const query = sql`select pg_sleep(30)`.execute();
      const error = failure(query, 'code');
      await pause(400);
      query.cancel();
      await last;
      return error;
    },
    { code: '57014' },
  ],
  [
    'cancels a queued query',
    async ({ sql }) => {
      const last = sql`select pg_sleep(0.3)`.execute();
      const query = sql`select pg_sleep(30) as queued`;
      const error = failure(query, 'code');
      await pause(50);
      query.cancel();
      await last;
      return error;
    },
    { code: '57014' },
  ],
  [
    'cancels many queries',
    async (at) => {
      const sql = at.open({ max: 5 });
      const queries = Array.from({ length: 5 }, () => sql`select pg_sleep(30)`.execute());
      const errors = queries.map((query) => failure(query, 'code'));
      await pause(300);
      for (const query of queries) query.cancel();
      return Promise.all(errors);
    },
    Array.from({ length: 5 }, () => ({ code: '57014' })),
  ],
  [
    'throws at a statement timeout',
    async (at) => {
      const sql = at.open({ connection: { statement_timeout: 100 } });
      return failure(sql`select pg_sleep(30)`, 'code');
    },
    { code: '57014' },
  ],
  [
    'throws when its session is terminated',
    async (at) => {
      const [{ pid }] = (await at.sql`select pg_backend_pid() as pid`) as unknown as [{ pid: number }];
      const error = failure(at.sql`select pg_sleep(30)`, 'code');
      await pause(100);
      await at.open()`select pg_terminate_backend(${pid})`;
      return error;
    },
    { code: 'CONNECTION_CLOSED' },
  ],
  [
    'throws when the connection takes too long',
    async (at) => {
      const { createServer } = await import('node:net');
      const silent = createServer(() => undefined).listen(0, '127.0.0.1');
      await new Promise((resolve) => silent.once('listening', resolve));
      const { port } = silent.address() as { port: number };
      const error = await failure(at.open({ port, connect_timeout: 0.2 })`select 1`, 'code');
      silent.close();
      return error;
    },
    { code: 'CONNECT_TIMEOUT' },
  ],
  ['throws when nobody listens', (at) => failure(at.open({ port: 1 })`select 1`, 'code'), { code: 'ECONNREFUSED' }],
  [
    'turns to the next host',
    async (at) => {
      const sql = at.open({ host: ['127.0.0.1', at.door.host], port: [1, at.door.port] });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ],
];
