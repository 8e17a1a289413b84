import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueAuthority } from '../../src/certificate/authority.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';
import { startPostgresServer } from '../../src/cli/demo/postgres-server.ts';
import { pinRunning, type CpuSet } from '../harness/cpu.ts';
import { familyOf } from '../harness/usage.ts';

/** A PostgreSQL that speaks plain and TLS, and lets nobody in without SCRAM. */
export interface Server {
  readonly version: number;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** PEM file of the authority that signed the server's certificate, which is for `localhost` and 127.0.0.1. */
  readonly authorityFile: string;
  close(): Promise<void>;
}

export const SERVER_VERSION = 18;

/** Large enough that all tables stay in memory, and nothing the server does now and then on its own falls into a round. */
const SETTINGS = {
  shared_buffers: '256MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  log_min_messages: 'fatal',
};

/** Throws where it is not installed. */
export async function startServer(cpus: CpuSet, password: string, connectionsMax: number): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'postgres-bench-'));
  const clean = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await chmod(folder, 0o711); // peers under another account read the authority
    const authority = await issueAuthority('postgres bench');
    const { certificate, key } = await issueServerIdentity(authority, ['localhost', '127.0.0.1']);
    const authorityFile = join(folder, 'authority.crt');
    await writeFile(authorityFile, authority.certificate, { mode: 0o644 });
    const server = await startPostgresServer({
      version: SERVER_VERSION,
      hba: ['host all all 127.0.0.1/32 scram-sha-256'],
      settings: { ...SETTINGS, max_connections: String(connectionsMax) },
      tls: { certificate, key },
      password,
    });
    if ('missing' in server) throw new Error(server.missing);
    pinRunning(cpus, familyOf(server.pid));
    const close = async (): Promise<void> => {
      await server.stop();
      await clean();
    };
    const { version, port, superuser } = server;
    return { version, port, user: superuser, password, database: 'bench', authorityFile, close };
  } catch (error) {
    await clean();
    throw error;
  }
}
