import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ToolCase, ToolPlace } from './place.ts';

const CONTENT = `drop schema if exists kept cascade; create schema kept;
  create table kept.rows (id serial primary key, word text not null, j jsonb, b bytea, at timestamptz default '2020-01-01');
  insert into kept.rows (word, j, b) select 'é ' || n, jsonb_build_object('n', n), decode(md5(n::text), 'hex') from generate_series(1, 20000) n;
  create table kept.more as select * from kept.rows; create table kept.empty (); create index on kept.more (word);
  create view kept.seen as select word from kept.rows; create function kept.f() returns int language sql as 'select 1';
  create type kept.mood as enum ('a', 'b'); create sequence kept.s start 7; comment on table kept.rows is 'it''s';`;

/** Debian does not put it among the programs of every path. */
const VERIFY_BACKUP = '/usr/lib/postgresql/15/bin/pg_verifybackup';

/** A plain dump without what is random in it, and without the name of the role, which is the same. */
async function dump(at: ToolPlace, database: string): Promise<string> {
  const text = await at.succeed('pg_dump', ['-n', 'kept', database]);
  return text.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

/** Dumps, restores into the other database, and dumps that. */
async function moved(at: ToolPlace, dumpWords: readonly string[], restoreWords: readonly string[]): Promise<unknown> {
  await at.psql('set client_min_messages = error', CONTENT);
  const copy = at.door.database.replace(/side$/, 'copy');
  await at.succeed('psql', [
    '-Xqc',
    'set client_min_messages = error',
    '-c',
    'drop schema if exists kept cascade',
    copy,
  ]);
  const file = join(at.folder, 'dump');
  await at.succeed('pg_dump', ['-n', 'kept', '-f', file, ...dumpWords]);
  await at.succeed('pg_restore', ['-d', copy, '--exit-on-error', ...restoreWords, file]);
  const [from, to] = [await dump(at, at.door.database), await dump(at, copy)];
  return [from === to, from.length > 1_000_000];
}

async function transactions(at: ToolPlace, each: number, words: readonly string[]): Promise<unknown> {
  await at.succeed('pgbench', ['-iq', '-s', '1']);
  const out = await at.succeed('pgbench', ['-n', '-c', '4', '-j', '2', '-t', String(each), ...words]);
  return /actually processed: (\d+\/\d+)/.exec(out)?.[1];
}

/** Options of pg_recvlogical and the slot of a door. */
function slot(at: ToolPlace): string[] {
  return ['-d', at.door.database, '--slot', `recv_${at.door.database}`];
}

export const PROGRAMS: readonly ToolCase[] = [
  ['pg_isready finds it', async (at) => (await at.run('pg_isready', [])).code, 0],
  ['pgbench runs TPC-B in the simple protocol', (at) => transactions(at, 50, []), '200/200'],
  ['pgbench runs prepared statements', (at) => transactions(at, 50, ['-M', 'prepared', '-S']), '200/200'],
  ['pgbench connects for each transaction', (at) => transactions(at, 10, ['-C', '-S']), '40/40'],
  [
    'pgbench runs pipelines',
    async (at) => {
      const line = 'select abalance from pgbench_accounts where aid = 1;\n';
      writeFileSync(join(at.folder, 'pipeline.sql'), `\\startpipeline\n${line.repeat(20)}\\endpipeline\n`);
      return transactions(at, 50, ['-M', 'extended', '-f', 'pipeline.sql']);
    },
    '200/200',
  ],
  ['pg_dump and pg_restore move a schema', (at) => moved(at, ['-Fc'], []), [true, true]],
  [
    'pg_dump and pg_restore move a schema in parallel',
    (at) => moved(at, ['-Fd', '-j', '4'], ['-j', '4']),
    [true, true],
  ],
  [
    'pg_basebackup copies the whole server',
    async (at) => {
      await at.succeed('pg_basebackup', ['-D', 'base', '-X', 'stream', '--checkpoint=fast']);
      await at.succeed(VERIFY_BACKUP, ['base']);
      return readdirSync(join(at.folder, 'base')).includes('PG_VERSION');
    },
    true,
  ],
  [
    'pg_basebackup writes an archive to its output',
    async (at) => {
      await at.succeed('sh', ['-c', 'pg_basebackup -D - -Ft -X fetch --checkpoint=fast > base.tar']);
      return (await at.succeed('tar', ['-tf', 'base.tar'])).includes('global/pg_control');
    },
    true,
  ],
  [
    'pg_receivewal receives',
    async (at) => {
      await at.psql('create table if not exists waled (n int)');
      const end = `--endpos=${(await at.psql('insert into waled select generate_series(1, 10000)', 'select pg_current_wal_insert_lsn()')).trim()}`;
      const receiving = at.succeed('pg_receivewal', ['-D', '.', '--no-loop', end]);
      // A record beyond the end makes it notice.
      const nudge = setInterval(() => void at.psql('insert into waled values (1)').catch(() => undefined), 300);
      await receiving.finally(() => clearInterval(nudge));
      return readdirSync(at.folder).some((name) => /^[0-9A-F]{24}/.test(name));
    },
    true,
  ],
  [
    'pg_recvlogical receives changes',
    async (at) => {
      await at.psql(
        'set client_min_messages = error',
        'drop table if exists logged',
        'create table logged (word text)',
        'drop publication if exists logged',
        'create publication logged for table logged',
      );
      await at.succeed('pg_recvlogical', [...slot(at), '--create-slot', '-P', 'pgoutput']);
      try {
        await at.psql(`insert into logged values ('first'), ('second')`);
        const end = (await at.psql('select pg_current_wal_insert_lsn()')).trim();
        const nudge = setInterval(() => void at.psql(`insert into logged values ('more')`).catch(() => undefined), 300);
        await at
          .succeed('pg_recvlogical', [
            ...slot(at),
            '--start',
            '-f',
            'changes',
            '--no-loop',
            `--endpos=${end}`,
            '-o',
            'proto_version=1',
            '-o',
            'publication_names=logged',
          ])
          .finally(() => clearInterval(nudge));
      } finally {
        await at.succeed('pg_recvlogical', [...slot(at), '--drop-slot']);
      }
      const changes = readFileSync(join(at.folder, 'changes'), 'latin1');
      return ['first', 'second'].map((word) => changes.includes(word));
    },
    [true, true],
  ],
  [
    'vacuumdb works in parallel',
    async (at) =>
      (await at.run('vacuumdb', ['-q', '-j', '2', '-z', '-t', 'pg_catalog.pg_class', '-t', 'pg_catalog.pg_proc'])).code,
    0,
  ],
];
