import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtCommand, sourceCommand } from '../harness/build.ts';
import { placeProcesses, type Placement } from '../harness/cpu.ts';
import { psql, type Client } from './clients.ts';
import { startHaproxy } from './haproxy.ts';
import type { PostgresOptions, Transport } from './options.ts';
import { startPgbouncer } from './pgbouncer.ts';
import { startServer, type Server } from './server.ts';
import { startSidecar } from './sidecar.ts';
import { fillTables, type CopyRows } from './tables.ts';
import type { Target } from './target.ts';

/** All that a measurement needs: the server with its tables, the client, and a way to start what is measured. */
export interface Stage {
  readonly options: PostgresOptions;
  readonly placement: Placement;
  readonly server: Server;
  readonly client: Client;
  readonly rows: CopyRows;
  /** Tells the reader what is going on. */
  readonly say: (words: string) => void;
  /** The server itself. */
  direct(transport: Transport): Target;
  startSidecar(transport: Transport): Promise<Target>;
  /** Undefined where it is not installed. */
  startHaproxy(transport: Transport): Promise<Target | undefined>;
  startPgbouncer(transport: Transport): Promise<Target | undefined>;
  close(): Promise<void>;
}

/** Connections of the server beyond those that the bench holds: peers keep theirs, autovacuum and a superuser want some. */
const CONNECTIONS_SPARE = 100;

export async function openStage(options: PostgresOptions, say: (words: string) => void): Promise<Stage> {
  const placement = options.free ? placeProcesses([], false) : placeProcesses();
  const command = [...options.nodeFlags, ...(options.source ? sourceCommand() : builtCommand(say))];
  const folder = await mkdtemp(join(tmpdir(), 'postgres-bench-rows-'));
  const clean = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const opened: (() => Promise<void>)[] = [clean];
  const close = async (): Promise<void> => {
    for (const end of opened.toReversed()) await end();
  };
  try {
    say('starting PostgreSQL');
    const password = randomBytes(24).toString('base64url');
    const connectionsMax = options.sizes.idleConnections + CONNECTIONS_SPARE;
    const server = await startServer(placement.upstream, password, connectionsMax);
    opened.push(() => server.close());
    const client = { cpus: placement.load, user: server.user, database: server.database };
    await psql({ ...client, database: 'postgres' }, direct(server, 'plain'), [`CREATE DATABASE ${server.database}`]);
    say('filling tables');
    const rows = await fillTables(client, direct(server, 'plain'), options.sizes, folder);
    return {
      options,
      placement,
      server,
      client,
      rows,
      say,
      direct: (transport) => direct(server, transport),
      startSidecar: (transport) => startSidecar(command, placement.proxy, server, transport),
      startHaproxy: (transport) => startHaproxy(placement.proxy, server, transport),
      startPgbouncer: (transport) => startPgbouncer(placement.proxy, server, transport),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function direct(server: Server, transport: Transport): Target {
  const tls =
    transport === 'tls' ? { PGSSLMODE: 'verify-full', PGSSLROOTCERT: server.authorityFile } : { PGSSLMODE: 'disable' };
  return {
    name: 'direct',
    port: server.port,
    env: { PGPASSWORD: server.password, ...tls },
    pids: () => [],
    close: async () => undefined,
  };
}
