import type { Outcome } from './agent.ts';

/** What an agent does with a database: it knows an address, and that is all. */
export interface DatabaseErrand {
  readonly row: string;
  readonly postgres: { readonly port: number; readonly database: string };
}

/** The part of node-postgres that is used here. */
export interface PgClient {
  connect(): Promise<unknown>;
  query(sql: string): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
  end(): Promise<void>;
}

const ROUNDS = 40;
const SUCCESS = '00000';
/** How the server itself says it was logged in to (PostgreSQL 16 and later know `system_user`). */
const WHO = `select system_user || ' over ' || version as who from pg_stat_ssl where pid = pg_backend_pid()`;

/** Connects without a password; the status is an SQLSTATE, the body how the server saw the login. */
export async function queryOnce({ row, postgres }: DatabaseErrand): Promise<Outcome> {
  const { default: pg } = await import('pg');
  const client: PgClient = new pg.Client({ host: '127.0.0.1', ...postgres, user: 'nobody' });
  try {
    await client.connect();
    const { rows } = await client.query(WHO);
    return { row, status: SUCCESS, arrivals: [], body: String(rows[0]?.['who']), ms: await medianRoundTrip(client) };
  } catch (error) {
    const { code, detail } = error as { code?: string; detail?: string };
    return { row, status: code ?? 'failed', arrivals: [], body: detail ?? '', ms: 0 };
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function medianRoundTrip(client: PgClient): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now();
    await client.query('select 1');
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  return times[ROUNDS / 2]!;
}
