import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ToolCase, ToolPlace } from './place.ts';

/** Runs a query, sends Ctrl-C once it runs, and tells how it ended. */
async function interrupted(at: ToolPlace, env: Record<string, string> = {}): Promise<unknown> {
  const begun = Date.now();
  const { code, err } = await at.run('psql', ['-Xc', 'select pg_sleep(60)'], {
    env,
    during: (child) => void setTimeout(() => child.kill('SIGINT'), 700),
  });
  return [code, err.trim().split('\n').at(-1), Date.now() - begun < 10_000];
}

const SCHEMA = `create table described (id serial primary key, word varchar(9) not null default 'x', t timestamptz);
  create index by_word on described (word)`;

export const PSQL: readonly ToolCase[] = [
  ['queries', (at) => at.psql('select 1, null, $$two$$'), '1||two\n'],
  [
    'runs several commands',
    (at) => at.psql('create temp table t (n int)', 'insert into t values (1), (2)', 'select sum(n) from t'),
    '3\n',
  ],
  [
    'reads a script from its input',
    async (at) =>
      at
        .succeed('psql', ['-XAtq'], {
          input: 'begin;\nselect 1;\n\\echo said\ncommit;\nselect 2 \\gset got\n\\echo :got?column?\n',
        })
        .then((out) => out.split('\n').slice(0, 2)),
    ['1', 'said'],
  ],
  [
    'says where it is connected',
    async (at) => {
      const out = await at.psql('\\conninfo');
      return out.includes(`"${at.door.database}" as user "${at.door.user}"`) && out.includes(`port "${at.door.port}"`);
    },
    true,
  ],
  [
    'describes a table',
    async (at) => {
      await at.psql('drop table if exists described', SCHEMA);
      return (await at.psql('\\d described')).split('\n')[1];
    },
    "word|character varying(9)||not null|'x'::character varying",
  ],
  [
    'stops at an error',
    async (at) => {
      const { code, err } = await at.run('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
        input: 'select oops;\nselect 1;\n',
      });
      return [code, err.includes('column "oops" does not exist')];
    },
    [3, true],
  ],
  [
    'copies a file in and out',
    async (at) => {
      const rows = Array.from({ length: 10_000 }, (_, n) => `${n}\tline ${n}\n`).join('');
      writeFileSync(join(at.folder, 'in'), rows);
      await at.psql(
        'create temp table c (n int, w text)',
        '\\copy c from in',
        '\\copy (select * from c order by n) to out',
      );
      return readFileSync(join(at.folder, 'out'), 'utf8') === rows;
    },
    true,
  ],
  [
    'copies 60 MB out',
    async (at) => {
      const out = await at.psql(`copy (select n, repeat('p', 50) from generate_series(1, 1000000) n) to stdout`);
      return out.length;
    },
    57_888_896,
  ],
  [
    'takes options, an application name and a client encoding',
    (at) =>
      at.succeed(
        'psql',
        [
          '-XAtc',
          `select current_setting('search_path'), current_setting('application_name'), current_setting('client_encoding')`,
        ],
        {
          env: { PGOPTIONS: '-c search_path=one', PGAPPNAME: 'tool', PGCLIENTENCODING: 'LATIN1' },
        },
      ),
    'one|tool|LATIN1\n',
  ],
  ['takes a URL', (at) => at.succeed('psql', ['-XAtc', 'select 1', at.url]), '1\n'],
  [
    'connects over a Unix socket',
    (at) => at.succeed('psql', ['-XAtc', 'select 1'], { env: { PGHOST: at.door.socketFolder } }),
    '1\n',
  ],
  [
    'prefers GSS encryption and TLS and does without',
    (at) => at.succeed('psql', ['-XAtc', 'select 1'], { env: { PGGSSENCMODE: 'prefer', PGSSLMODE: 'prefer' } }),
    '1\n',
  ],
  ['does without TLS', (at) => at.succeed('psql', ['-XAtc', 'select 1'], { env: { PGSSLMODE: 'disable' } }), '1\n'],
  [
    'turns to the next host',
    (at) =>
      at.succeed('psql', ['-XAtc', 'select 1'], {
        env: { PGHOST: `127.0.0.1,${at.door.host}`, PGPORT: `1,${at.door.port}` },
      }),
    '1\n',
  ],
  [
    'asks for a session that can write',
    (at) => at.succeed('psql', ['-XAtc', 'select 1'], { env: { PGTARGETSESSIONATTRS: 'read-write' } }),
    '1\n',
  ],
  ['cancels at Ctrl-C', (at) => interrupted(at), [1, 'ERROR:  canceling statement due to user request', true]],
  [
    'cancels at Ctrl-C over a Unix socket',
    (at) => interrupted(at, { PGHOST: at.door.socketFolder }),
    [1, 'ERROR:  canceling statement due to user request', true],
  ],
  [
    'says which database does not exist',
    async (at) => {
      const { code, err } = await at.run('psql', ['-Xc', 'select 1', 'no_such']);
      return [code, err.includes('FATAL:  database "no_such" does not exist')];
    },
    [2, true],
  ],
  [
    'hears notifications',
    async (at) =>
      (await at.psql('listen heard', `notify heard, 'here'`, 'select 1')).includes(
        'Asynchronous notification "heard" with payload "here"',
      ),
    true,
  ],
];
