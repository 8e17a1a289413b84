import type { Socket } from 'node:net';
import type { Client, Connection, Submittable } from 'pg';
import { failure } from '../case.ts';
import type { PgCase, PgPlace } from './place.ts';

type Wire = Connection & {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
  readonly stream: { readonly writableNeedDrain: boolean; once(event: 'drain', listener: () => void): void };
};

/** A `COPY … TO STDOUT` or `FROM STDIN` as node-postgres lets one write it. */
class Copy implements Submittable {
  readonly done: Promise<{ command: string; chunks: number; bytes: number; first: string }>;
  readonly #text: string;
  readonly #chunks: Iterable<Buffer> | Error;
  #settle!: {
    resolve(value: { command: string; chunks: number; bytes: number; first: string }): void;
    reject(error: unknown): void;
  };
  #seen = { chunks: 0, bytes: 0, first: '' };
  #command = '';
  #error: unknown;

  constructor(text: string, chunks: Iterable<Buffer> | Error = []) {
    this.#text = text;
    this.#chunks = chunks;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  submit(connection: Connection): void {
    (connection as Wire).query(this.#text);
  }

  handleCopyInResponse(connection: Wire): void {
    if (this.#chunks instanceof Error) return connection.sendCopyFail(this.#chunks.message);
    void this.#send(connection, this.#chunks);
  }

  async #send(connection: Wire, chunks: Iterable<Buffer>): Promise<void> {
    for (const chunk of chunks) {
      connection.sendCopyFromChunk(chunk);
      if (connection.stream.writableNeedDrain)
        await new Promise<void>((resolve) => connection.stream.once('drain', resolve));
    }
    connection.endCopyFrom();
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.#seen.chunks === 0) this.#seen.first = chunk.toString();
    this.#seen.chunks += 1;
    this.#seen.bytes += chunk.length;
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#command = text;
  }

  handleError(error: unknown): void {
    this.#error = error;
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    if (this.#error === undefined) this.#settle.resolve({ command: this.#command, ...this.#seen });
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}
}

function copy(client: Client, text: string, chunks?: Iterable<Buffer> | Error): Copy['done'] {
  return client.query(new Copy(text, chunks)).done;
}

function* lines(count: number): Generator<Buffer> {
  for (let n = 0; n < count; n += 1000) {
    yield Buffer.from(Array.from({ length: 1000 }, (_, at) => `${n + at}\tword ${n + at}\n`).join(''));
  }
}

async function table(at: PgPlace): Promise<Client> {
  const client = await at.client();
  await client.query('create temp table copied (n int, word text)');
  return client;
}

export const STREAMS: readonly PgCase[] = [
  [
    'copies out',
    async (at) => copy(await at.client(), `copy (values (1, 'a'), (2, null)) to stdout`),
    {
      command: 'COPY 2',
      chunks: 2,
      bytes: 9,
      first: '1\ta\n',
    },
  ],
  [
    'copies out as CSV with a header',
    async (at) => copy(await at.client(), `copy (select 1 as n, 'a "b", c' as word) to stdout (format csv, header)`),
    {
      command: 'COPY 1',
      chunks: 2,
      bytes: 22,
      first: 'n,word\n',
    },
  ],
  [
    'copies out in binary',
    async (at) => {
      const { command, bytes, first } = await copy(
        await at.client(),
        'copy (select 1::int4) to stdout (format binary)',
      );
      return [command, bytes, first.slice(0, 6)];
    },
    ['COPY 1', 31, 'PGCOPY'],
  ],
  [
    'copies out nothing',
    async (at) => copy(await at.client(), 'copy (select 1 where false) to stdout'),
    {
      command: 'COPY 0',
      chunks: 0,
      bytes: 0,
      first: '',
    },
  ],
  [
    'copies out 30 MB',
    async (at) => {
      const { command, bytes } = await copy(
        await at.client(),
        `copy (select repeat('c', 29999) from generate_series(1, 1000)) to stdout`,
      );
      return [command, bytes];
    },
    ['COPY 1000', 30_000_000],
  ],
  [
    'hears the error in the middle of a copy out',
    async (at) => {
      const client = await at.client();
      const error = await failure(
        copy(client, `copy (select 1 / (5000 - n) from generate_series(1, 10000) n) to stdout`),
        'code',
      );
      return [error, await at.value('select 1')];
    },
    [{ code: '22012' }, 1],
  ],
  [
    'copies in',
    async (at) => {
      const { command } = await copy(await table(at), 'copy copied from stdin', [Buffer.from('1\tone\n2\t\\N\n')]);
      return [command, await at.rows('select * from copied order by n')];
    },
    [
      'COPY 2',
      [
        { n: 1, word: 'one' },
        { n: 2, word: null },
      ],
    ],
  ],
  [
    'copies in pieces that cut lines and letters',
    async (at) => {
      const bytes = Buffer.from('1\tåß漢\n2\t🦉\n');
      await copy(
        await table(at),
        'copy copied from stdin',
        Array.from(bytes, (byte) => Buffer.of(byte)),
      );
      return at.rows('select * from copied order by n');
    },
    [
      { n: 1, word: 'åß漢' },
      { n: 2, word: '🦉' },
    ],
  ],
  ['copies in nothing', async (at) => (await copy(await table(at), 'copy copied from stdin')).command, 'COPY 0'],
  [
    'copies in 1,000,000 rows',
    async (at) => {
      const { command } = await copy(await table(at), 'copy copied from stdin', lines(1_000_000));
      return [command, await at.value('select sum(n)::text from copied')];
    },
    ['COPY 1000000', '499999500000'],
  ],
  [
    'hears the error of a row copied in',
    async (at) => {
      const client = await table(at);
      const error = await failure(
        copy(client, 'copy copied from stdin', [Buffer.from('1\ta\nx\tb\n')]),
        'code',
        'where',
      );
      return [error, await at.value('select count(*)::int from copied')];
    },
    [{ code: '22P02', where: 'COPY copied, line 2, column n: "x"' }, 0],
  ],
  [
    'hears an early error while it still copies in',
    async (at) => {
      const client = await table(at);
      const wrong = [Buffer.from('wrong\n'), ...lines(100_000)];
      const error = await failure(copy(client, 'copy copied from stdin', wrong), 'code');
      return [error, await at.value('select 1')];
    },
    [{ code: '22P02' }, 1],
  ],
  [
    'gives up a copy in',
    async (at) => {
      const client = await table(at);
      const error = await failure(copy(client, 'copy copied from stdin', new Error('no more')), 'code', 'message');
      return [error, await at.value('select count(*)::int from copied')];
    },
    [{ code: '57014', message: 'COPY from stdin failed: no more' }, 0],
  ],
  [
    'copies within a transaction',
    async (at) => {
      const client = await table(at);
      await client.query('begin');
      await copy(client, 'copy copied from stdin', lines(1000));
      const inside = await at.value('select count(*)::int from copied');
      await client.query('rollback');
      return [inside, await at.value('select count(*)::int from copied')];
    },
    [1000, 0],
  ],
  [
    'copies out what another copies in',
    async (at) => {
      await at.query('create table handed (n int, word text)');
      await copy(await at.connect(), 'copy handed from stdin', lines(20_000));
      const { command, bytes } = await copy(await at.connect(), 'copy handed to stdout');
      return [command, bytes];
    },
    ['COPY 20000', 317_780],
  ],
  [
    'fetches from a cursor',
    async (at) => {
      await at.query('begin');
      await at.query('declare walk scroll cursor for select n from generate_series(1, 1000) n');
      const forward = await at.query('fetch 300 from walk');
      const back = await at.query('fetch backward 2 from walk');
      await at.query('close walk');
      await at.query('commit');
      return [forward.rows.length, back.rows, forward.command];
    },
    [300, [{ n: 299 }, { n: 298 }], 'FETCH'],
  ],
  [
    'keeps a cursor beyond its transaction',
    async (at) => {
      await at.query('begin');
      await at.query('declare held cursor with hold for select n from generate_series(1, 5) n');
      await at.query('commit');
      return (await at.query('fetch all from held')).rows.length;
    },
    5,
  ],
  [
    'writes and reads a large object',
    async (at) => {
      await at.query('begin');
      const oid = await at.value('select lo_from_bytea(0, $1)', [Buffer.alloc(3_000_000, 9)]);
      const length = await at.value('select length(lo_get($1))', [oid]);
      await at.query('select lo_unlink($1)', [oid]);
      await at.query('commit');
      return length;
    },
    3_000_000,
  ],
  [
    'reads one row of 50 MB in 50 columns',
    async (at) => {
      const columns = Array.from({ length: 50 }, (_, n) => `repeat('${n % 10}', 1000000) as c${n}`).join();
      const [row] = await at.rows(`select ${columns}`);
      return Object.values(row!)
        .map((value) => (value as string).length)
        .every((length) => length === 1_000_000);
    },
    true,
  ],
  [
    'reads slowly what a server sends fast',
    async (at) => {
      const client = await at.client();
      const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
      const answer = client.query(`select repeat('s', 100000) as s from generate_series(1, 200)`);
      const stop = setInterval(() => {
        stream.pause();
        setTimeout(() => stream.resume(), 5);
      }, 10);
      const { rows } = await answer.finally(() => clearInterval(stop));
      return rows.length;
    },
    200,
  ],
  [
    'opens a logical replication connection',
    async (at) => {
      const client = await at.connect({ replication: 'database' } as never);
      const { rows } = await client.query('IDENTIFY_SYSTEM');
      const [row] = rows as { dbname: string }[];
      return row!.dbname === at.door.database;
    },
    true,
  ],
  [
    'opens a physical replication connection',
    async (at) => {
      const client = await at.connect({ replication: 'true' } as never);
      return Object.keys(((await client.query('IDENTIFY_SYSTEM')).rows as object[])[0]!);
    },
    ['systemid', 'timeline', 'xlogpos', 'dbname'],
  ],
];
