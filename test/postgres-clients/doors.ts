import { canary } from '../canary.ts';
import { usePostgres, type PostgresServer, type PostgresVersion } from '../postgres/server.ts';
import type { Door, Doors } from './case.ts';
import { useSidecar, type RunningSidecar } from './sidecar.ts';

/** What the lists of cases need of a server. */
const SETTINGS = {
  wal_level: 'logical',
  max_prepared_transactions: '10',
  max_connections: '200',
  max_wal_senders: '10',
  // Two base backups at a time force checkpoints on each other.
  wal_keep_size: '256MB',
} as const;
const HBA = ['local all all scram-sha-256', 'host all,replication all 127.0.0.1/32 scram-sha-256'];

export interface World {
  readonly server: () => PostgresServer;
  readonly sidecar: () => RunningSidecar;
  /** Of the role `app`, which owns the databases: one for each side, and one for copies of it. */
  readonly password: string;
  /** Through the service that answers clients in plain. */
  readonly doors: () => Doors;
  /** Through the service that speaks TLS with its clients too. */
  readonly secureDoors: () => Doors;
}

/** A server with a role and two databases, and a sidecar in front of it, for all tests of a `describe`. */
export function useWorld(version: PostgresVersion, upstream: 'plain' | 'tls'): World {
  const password = canary();
  const server = usePostgres({
    version,
    settings: SETTINGS,
    hba: HBA,
    setup: [
      `create role app login replication password '${password}'`,
      'create database direct_side owner app',
      'create database sidecar_side owner app',
      'create database direct_copy owner app',
      'create database sidecar_copy owner app',
    ],
  });
  const sidecar = useSidecar(() => {
    const { host, port, ca } = server();
    const tls = upstream === 'tls' ? { sslmode: 'verify-full', sslrootcert: ca } : { sslmode: 'disable' };
    const credentials = { host, port: String(port), username: 'app', password, ...tls };
    return { plain: { credentials }, secure: { credentials, config: { tls: 'self-signed' } } };
  });
  const direct = (): Door => {
    const { host, port, ca, socketFolder } = server();
    return { host, port, user: 'app', password, database: 'direct_side', socketFolder, ca };
  };
  const through = (service: string, ca: string | undefined): Door => {
    const { port, socketFolder } = sidecar();
    const at = { host: '127.0.0.1', port: port(service), socketFolder: socketFolder(service) };
    return { ...at, user: 'nobody', password: undefined, database: 'sidecar_side', ca };
  };
  return {
    server,
    sidecar,
    password,
    doors: () => ({ direct: direct(), sidecar: through('plain', undefined) }),
    secureDoors: () => ({ direct: direct(), sidecar: through('secure', 'self-signed') }),
  };
}
