import { canary } from '../canary.ts';
import { freePorts } from '../process-rig.ts';
import { usePostgres, type PostgresServer } from '../postgres/server.ts';
import { useSidecar, type RunningSidecar } from './sidecar.ts';
import { useWire, type Wire } from './wire.ts';

/** Seconds for a client to send its login. */
export const LOGIN_SECONDS = 2;
/** Seconds for a client to send its first byte. */
export const SILENT_SECONDS = 3;
/** Connections that the service `limited` may have. */
export const CONNECTIONS_MAX = 2;

export interface FaultWorld {
  readonly server: () => PostgresServer;
  /** What is between the sidecar and the server. */
  readonly wire: () => Wire;
  readonly sidecar: () => RunningSidecar;
}

const RULES = `rules:
  - { id: never-here, effect: deny, services: [denied] }
  - { id: all-else, effect: allow, services: [db, trusted, limited, absent, unreachable] }
limits: { header: ${LOGIN_SECONDS}s, keepAlive: ${SILENT_SECONDS}s, drain: 2s }
`;

/** A server, a wire that can break, and a sidecar whose services fail in different ways. */
export function useFaultWorld(): FaultWorld {
  const password = canary();
  const server = usePostgres({
    version: 17,
    hba: ['host all trusted 127.0.0.1/32 trust', 'host all app 127.0.0.1/32 scram-sha-256'],
    setup: [`create role app login password '${password}'`, 'create role trusted login'],
  });
  const wire = useWire(() => server().port);
  const sidecar = useSidecar(async () => {
    const [nobody] = await freePorts(1);
    const app = { host: '127.0.0.1', port: String(wire().port), username: 'app', password, sslmode: 'disable' };
    return {
      db: { credentials: app },
      trusted: {
        credentials: { host: '127.0.0.1', port: String(server().port), username: 'trusted', sslmode: 'disable' },
      },
      limited: { credentials: app, limits: { connections: CONNECTIONS_MAX } },
      absent: { credentials: { ...app, password: { from: 'file', get: '/nowhere/password' } }, cache: '1s' },
      unreachable: { credentials: { ...app, port: String(nobody) } },
      denied: { credentials: app },
    };
  }, RULES);
  return { server, wire, sidecar };
}
