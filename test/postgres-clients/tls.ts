import type { TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { failure, pause, type Differences } from './case.ts';
import type { JsCase } from './js/place.ts';
import { next, type PgCase } from './pg/place.ts';
import type { ToolCase } from './tools/place.ts';

/** The door's certificate is signed by nobody whom these clients trust. */
const UNVERIFIED = { rejectUnauthorized: false };

function tlsOf(client: Client): unknown {
  const { stream } = (client as unknown as { connection: { stream: TLSSocket } }).connection;
  return [stream.encrypted, stream.getProtocol(), stream.alpnProtocol];
}

export const PG_TLS: readonly PgCase[] = [
  [
    'connects over TLS',
    async (at) => {
      const client = await at.connect({ ssl: UNVERIFIED });
      return [tlsOf(client), (await client.query('select 1 as n')).rows as unknown];
    },
    [[true, 'TLSv1.3', false], [{ n: 1 }]],
  ],
  [
    'connects over TLS without asking for it first',
    async (at) => {
      const client = await at.connect({ ssl: UNVERIFIED, sslnegotiation: 'direct' } as never);
      return [tlsOf(client), (await client.query('select 1 as n')).rows as unknown];
    },
    [[true, 'TLSv1.3', 'postgresql'], [{ n: 1 }]],
  ],
  [
    'connects without TLS',
    async (at) => {
      const client = await at.connect({ ssl: false });
      return (await client.query('select 1 as n')).rows as unknown;
    },
    [{ n: 1 }],
  ],
  [
    'connects over TLS 1.2',
    async (at) => {
      const client = await at.connect({ ssl: { ...UNVERIFIED, maxVersion: 'TLSv1.2' } });
      return tlsOf(client);
    },
    [true, 'TLSv1.2', false],
  ],
  [
    'verifies the certificate',
    (at) => failure(at.connect({ ssl: true }), 'code'),
    { code: 'SELF_SIGNED_CERT_IN_CHAIN' },
  ],
  [
    'moves 10 MB both ways over TLS',
    async (at) => {
      const client = await at.connect({ ssl: UNVERIFIED });
      const sent = Buffer.alloc(10_000_000, 'back and forth');
      const { rows } = await client.query<{ b: Buffer }>('select $1::bytea as b', [sent]);
      return rows[0]!.b.equals(sent);
    },
    true,
  ],
  [
    'listens over TLS',
    async (at) => {
      const client = await at.connect({ ssl: UNVERIFIED });
      await client.query('listen secure');
      const heard = next<{ payload: string }>(client, 'notification');
      await client.query(`notify secure, 'quietly'`);
      return (await heard).payload;
    },
    'quietly',
  ],
  [
    'hears that its TLS session was terminated',
    async (at) => {
      const client = await at.connect({ ssl: UNVERIFIED });
      return failure(client.query('select pg_terminate_backend(pg_backend_pid())'), 'code');
    },
    { code: '57P01' },
  ],
  [
    'refuses a database over TLS',
    (at) => failure(at.connect({ ssl: UNVERIFIED, database: 'no_such' }), 'code'),
    { code: '3D000' },
  ],
  [
    'runs a pool over TLS',
    async (at) => {
      const pool = at.pool({ max: 5, ssl: UNVERIFIED });
      const all = await Promise.all(
        Array.from({ length: 200 }, (_, n) => pool.query<{ n: number }>('select $1::int as n', [n])),
      );
      return all.every(({ rows }, at) => rows[0]!.n === at);
    },
    true,
  ],
];

export const PG_TLS_DIFFERENCES: Differences = {
  'verifies the certificate': {
    why: 'the sidecar signs its own certificate, while the server has one of an authority that the client does not know',
    outcome: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
  },
};

function withSsl(ssl: unknown): JsCase {
  return [
    `postgres.js connects with ssl ${JSON.stringify(ssl)}`,
    async (at) => {
      const sql = at.open({ ssl });
      return [...(await sql`select 1 as x`)];
    },
    [{ x: 1 }],
  ];
}

export const JS_TLS: readonly JsCase[] = [
  withSsl('require'),
  withSsl('prefer'),
  withSsl('allow'),
  withSsl(UNVERIFIED),
  withSsl(false),
  [
    'postgres.js connects again over TLS',
    async (at) => {
      const sql = at.open({ ssl: 'require', idle_timeout: 0.1 });
      const first = [...(await sql`select 1 as x`)];
      await pause(400);
      return [first, [...(await sql`select 2 as x`)]];
    },
    [[{ x: 1 }], [{ x: 2 }]],
  ],
  [
    'postgres.js cancels a query over TLS',
    async (at) => {
      const sql = at.open({ ssl: 'require' });
      const query = sql`select pg_sleep(30)`;
      const error = failure(query, 'code');
      await pause(200);
      query.cancel();
      return error;
    },
    { code: '57014' },
  ],
];

function psqlWith(sslmode: string): ToolCase {
  return [
    `psql connects with sslmode ${sslmode}`,
    async (at) => {
      const out = await at.succeed('psql', ['-XAtc', '\\conninfo', '-c', 'select 1'], { env: { PGSSLMODE: sslmode } });
      return [/SSL connection \(protocol: TLSv1.3/.test(out), out.endsWith('1\n')];
    },
    [!['disable', 'allow'].includes(sslmode), true],
  ];
}

export const TOOL_TLS: readonly ToolCase[] = [
  ...['disable', 'allow', 'prefer', 'require'].map(psqlWith),
  [
    'psql cancels at Ctrl-C over TLS',
    async (at) => {
      const { code, err } = await at.run('psql', ['-Xc', 'select pg_sleep(60)'], {
        env: { PGSSLMODE: 'require' },
        during: (child) => void setTimeout(() => child.kill('SIGINT'), 700),
      });
      return [code, err.trim().split('\n').at(-1)];
    },
    [1, 'ERROR:  canceling statement due to user request'],
  ],
  [
    'psql asks for channel binding',
    async (at) => {
      const { code, err } = await at.run('psql', ['-XAtc', 'select 1'], {
        env: { PGSSLMODE: 'require', PGCHANNELBINDING: 'require' },
      });
      return [code, err.trim().split('FATAL:').at(-1)!.split('failed: ').at(-1)];
    },
    [0, ''],
  ],
];

export const TOOL_TLS_DIFFERENCES: Differences = {
  'psql asks for channel binding': {
    why: 'a client that proves nothing has nothing to bind to the channel; between the sidecar and the server it is bound',
    outcome: [2, 'channel binding required, but server authenticated client without channel binding'],
  },
};
