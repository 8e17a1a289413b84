import { failure, pause } from '../case.ts';
import { next, type PgCase, type PgPlace } from './place.ts';

const FIELDS = ['severity', 'code', 'message', 'position', 'routine'] as const;

async function sqlError(at: PgPlace, text: string, values?: unknown[], ...fields: string[]): Promise<unknown> {
  return failure(at.query(text, values), ...(fields.length > 0 ? fields : ['severity', 'code', 'message']));
}

async function notices(at: PgPlace, text: string): Promise<unknown[]> {
  const client = await at.client();
  const seen: unknown[] = [];
  client.on('notice', ({ severity, code, message, detail, hint }) =>
    seen.push([severity, code, message, detail, hint]),
  );
  await client.query(text);
  return seen;
}

export const ERRORS: readonly PgCase[] = [
  [
    'reports a syntax error with its position',
    (at) => sqlError(at, 'select from where', undefined, ...FIELDS),
    {
      severity: 'ERROR',
      code: '42601',
      message: 'syntax error at or near "where"',
      position: '13',
      routine: 'scanner_yyerror',
    },
  ],
  [
    'reports an error of a prepared statement',
    (at) => sqlError(at, 'select $1::int', ['x']),
    {
      severity: 'ERROR',
      code: '22P02',
      message: 'invalid input syntax for type integer: "x"',
    },
  ],
  [
    'reports a missing table',
    (at) => sqlError(at, 'select * from nowhere'),
    {
      severity: 'ERROR',
      code: '42P01',
      message: 'relation "nowhere" does not exist',
    },
  ],
  [
    'reports a hint',
    (at) => sqlError(at, 'select sum(n) from (values (1)) v(m)', undefined, 'code', 'hint', 'message'),
    {
      code: '42703',
      hint: undefined,
      message: 'column "n" does not exist',
    },
  ],
  [
    'reports the constraint, table and schema of a violation',
    async (at) => {
      await at.query('create table held (id int constraint held_key primary key)');
      await at.query('insert into held values (1)');
      return sqlError(at, 'insert into held values (1)', undefined, 'code', 'constraint', 'table', 'schema', 'detail');
    },
    { code: '23505', constraint: 'held_key', table: 'held', schema: 'public', detail: 'Key (id)=(1) already exists.' },
  ],
  [
    'reports the column of a violation',
    async (at) => {
      await at.query('create temp table filled (word text not null)');
      return sqlError(at, 'insert into filled values (null)', undefined, 'code', 'column', 'table');
    },
    { code: '23502', column: 'word', table: 'filled' },
  ],
  [
    'reports every field of a raised error',
    (at) =>
      sqlError(
        at,
        `do $$ begin raise exception 'out' using errcode = 'AB123', detail = 'in', hint = 'up', column = 'c', datatype = 'd', table = 't', schema = 's', constraint = 'k'; end $$`,
        undefined,
        'code',
        'message',
        'detail',
        'hint',
        'column',
        'dataType',
        'table',
        'schema',
        'constraint',
        'where',
      ),
    {
      code: 'AB123',
      message: 'out',
      detail: 'in',
      hint: 'up',
      column: 'c',
      dataType: 'd',
      table: 't',
      schema: 's',
      constraint: 'k',
      where: 'PL/pgSQL function inline_code_block line 1 at RAISE',
    },
  ],
  [
    'reports an internal query',
    (at) =>
      sqlError(
        at,
        `do $$ begin execute 'select nothing'; end $$`,
        undefined,
        'code',
        'internalQuery',
        'internalPosition',
      ),
    { code: '42703', internalQuery: 'select nothing', internalPosition: '8' },
  ],
  [
    'reports an error of 100,000 characters',
    async (at) => {
      const { message } = await failure(
        at.query(`do $$ begin raise exception '%', repeat('e', 100000); end $$`),
        'message',
      );
      return (message as string).length;
    },
    100_000,
  ],
  [
    'lives on after an error',
    async (at) => {
      await sqlError(at, 'select nope');
      return at.value('select 1');
    },
    1,
  ],
  [
    'hears a notice',
    (at) => notices(at, `do $$ begin raise notice 'hear' using detail = 'me', hint = 'now'; end $$`),
    [['NOTICE', '00000', 'hear', 'me', 'now']],
  ],
  [
    'hears a warning',
    (at) => notices(at, 'rollback'),
    [['WARNING', '25P01', 'there is no transaction in progress', undefined, undefined]],
  ],
  [
    'hears 1,000 notices',
    async (at) => (await notices(at, `do $$ begin for n in 1..1000 loop raise notice '%', n; end loop; end $$`)).length,
    1000,
  ],
  [
    'filters notices by client_min_messages',
    async (at) => {
      await at.query('set client_min_messages = error');
      return notices(at, `do $$ begin raise notice 'quiet'; end $$`);
    },
    [],
  ],
  [
    'refuses a database that does not exist',
    (at) => failure(at.connect({ database: 'no_such_database' }), 'code', 'severity', 'message'),
    { code: '3D000', severity: 'FATAL', message: 'database "no_such_database" does not exist' },
  ],
  [
    'refuses a parameter that does not exist',
    (at) => failure(at.connect({ options: '-c no_such_setting=1' }), 'code', 'severity', 'message'),
    { code: '42704', severity: 'FATAL', message: 'unrecognized configuration parameter "no_such_setting"' },
  ],
  [
    'refuses a value of an option',
    (at) => failure(at.connect({ options: '-c work_mem=much' }), 'code', 'severity'),
    {
      code: '22023',
      severity: 'FATAL',
    },
  ],
  [
    'emits the error of a query object',
    async (at) => {
      const client = await at.client();
      const { Query } = await import('pg');
      const query = client.query(new Query({ text: 'select oops' }));
      return ((await next(query, 'error')) as { code: string }).code;
    },
    '42703',
  ],
  [
    'refuses values that cannot be sent',
    async (at) => {
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      const first = await failure(at.query('select $1::jsonb', [circle]), 'name');
      return [first, await at.value('select 2')];
    },
    [{ name: 'TypeError' }, 2],
  ],
  [
    'ends a transaction in failure until it is rolled back',
    async (at) => {
      await at.query('begin');
      await sqlError(at, 'select oops');
      const aborted = await sqlError(at, 'select 1');
      await at.query('rollback');
      return [aborted, await at.value('select 2')];
    },
    [
      {
        severity: 'ERROR',
        code: '25P02',
        message: 'current transaction is aborted, commands ignored until end of transaction block',
      },
      2,
    ],
  ],
  [
    'commits, rolls back and keeps savepoints',
    async (at) => {
      await at.query('create temp table saved (n int)');
      for (const text of [
        'begin',
        'insert into saved values (1)',
        'savepoint a',
        'insert into saved values (2)',
        'rollback to a',
        'insert into saved values (3)',
        'commit',
        'begin',
        'insert into saved values (4)',
        'rollback',
      ])
        await at.query(text);
      return at.rows('select n from saved order by n');
    },
    [{ n: 1 }, { n: 3 }],
  ],
  [
    'knows whether a transaction is open',
    async (at) => {
      const client = await at.client();
      const seen: string[] = [];
      for (const text of ['select 1', 'begin', 'select oops', 'rollback']) {
        await client.query(text).catch(() => undefined);
        // An error is told before the state that it leaves.
        await pause(50);
        seen.push((client as unknown as { getTransactionStatus(): string }).getTransactionStatus());
      }
      return seen;
    },
    ['I', 'T', 'E', 'I'],
  ],
  [
    'prepares a transaction for two-phase commit',
    async (at) => {
      await at.query('create table twice (n int)');
      for (const text of ['begin', 'insert into twice values (1)', `prepare transaction 'compare ${at.door.database}'`])
        await at.query(text);
      const before = await at.value('select count(*)::int from twice');
      await at.query(`commit prepared 'compare ${at.door.database}'`);
      return [before, await at.value('select count(*)::int from twice')];
    },
    [0, 1],
  ],
  [
    'detects a deadlock',
    async (at) => {
      await at.query('create table locked (id int primary key)');
      await at.query('insert into locked values (1), (2)');
      const [first, second] = [await at.connect(), await at.connect()];
      for (const [client, id] of [
        [first, 1],
        [second, 2],
      ] as const) {
        await client.query('begin');
        await client.query('select 1 from locked where id = $1 for update', [id]);
      }
      const both = await Promise.allSettled([
        first.query('select 1 from locked where id = 2 for update'),
        second.query('select 1 from locked where id = 1 for update').finally(() => second.query('rollback')),
      ]);
      return both
        .filter(({ status }) => status === 'rejected')
        .map((one) => (one as { reason: { code: string } }).reason.code);
    },
    ['40P01'],
  ],
];
