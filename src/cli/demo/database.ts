import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from '../../certificate/certificate.ts';
import { issueServerIdentity } from '../../certificate/server.ts';
import { medianRoundTrip, type PgClient } from './database-agent.ts';
import type { Missing } from './postgres-binaries.ts';
import { startPostgresServer } from './postgres-server.ts';

/** A real PostgreSQL that lets nobody in without TLS and the right password. */
export interface DemoDatabase {
  readonly port: number;
  readonly password: string;
  /** Path of the authority that signed its certificate. */
  readonly caFile: string;
  /** Median of a round trip with the password and without the sidecar, in milliseconds. */
  readonly directMs: number;
  close(): Promise<void>;
}

/** `authority` signs its certificate. Where the packages it needs are not installed (they are for development), the reason. */
export async function openDatabase(folder: string, authority: Identity): Promise<DemoDatabase | Missing> {
  const driver = await import('pg').catch(() => undefined);
  if (driver === undefined) return { missing: 'the npm package pg is not installed' };
  const password = randomBytes(24).toString('base64url');
  const identity = await issueServerIdentity(authority, ['127.0.0.1']);
  const server = await startPostgresServer({
    version: 18,
    password,
    hba: ['hostssl all all 127.0.0.1/32 scram-sha-256'],
    tls: identity,
  });
  if ('missing' in server) return server;
  const caFile = join(folder, 'database-ca.pem');
  await writeFile(caFile, authority.certificate);
  const client: PgClient = new driver.default.Client({
    ...{ host: '127.0.0.1', port: server.port, user: 'postgres', password, database: 'postgres' },
    ssl: { ca: authority.certificate },
  });
  await client.connect();
  const directMs = await medianRoundTrip(client);
  await client.end();
  return { port: server.port, password, caFile, directMs, close: () => server.stop() };
}
