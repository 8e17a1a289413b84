import { Client } from 'pg';
import { failure, pause } from '../case.ts';
import { backend, next, type PgCase, type PgPlace } from './place.ts';

/** A setting as a client with that configuration has it. */
async function setting(
  at: PgPlace,
  name: string,
  config: ConstructorParameters<typeof Client>[0] & object,
): Promise<unknown> {
  const client = await at.connect(config);
  return (await client.query<{ s: string }>('select current_setting($1) as s', [name])).rows[0]!.s;
}

/** Parameter values as the server reported them. */
async function reported(at: PgPlace, names: readonly string[], config = {}, then = 'select 1'): Promise<unknown> {
  const client = at.build(config);
  const seen: Record<string, string> = {};
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
  connection.on('parameterStatus', (report: { parameterName: string; parameterValue: string }) => {
    seen[report.parameterName] = report.parameterValue;
  });
  await client.connect();
  await client.query(then);
  return Object.fromEntries(names.map((name) => [name, seen[name]]));
}

async function cancelled(at: PgPlace, victim: Client, work: Promise<unknown>): Promise<unknown> {
  await pause(100);
  const canceller = new Client(at.config());
  const { connection } = canceller as unknown as { connection: CancelConnection };
  const { processID, secretKey } = victim as unknown as { processID: number; secretKey: number };
  connection.on('connect', () => connection.cancel(processID, secretKey));
  connection.on('error', () => undefined);
  connection.connect(at.door.port, at.door.host);
  const ended = next(connection, 'end');
  const error = await failure(work, 'code', 'message');
  await ended;
  return error;
}

interface CancelConnection extends NodeJS.EventEmitter {
  connect(port: number, host: string): void;
  cancel(processID: number, secretKey: number): void;
}

const CANCELLED = { code: '57014', message: 'canceling statement due to user request' };

export const SESSIONS: readonly PgCase[] = [
  [
    'connects to the database it names',
    async (at) => (await at.value('select current_database()')) === at.door.database,
    true,
  ],
  ['is the role that the service gives', (at) => at.value('select current_user::text'), 'app'],
  [
    'connects from a URL',
    async (at) => {
      const { host, port, user, password, database } = at.door;
      const client = new Client(
        `postgres://${user}${password === undefined ? '' : `:${password}`}@${host}:${port}/${database}?application_name=from%20url`,
      );
      await client.connect();
      const { rows } = await client.query<{ s: string }>(`select current_setting('application_name') as s`);
      await client.end();
      return rows[0]!.s;
    },
    'from url',
  ],
  [
    'connects over a Unix socket',
    async (at) => {
      const client = await at.connect({ host: at.door.socketFolder });
      return (await client.query('select 1 as n')).rows as unknown;
    },
    [{ n: 1 }],
  ],
  [
    'calls back when it is connected',
    async (at) => {
      const client = at.build();
      await new Promise<void>((resolve, reject) =>
        client.connect((error?: Error) => (error ? reject(error) : resolve())),
      );
      return (await client.query('select 1 as n')).rows as unknown;
    },
    [{ n: 1 }],
  ],
  [
    'queues queries before it is connected',
    async (at) => {
      const client = at.build();
      const early = client.query('select 1 as n');
      await client.connect();
      return (await early).rows as unknown;
    },
    [{ n: 1 }],
  ],
  [
    'takes an application name',
    (at) => setting(at, 'application_name', { application_name: 'compare me' }),
    'compare me',
  ],
  [
    'takes a fallback application name',
    (at) => setting(at, 'application_name', { fallback_application_name: 'fallback' }),
    'fallback',
  ],
  [
    'takes an application name of other letters',
    (at) => setting(at, 'application_name', { application_name: `it's "x" = \\y` }),
    `it's "x" = \\y`,
  ],
  ['takes options', (at) => setting(at, 'search_path', { options: '-c search_path=one,two -c geqo=off' }), 'one,two'],
  [
    'takes options with escaped blanks',
    (at) => setting(at, 'search_path', { options: '-c search_path=one,\\ two' }),
    'one, two',
  ],
  ['takes a client encoding', (at) => setting(at, 'client_encoding', { client_encoding: 'UTF8' }), 'UTF8'],
  ['takes a statement timeout', (at) => setting(at, 'statement_timeout', { statement_timeout: 1234 }), '1234ms'],
  ['takes a lock timeout', (at) => setting(at, 'lock_timeout', { lock_timeout: 2500 }), '2500ms'],
  [
    'takes a timeout of idle transactions',
    (at) => setting(at, 'idle_in_transaction_session_timeout', { idle_in_transaction_session_timeout: 3000 }),
    '3s',
  ],
  [
    'takes a time zone and date style from the options',
    (at) => reported(at, ['TimeZone', 'DateStyle'], { options: '-c TimeZone=Asia/Tokyo -c DateStyle=German' }),
    { TimeZone: 'Asia/Tokyo', DateStyle: 'German, DMY' },
  ],
  [
    'hears the parameters of the server',
    (at) =>
      reported(at, [
        'server_encoding',
        'integer_datetimes',
        'standard_conforming_strings',
        'is_superuser',
        'session_authorization',
      ]),
    {
      server_encoding: 'UTF8',
      integer_datetimes: 'on',
      standard_conforming_strings: 'on',
      is_superuser: 'off',
      session_authorization: 'app',
    },
  ],
  [
    'hears a parameter that changes',
    (at) =>
      reported(
        at,
        ['application_name', 'client_encoding'],
        {},
        `set application_name = 'changed'; set client_encoding = 'LATIN1'`,
      ),
    { application_name: 'changed', client_encoding: 'LATIN1' },
  ],
  [
    'speaks LATIN1',
    async (at) => {
      await at.query(`set client_encoding = 'LATIN1'`);
      return at.value(`select length(convert_to('abc', 'UTF8')) || current_setting('client_encoding')`);
    },
    '3LATIN1',
  ],
  [
    'keeps its settings between queries',
    async (at) => {
      await at.query(`set search_path = 'elsewhere'`);
      return at.value('show search_path');
    },
    'elsewhere',
  ],
  [
    'cancels a running query',
    async (at) => {
      const client = await at.client();
      const error = await cancelled(at, client, client.query('select pg_sleep(30)'));
      return [error, await at.value('select 1')];
    },
    [CANCELLED, 1],
  ],
  [
    'cancels a prepared query',
    async (at) => {
      const client = await at.client();
      return cancelled(at, client, client.query({ name: 'sleep', text: 'select pg_sleep($1)', values: [30] }));
    },
    CANCELLED,
  ],
  [
    'cancels one of two sessions',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      const other = second.query(`select pg_sleep(0.5), 'slept' as word`);
      const error = await cancelled(at, first, first.query('select pg_sleep(30)'));
      return [error, (await other).rows.map((row: { word: string }) => row.word)];
    },
    [CANCELLED, ['slept']],
  ],
  [
    'cancels by pg_cancel_backend',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      const pid = await backend(first);
      const error = failure(first.query('select pg_sleep(30)'), 'code');
      await pause(100);
      await second.query('select pg_cancel_backend($1)', [pid]);
      return error;
    },
    { code: '57014' },
  ],
  [
    'hears that its session was terminated',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      const pid = await backend(first);
      const ended = next(first, 'end');
      const error = failure(first.query('select pg_sleep(30)'), 'code', 'severity', 'message');
      await pause(100);
      await second.query('select pg_terminate_backend($1)', [pid]);
      return [await error, ((await ended) as unknown) ?? 'ended'];
    },
    [{ code: '57P01', severity: 'FATAL', message: 'terminating connection due to administrator command' }, 'ended'],
  ],
  [
    'hears of its end while it rests',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      const heard = next<{ code: string }>(first, 'error');
      await second.query('select pg_terminate_backend($1)', [await backend(first)]);
      return (await heard).code;
    },
    '57P01',
  ],
  [
    'terminates itself',
    async (at) => {
      const client = await at.connect();
      return failure(client.query('select pg_terminate_backend(pg_backend_pid())'), 'code');
    },
    { code: '57P01' },
  ],
  [
    'is refused after its session was terminated',
    async (at) => {
      const client = await at.connect();
      await failure(client.query('select pg_terminate_backend(pg_backend_pid())'));
      await pause(50);
      return failure(client.query('select 1'), 'message');
    },
    { message: 'Client has encountered a connection error and is not queryable' },
  ],
  [
    'ends a statement at its timeout',
    async (at) => {
      const client = await at.connect({ statement_timeout: 100 });
      return failure(client.query('select pg_sleep(30)'), 'code', 'message');
    },
    { code: '57014', message: 'canceling statement due to statement timeout' },
  ],
  [
    'ends a query at the timeout of the client',
    async (at) => {
      const client = await at.connect({ query_timeout: 100 });
      return failure(client.query('select pg_sleep(1)'), 'message');
    },
    { message: 'Query read timeout' },
  ],
  [
    'is ended in an idle transaction',
    async (at) => {
      const client = await at.connect({ idle_in_transaction_session_timeout: 100 });
      const heard = next<{ code: string }>(client, 'error');
      await client.query('begin');
      return (await heard).code;
    },
    '25P03',
  ],
  [
    'ends with its pipelined queries done',
    async (at) => {
      const client = await at.connect({ pipeline: true });
      const last = client.query(`select pg_sleep(0.1), 'done' as word`);
      const [{ rows }] = await Promise.all([last, client.end()]);
      return rows.map((row: { word: string }) => row.word);
    },
    ['done'],
  ],
  [
    'leaves nothing behind when it ends',
    async (at) => {
      const client = await at.connect();
      const pid = await backend(client);
      await client.end();
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await at.value('select count(*)::int from pg_stat_activity where pid = $1', [pid])) === 0) return 'gone';
        await pause(20);
      }
      return 'still there';
    },
    'gone',
  ],
  [
    'leaves nothing behind when its socket is destroyed',
    async (at) => {
      const client = await at.connect();
      const pid = await backend(client);
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await at.value('select count(*)::int from pg_stat_activity where pid = $1', [pid])) === 0) return 'gone';
        await pause(20);
      }
      return 'still there';
    },
    'gone',
  ],
  [
    'refuses queries once it has ended',
    async (at) => {
      const client = await at.connect();
      await client.end();
      return failure(client.query('select 1'), 'message');
    },
    { message: 'Client was closed and is not queryable' },
  ],
  [
    'connects and ends at once, many times',
    async (at) => {
      for (let times = 0; times < 50; times += 1) await (await at.connect()).end();
      return at.value('select 1');
    },
    1,
  ],
  [
    'listens and is notified',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      await first.query('listen "Some Channel"');
      const heard = next<{ channel: string; payload: string; processId: number }>(first, 'notification');
      await second.query(`notify "Some Channel", 'it''s here'`);
      const { channel, payload, processId } = await heard;
      return [channel, payload, processId === (await backend(second))];
    },
    ['Some Channel', `it's here`, true],
  ],
  [
    'is notified with 7,999 bytes',
    async (at) => {
      const client = await at.client();
      await client.query('listen large');
      const heard = next<{ payload: string }>(client, 'notification');
      await client.query(`select pg_notify('large', repeat('n', 7999))`);
      return (await heard).payload?.length;
    },
    7999,
  ],
  [
    'is notified 1,000 times in order',
    async (at) => {
      const client = await at.client();
      const seen: number[] = [];
      await client.query('listen often');
      client.on('notification', ({ payload }) => seen.push(Number(payload)));
      await client.query(`select pg_notify('often', n::text) from generate_series(1, 1000) n`);
      await client.query('select 1');
      return [seen.length, seen.every((n, at) => n === at + 1)];
    },
    [1000, true],
  ],
  [
    'holds advisory locks for its session',
    async (at) => {
      const [first, second] = [await at.connect(), await at.connect()];
      const key = [...at.door.database].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 1_000_000;
      await first.query('select pg_advisory_lock($1)', [key]);
      const attempt = async (): Promise<unknown> =>
        (await second.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [key])).rows[0]!.got;
      const before = await attempt();
      await first.end();
      await pause(100);
      return [before, await attempt()];
    },
    [false, true],
  ],
];
