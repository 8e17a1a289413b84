import type pg from 'pg';
import { expect, test } from 'vitest';
import {
  connectClient,
  refusalOf,
  startPostgresSidecar,
  whoAmI,
  type Heard,
  type PostgresService,
} from './postgres/rig.ts';
import { usePostgres } from './postgres/server.ts';
import { eventually } from './rig.ts';

/** What ends a connection that is logged in, and what does not: reload, rules, age, drain. */

const server = usePostgres({ setup: ['create database other'] });

function service(config: Readonly<Record<string, unknown>> = {}): PostgresService {
  const { port, superuser, password } = server();
  return { credentials: { host: '127.0.0.1', port: String(port), username: superuser, password }, config };
}

/** What the client hears when its connection ends without having asked for anything. */
function ending(client: pg.Client): Promise<Heard> {
  return refusalOf(new Promise((_, reject) => void client.once('error', reject)));
}

const ROW = { rows: [{ one: 1 }] };

test('a running connection outlives a reload, and new ones get the new configuration', async () => {
  const rig = await startPostgresSidecar({ db: service() });
  const old = await connectClient(rig.port('db'));
  await rig.rewrite(rig.text({ db: service({ database: 'other' }) }));
  expect(await old.query('select 1 as one')).toMatchObject(ROW);
  expect(await whoAmI(rig.port('db'))).toBe('postgres@other, tls');
  expect(await old.query('select 1 as one')).toMatchObject(ROW);
});

test('a reload whose rules no longer allow a connection ends it when it rests, with 57P01', async () => {
  const rig = await startPostgresSidecar({ db: service() });
  const resting = await connectClient(rig.port('db'));
  const working = await connectClient(rig.port('db'), { database: 'other' });
  await working.query('begin');
  const heard = ending(resting);
  await rig.rewrite(rig.text({ db: service() }, 'rules: [{ id: late, effect: deny }]'));
  expect(await heard).toMatchObject({
    code: '57P01',
    severity: 'FATAL',
    detail: expect.stringContaining('correlation id') as string,
  });
  // In a transaction it does not rest.
  expect(await working.query('select 1 as one')).toMatchObject(ROW);
  const last = ending(working);
  await working.query('commit');
  expect(await last).toMatchObject({ code: '57P01' });
  expect(await refusalOf(whoAmI(rig.port('db')))).toMatchObject({ code: '42501' });
  await eventually(() => rig.events('connection.closed').length === 2);
  expect(rig.events('connection.closed').map(({ reason }) => reason)).toEqual(['grant-ended', 'grant-ended']);
});

test('work of a connection that is no longer allowed is cut when the time to drain is over', async () => {
  const rig = await startPostgresSidecar({ db: service() }, 'limits: { drain: 1s }');
  const working = await connectClient(rig.port('db'));
  const cut = refusalOf(working.query("select 'to be cut', pg_sleep(30)"));
  await eventually(() => isRunning('to be cut'));
  const begun = performance.now();
  await rig.rewrite(rig.text({ db: service() }, 'limits: { drain: 1s }\nrules: [{ id: late, effect: deny }]'));
  await cut;
  expect(performance.now() - begun).toBeGreaterThan(900);
  expect(performance.now() - begun).toBeLessThan(5000);
  await eventually(() => rig.events('connection.closed').length === 1);
  expect(rig.events('connection.closed')).toMatchObject([{ reason: 'grant-ended' }]);
});

async function isRunning(mark: string): Promise<boolean> {
  const found = await server().sql(
    `select 1 from pg_stat_activity where query like '%${mark}%' and pid <> pg_backend_pid() and state = 'active'`,
  );
  return found.length > 0;
}

test('a connection that reaches its greatest age is ended when it rests, with 57P01', async () => {
  const rig = await startPostgresSidecar({ db: service({ maxConnectionAge: '1s' }) });
  const begun = performance.now();
  const [resting, working] = [await connectClient(rig.port('db')), await connectClient(rig.port('db'))];
  const heard = ending(resting);
  const busy = working.query('select pg_sleep(1.5), 1 as one');
  expect(await heard).toMatchObject({ code: '57P01', severity: 'FATAL' });
  expect(performance.now() - begun).toBeGreaterThan(900);
  const last = ending(working);
  expect((await busy).rows).toMatchObject([{ one: 1 }]);
  expect(performance.now() - begun).toBeGreaterThan(1400);
  expect(await last).toMatchObject({ code: '57P01' });
});

test('draining ends what rests with 57P01, lets a query finish, and turns new logins away', async () => {
  const rig = await startPostgresSidecar({ db: service() }, 'limits: { drain: 10s }');
  const [resting, working] = [await connectClient(rig.port('db')), await connectClient(rig.port('db'))];
  const port = rig.port('db');
  const [heard, last] = [ending(resting), ending(working)];
  const busy = working.query('select pg_sleep(1), 1 as one');
  await eventually(() => isRunning('pg_sleep(1), 1'));
  const drained = rig.sidecar.drain();
  expect(await heard).toMatchObject({ code: '57P01', severity: 'FATAL' });
  await refusalOf(whoAmI(port));
  expect((await busy).rows).toMatchObject([{ one: 1 }]);
  expect(await last).toMatchObject({ code: '57P01' });
  await drained;
  expect(rig.events('sidecar.stopped')).toMatchObject([{ reason: 'drained' }]);
});

test('rules decide by database, program and replication, and a denial is 42501 with the rule', async () => {
  const rules = `rules:
  - { id: no-other, effect: deny, databases: [oth*] }
  - { id: no-replication, effect: deny, replication: true }
  - { id: only-reports, effect: allow, applications: [reports] }`;
  const rig = await startPostgresSidecar({ db: service() }, rules);
  const port = rig.port('db');
  expect(await whoAmI(port, { application_name: 'reports' })).toBe('postgres@postgres, tls');
  const denied = async (config: object): Promise<Heard> =>
    await refusalOf(whoAmI(port, { application_name: 'reports', ...config }));
  const other = await denied({ database: 'other' });
  expect(other).toMatchObject({ code: '42501', severity: 'FATAL', message: 'policy does not allow this use' });
  expect(other.detail).toMatch(/^correlation id [0-9a-f]{16}, rule no-other$/);
  // node-postgres sends what is in `replication` as a startup parameter.
  expect((await denied({ replication: 'database' })).detail).toMatch(/rule no-replication$/);
  expect(await denied({ application_name: 'psql' })).toMatchObject({ code: '42501' });
  expect(rig.events('decision').map(({ result, rule }) => [result, rule])).toEqual([
    ['allow', 'only-reports'],
    ['deny', 'no-other'],
    ['deny', 'no-replication'],
    ['deny', 'default-deny'],
  ]);
});
