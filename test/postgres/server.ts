import pg from 'pg';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { issueAuthority } from '../../src/certificate/authority.ts';
import type { Identity } from '../../src/certificate/certificate.ts';
import { issueClientIdentity } from '../../src/certificate/client.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';
import { findPostgres, POSTGRES_VERSIONS, type PostgresVersion } from '../../src/cli/demo/postgres-binaries.ts';
import { startPostgresServer, type PostgresServer as Running } from '../../src/cli/demo/postgres-server.ts';
import { canary } from '../canary.ts';

export type { PostgresVersion };

/** Versions that can run here. */
export const installedVersions: readonly PostgresVersion[] = await installed();

export interface PostgresSetting {
  /** Default 17. */
  readonly version?: PostgresVersion;
  /** Lines of pg_hba.conf behind those of the superuser; default: SCRAM for all over TCP and the socket. */
  readonly hba?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: TLS with a certificate for `SERVER_NAMES`, client certificates verified; `off`: no TLS. */
  readonly tls?: 'off';
  /** Statements run as superuser before anybody connects, one by one. */
  readonly setup?: readonly string[];
}

export interface PostgresServer extends Running {
  readonly socketFolder: string;
  /** Of the superuser; a canary. */
  readonly password: string;
  /** PEM of the authority behind the server's certificate. */
  readonly ca: string;
  /** Runs statements directly as superuser; the rows of the last one. */
  sql(text: string, database?: string): Promise<Record<string, unknown>[]>;
}

/** What a server's certificate is good for. */
export const SERVER_NAMES = ['localhost', '127.0.0.1', 'db.internal'] as const;

/** Certificates for the tests of one process. */
export interface Certificates {
  readonly authority: Identity;
  readonly server: Identity;
  /** An authority that nobody trusts. */
  readonly stranger: Identity;
  readonly client: (commonName: string) => Promise<Identity>;
}

let made: Promise<Certificates> | undefined;

export function certificates(): Promise<Certificates> {
  return (made ??= makeCertificates());
}

async function makeCertificates(): Promise<Certificates> {
  const [authority, stranger] = await Promise.all([issueAuthority('Database authority'), issueAuthority('Stranger')]);
  return {
    authority,
    stranger,
    server: await issueServerIdentity(authority, SERVER_NAMES),
    client: (commonName) => issueClientIdentity(authority, commonName),
  };
}

/** One for all servers of a process: they share their initial state by it. */
const superuserPassword = canary();

const SUPERUSER_HBA = [
  'local all postgres scram-sha-256',
  'host all postgres 127.0.0.1/32 scram-sha-256',
  'host replication postgres 127.0.0.1/32 scram-sha-256',
];
const SCRAM_FOR_ALL = ['local all all scram-sha-256', 'host all all 127.0.0.1/32 scram-sha-256'];

/** A real PostgreSQL for one test; it goes with the test. */
export async function startPostgres(setting: PostgresSetting = {}): Promise<PostgresServer> {
  const server = await start(setting);
  onTestFinished(() => server.stop());
  return server;
}

/** A real PostgreSQL for all tests of a file or a `describe`. */
export function usePostgres(setting: PostgresSetting = {}): () => PostgresServer {
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await start(setting);
  });
  afterAll(async () => {
    await server?.stop();
  });
  return () => server!;
}

async function start(setting: PostgresSetting): Promise<PostgresServer> {
  const { version = 17, hba = SCRAM_FOR_ALL, settings = {}, tls, setup = [] } = setting;
  const { authority, server: identity } = await certificates();
  const running = await startPostgresServer({
    version,
    hba: [...SUPERUSER_HBA, ...hba],
    settings,
    password: superuserPassword,
    ...(tls === 'off' ? {} : { tls: { ...identity, ca: authority.certificate } }),
  });
  if ('missing' in running) throw new Error(running.missing);
  const sql: PostgresServer['sql'] = (text, database = 'postgres') => runSql(running, text, database);
  try {
    for (const statement of setup) await sql(statement);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return { ...running, socketFolder: running.folder, password: superuserPassword, ca: authority.certificate, sql };
}

async function runSql({ folder, port }: Running, text: string, database: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host: folder, port, user: 'postgres', password: superuserPassword, database });
  await client.connect();
  try {
    // Several statements in one text give several results.
    const results = [await client.query<Record<string, unknown>>(text)].flat();
    return results.at(-1)!.rows;
  } finally {
    await client.end();
  }
}

async function installed(): Promise<PostgresVersion[]> {
  const found = await Promise.all(POSTGRES_VERSIONS.map((version) => findPostgres(version)));
  return POSTGRES_VERSIONS.filter((_, at) => typeof found[at] === 'string');
}
