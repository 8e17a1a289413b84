import { Client, Pool, type ClientConfig, type PoolConfig, type QueryResult } from 'pg';
import { pause, type Case, type Closable, type Door } from '../case.ts';

export type PgCase = Case<PgPlace>;

/** node-postgres at a door. */
export class PgPlace implements Closable {
  readonly door: Door;
  readonly #open: (() => Promise<unknown>)[] = [];
  #client: Promise<Client> | undefined;

  constructor(door: Door) {
    this.door = door;
  }

  config(more: ClientConfig = {}): ClientConfig {
    const { host, port, user, password, database } = this.door;
    return { host, port, user, database, ...(password === undefined ? {} : { password }), ...more };
  }

  /** A connected client; ended with the place. */
  async connect(more: ClientConfig = {}): Promise<Client> {
    const client = this.build(more);
    await client.connect();
    return client;
  }

  /** A client that is not connected yet. */
  build(more: ClientConfig = {}): Client {
    const client = new Client(this.config(more));
    // Ends that a case provokes; what matters of them it looks at itself.
    client.on('error', () => undefined);
    this.#open.push(() => client.end());
    return client;
  }

  pool(more: PoolConfig = {}): Pool {
    const pool = new Pool({ ...this.config(), ...more });
    pool.on('error', () => undefined);
    this.#open.push(() => (pool.ended || pool.ending ? Promise.resolve() : pool.end()));
    return pool;
  }

  /** The client of the shorthands below. */
  client(): Promise<Client> {
    return (this.#client ??= this.connect());
  }

  async query(text: string, values?: unknown[]): Promise<QueryResult<Record<string, unknown>>> {
    return (await this.client()).query(text, values);
  }

  async rows(text: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
    return (await this.query(text, values)).rows;
  }

  /** First column of the first row. */
  async value(text: string, values?: unknown[]): Promise<unknown> {
    const [row] = await this.rows(text, values);
    return row === undefined ? undefined : Object.values(row)[0];
  }

  async close(): Promise<void> {
    // A client whose connection broke may never say that it ended.
    const ended = Promise.allSettled(this.#open.map((end) => end()));
    await Promise.race([ended, pause(2000)]);
  }
}

/** Backend process id of a client's connection. */
export async function backend(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]!.pid;
}

/** Resolves with the arguments of the next event; fails after five seconds. */
export function next<Given = unknown>(
  emitter: { once(event: string, listener: (given: Given) => void): unknown },
  event: string,
): Promise<Given> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} came`)), 5000);
    emitter.once(event, (given) => {
      clearTimeout(timer);
      resolve(given);
    });
  });
}
