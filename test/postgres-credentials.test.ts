import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { canary } from './canary.ts';
import { connectClient, refusalOf, startPostgresSidecar, whoAmI, type PostgresService } from './postgres/rig.ts';
import { usePostgres } from './postgres/server.ts';
import { temporaryFolder } from './rig.ts';

/** Credentials that change while the sidecar runs, and what the ledger says of their use. */

const server = usePostgres({ settings: { log_connections: 'on', log_line_prefix: '%m ' } });

interface Rotating {
  readonly service: PostgresService;
  /** A new password on the server, and what the provider says from now on. */
  readonly rotate: (password: string, told?: string) => Promise<void>;
}

/** A role whose password comes from a file and is cached for an hour. */
async function rotating(role: string): Promise<Rotating> {
  const file = join(temporaryFolder(), 'password');
  const rotate = async (password: string, told = password): Promise<void> => {
    await server().sql(`alter role ${role} password '${password}'`);
    writeFileSync(file, told, { mode: 0o600 });
  };
  await server().sql(`create role ${role} login`);
  await rotate(canary());
  const credentials = { host: '127.0.0.1', port: String(server().port), username: role };
  return { service: { credentials: { ...credentials, password: { from: 'file', get: file } }, cache: '1h' }, rotate };
}

/** How often the server refused a password of the role. */
async function failures(role: string): Promise<number> {
  return (await server().log()).split(`password authentication failed for user "${role}"`).length - 1;
}

test('a cached password that was rotated is fetched anew, and the client hears nothing of it', async () => {
  const { service, rotate } = await rotating('turning');
  const rig = await startPostgresSidecar({ db: service });
  expect(await whoAmI(rig.port('db'))).toBe('turning@postgres, tls');
  await rotate(canary());
  expect(await whoAmI(rig.port('db'))).toBe('turning@postgres, tls');
  expect(await failures('turning')).toBe(1);
  expect(await whoAmI(rig.port('db'))).toBe('turning@postgres, tls');
  expect(await failures('turning')).toBe(1);
  // The first use, then the stale version and the fresh one of the same connection, then the fresh one again.
  const uses = rig.events('decision').map(({ id, credentials }) => ({
    id,
    version: (credentials as Record<string, string>)['password'],
  }));
  expect(uses).toHaveLength(4);
  expect(uses[1]!.id).toBe(uses[2]!.id);
  expect(uses[0]!.version).toBe(uses[1]!.version);
  expect(uses[2]!.version).not.toBe(uses[1]!.version);
  expect(uses[3]!.version).toBe(uses[2]!.version);
});

test('a rotated password that the provider does not know yet is refused, after one try', async () => {
  const { service, rotate } = await rotating('ahead');
  const rig = await startPostgresSidecar({ db: service });
  expect(await whoAmI(rig.port('db'))).toBe('ahead@postgres, tls');
  const old = canary();
  await rotate(old);
  expect(await whoAmI(rig.port('db'))).toBe('ahead@postgres, tls');
  expect(await failures('ahead')).toBe(1);
  await rotate(canary(), old);
  expect(await refusalOf(whoAmI(rig.port('db')))).toMatchObject({ code: '28P01' });
  expect(await failures('ahead')).toBe(2);
});

test('a fresh password that is wrong, too, is tried once and refused', async () => {
  const { service, rotate } = await rotating('lost');
  const rig = await startPostgresSidecar({ db: service });
  expect(await whoAmI(rig.port('db'))).toBe('lost@postgres, tls');
  await rotate(canary(), canary());
  expect(await refusalOf(whoAmI(rig.port('db')))).toMatchObject({ code: '28P01' });
  expect(await failures('lost')).toBe(2);
});

test('the decision is on record before the upstream is connected to, and the end with its bytes', async () => {
  const { service } = await rotating('recorded');
  const rig = await startPostgresSidecar({ db: service });
  const client = await connectClient(rig.port('db'));
  await client.query('select 1');
  await client.end();
  await expect.poll(() => rig.events('connection.closed')).toHaveLength(1);
  const [decision] = rig.events('decision');
  const [closed] = rig.events('connection.closed');
  const upstream = `postgres://127.0.0.1:${server().port}`;
  expect(decision).toMatchObject({
    service: 'db',
    connector: 'postgres',
    result: 'allow',
    database: 'postgres',
    upstream,
  });
  expect(Object.keys(decision!['credentials'] as object).sort()).toEqual(['host', 'password', 'port', 'username']);
  expect(closed).toMatchObject({ id: decision!['id'], service: 'db', result: 'allow', database: 'postgres', upstream });
  // Query and Terminate; RowDescription, DataRow, CommandComplete and ReadyForQuery. The login does not count.
  expect([closed!['bytesUp'], closed!['bytesDown']]).toEqual([14 + 5, 34 + 12 + 14 + 6]);
  const received = (await server().log())
    .split('\n')
    .map((line) => /^(\S+ \S+) UTC LOG: {2}connection received: host=127\.0\.0\.1/.exec(line)?.[1])
    .filter((time) => time !== undefined)
    .at(-1)!;
  // The server cuts its time to milliseconds, as the ledger does.
  expect(Date.parse(`${received.replace(' ', 'T')}Z`)).toBeGreaterThanOrEqual(Date.parse(decision!['time'] as string));
});
