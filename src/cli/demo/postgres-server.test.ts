import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { findPostgres, runnablePostgres, type PostgresVersion } from './postgres-binaries.ts';
import { startPostgresServer, type PostgresServer } from './postgres-server.ts';

const PASSWORD = 'Grüße, "Welt"';
const HBA = ['local all all scram-sha-256', 'host all all 127.0.0.1/32 scram-sha-256'];
const running: PostgresServer[] = [];

afterAll(async () => {
  await Promise.all(running.map((server) => server.stop()));
});

async function start(settings: Record<string, string> = {}): Promise<PostgresServer> {
  const server = await startPostgresServer({ version: 17, hba: HBA, settings, password: PASSWORD });
  if ('missing' in server) throw new Error(server.missing);
  running.push(server);
  return server;
}

async function select(host: string, port: number, text: string): Promise<unknown> {
  const client = new pg.Client({ host, port, user: 'postgres', password: PASSWORD, database: 'postgres' });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

test('a server answers over TCP and over its socket, with the settings given, and its files go when it stops', async () => {
  const server = await start({ application_name: "it's", work_mem: '3MB' });
  expect(await select('127.0.0.1', server.port, 'show work_mem')).toBe('3MB');
  expect(await select(server.folder, server.port, 'show server_version')).toMatch(/^17\./);
  expect(
    await select(server.folder, server.port, 'select reset_val from pg_settings where name = $$application_name$$'),
  ).toBe("it's");
  expect(await server.log()).toContain('ready to accept connections');
  await server.stop();
  expect(existsSync(server.folder)).toBe(false);
  await expect(select('127.0.0.1', server.port, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('two servers of one process share nothing but their initial state', async () => {
  const [one, two] = await Promise.all([start(), start()]);
  await select(one.folder, one.port, 'create database only_here');
  const count = 'select count(*)::int from pg_database where datname = $$only_here$$';
  expect(await select(one.folder, one.port, count)).toBe(1);
  expect(await select(two.folder, two.port, count)).toBe(0);
});

test('the password of the superuser is stored as SCRAM and asked for', async () => {
  const server = await start();
  expect(await select(server.folder, server.port, 'select left(rolpassword, 14) from pg_authid where oid = 10')).toBe(
    'SCRAM-SHA-256$',
  );
  const stranger = new pg.Client({ host: '127.0.0.1', port: server.port, user: 'postgres', password: 'wrong' });
  await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
});

test('a server that cannot start says why, and leaves nothing', async () => {
  await expect(start({ max_connections: 'many' })).rejects.toMatchObject({
    code: 'internal',
    detail: expect.stringContaining('invalid value for parameter "max_connections"') as string,
  });
});

test('a version that is not installed is named, with what to do', async () => {
  const version = 12 as PostgresVersion;
  expect(await startPostgresServer({ version, hba: HBA, password: PASSWORD })).toEqual({
    missing: 'PostgreSQL 12 is not installed: `npm install` in a checkout brings it',
  });
});

test('servers and their files go when the process that started them is killed', async () => {
  const script = `
    const { startPostgresServer } = await import(${JSON.stringify(join(import.meta.dirname, 'postgres-server.ts'))});
    const server = await startPostgresServer({ version: 17, hba: ['local all all trust'], password: 'x' });
    console.log(server.port, server.folder);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [port, folder] = line.toString().trim().split(' ') as [string, string];
  await expect(select('127.0.0.1', Number(port), 'select 1')).rejects.toMatchObject({ code: '28000' });
  child.kill('SIGKILL');
  const until = Date.now() + 10_000;
  while (existsSync(join(folder, '..')) && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(existsSync(join(folder, '..'))).toBe(false);
  await expect(select('127.0.0.1', Number(port), 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

function fakeBinaries(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'native', 'lib'), { recursive: true });
  writeFileSync(join(folder, 'native', 'lib', 'libpq.so.5.17'), 'library');
  const links = [{ source: 'native/lib/libpq.so.5.17', target: 'native/lib/libpq.so.5' }];
  writeFileSync(join(folder, 'native', 'pg-symlinks.json'), JSON.stringify(links));
  return folder;
}

test('binaries whose links were never made are copied and get them', async () => {
  const folder = fakeBinaries();
  const copy = join(folder, 'copy');
  expect(await runnablePostgres(join(folder, 'native'), false, copy)).toBe(copy);
  expect(lstatSync(join(copy, 'lib', 'libpq.so.5')).isSymbolicLink()).toBe(true);
  expect((await stat(join(copy, 'lib', 'libpq.so.5'))).size).toBe('library'.length);
  // What has its links is used where it is.
  expect(await runnablePostgres(copy, false, join(folder, 'second'))).toBe(copy);
});

test('binaries in a folder that only its owner can enter are copied for a user without rights', async () => {
  const folder = fakeBinaries();
  const whole = await runnablePostgres(join(folder, 'native'), false, join(folder, 'whole'));
  await chmod(folder, 0o700);
  expect(await runnablePostgres(whole, true, join(folder, 'copy'))).toBe(join(folder, 'copy'));
  await chmod(folder, 0o755);
  expect(await runnablePostgres(whole, true, join(folder, 'other'))).toBe(whole);
});

test('the binaries that are installed have the version that was asked for', async () => {
  for (const version of [13, 15, 17, 18] as const) {
    const found = await findPostgres(version);
    expect(typeof found === 'string' || found.missing.includes(String(version))).toBe(true);
  }
});
