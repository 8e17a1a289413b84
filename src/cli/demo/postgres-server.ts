import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SidecarError } from '../../error.ts';
import type { Missing, PostgresVersion } from './postgres-binaries.ts';
import { freePort } from './ports.ts';
import { makeCluster, SURROUNDINGS, type Cluster, type ClusterOptions } from './postgres-cluster.ts';

export interface PostgresServer {
  readonly version: PostgresVersion;
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Holds `.s.PGSQL.<port>`, and `data` with the configuration. */
  readonly folder: string;
  readonly superuser: 'postgres';
  /** Process id of the server. */
  readonly pid: number;
  /** What the server wrote to its log so far. */
  log(): Promise<string>;
  /** At once, without a word to its clients; its files are gone afterwards. */
  stop(): Promise<void>;
}

const START_MILLISECONDS_MAX = 20_000;
const PORT_TRIES = 5;

/**
 * Starts a real PostgreSQL on a free port of 127.0.0.1 and resolves once it accepts. Its files are in a temporary folder;
 * they and the server go when this process ends, however it ends. Errors: `internal`, with what the server said.
 */
export async function startPostgresServer(options: ClusterOptions): Promise<PostgresServer | Missing> {
  const cluster = await makeCluster(options);
  if ('missing' in cluster) return cluster;
  try {
    for (let tries = 0; tries < PORT_TRIES; tries += 1) {
      const server = await launch(cluster, options.version);
      if (server !== undefined) return server;
    }
    throw new SidecarError('internal', { detail: 'no port stayed free long enough for PostgreSQL to take it' });
  } catch (error) {
    await rm(cluster.folder, { recursive: true, force: true });
    throw error;
  }
}

/** Undefined where somebody else was faster to take the port. */
async function launch({ folder, program }: Cluster, version: PostgresVersion): Promise<PostgresServer | undefined> {
  const port = await freePort();
  const logFile = join(folder, 'log');
  const log = await open(logFile, 'a');
  // A session of its own: Ctrl-C ends this process, and this process ends the server.
  const child = spawn(program, ['-D', join(folder, 'data'), '-p', String(port), '-k', folder], {
    ...SURROUNDINGS,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  const closed = once(child, 'close').catch(() => undefined);
  if (!(await accepts(child, folder))) {
    child.kill('SIGKILL');
    await closed;
    const said = await readFile(logFile, 'utf8');
    if (said.includes('Address already in use')) return undefined;
    throw new SidecarError('internal', { detail: `PostgreSQL did not start:\n${said.slice(-2000)}` });
  }
  child.unref();
  return {
    ...{ version, host: '127.0.0.1', port, folder, superuser: 'postgres', pid: child.pid! },
    log: () => readFile(logFile, 'utf8'),
    stop: async () => {
      child.ref();
      child.kill('SIGQUIT');
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** True once the server says in its `postmaster.pid` that it is ready; false where it ended or took too long. */
async function accepts(child: ChildProcess, folder: string): Promise<boolean> {
  let failed = false;
  child.on('error', () => (failed = true));
  const until = Date.now() + START_MILLISECONDS_MAX;
  while (!failed && child.exitCode === null && child.signalCode === null && Date.now() < until) {
    const file = await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
    if (file.split('\n')[7]?.trim() === 'ready') return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}
