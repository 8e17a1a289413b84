import pg, { type ClientConfig } from 'pg';
import { onTestFinished } from 'vitest';
import { freePorts } from '../../src/cli/demo/ports.ts';
import { keepArtefact } from '../canary.ts';
import { startRig, type Rig } from '../rig.ts';

/** One service in front of a PostgreSQL; what is left out is as in secretless.yml. */
export interface PostgresService {
  /** Values of credentials that hold a secret go through the environment, so that no file has them. */
  readonly credentials: Readonly<Record<string, string | { readonly from: string; readonly get: string }>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Default: a free port of 127.0.0.1. */
  readonly listenOn?: string;
  readonly cache?: string;
  readonly timeouts?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, number>>;
}

export interface PostgresRig extends Rig {
  /** The configuration text for other services, for `rewrite`; `rest` is appended. */
  text(services: Readonly<Record<string, PostgresService>>, rest?: string): string;
}

const SECRET = new Set(['url', 'password', 'sslkey']);

/** A whole sidecar in this process with these services; `rest` is appended to the configuration. */
export async function startPostgresSidecar(
  services: Readonly<Record<string, PostgresService>>,
  rest = '',
): Promise<PostgresRig> {
  const env: Record<string, string> = {};
  const names = Object.keys(services);
  // Stream services do not share an address, be it port 0.
  const free = await freePorts(names.length);
  const ports = new Map(names.map((name, at) => [name, free[at]!]));
  const text: PostgresRig['text'] = (named, more = rest) => `${configurationText(named, ports, env)}\n${more}`;
  const rig = await startRig(text(services), env);
  return { ...rig, text };
}

let serial = 0;

function configurationText(
  services: Readonly<Record<string, PostgresService>>,
  ports: ReadonlyMap<string, number>,
  env: Record<string, string>,
): string {
  const written = Object.entries(services).map(([name, service]) => {
    const credentials = Object.entries(service.credentials).map(([credential, value]) => {
      if (typeof value !== 'string' || !SECRET.has(credential)) return [credential, value];
      serial += 1;
      const variable = `PG_TEST_${serial}`;
      env[variable] = value;
      process.env[variable] = value;
      return [credential, { from: 'env', get: variable }];
    });
    const whole = { connector: 'postgres', listenOn: `tcp://127.0.0.1:${ports.get(name) ?? 0}`, ...service };
    return [name, { ...whole, credentials: Object.fromEntries(credentials) as unknown }];
  });
  // JSON is YAML.
  return `services: ${JSON.stringify(Object.fromEntries(written))}`;
}

/** A client that holds nothing: `pg` with a name of its own and no password. Ended after the test. */
export async function connectClient(port: number, config: ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'agent', database: 'postgres', ...config });
  // The end of a connection that nobody asks anything on.
  client.on('error', () => undefined);
  // The end would wait for a server that is gone already.
  onTestFinished(() => void client.end().catch(() => undefined));
  await client.connect();
  return client;
}

/** What a client heard instead of an answer. */
export interface Heard {
  readonly code: string | undefined;
  readonly severity: string | undefined;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
}

/** The refusal of a connection or query, kept for the leak sweep. Errors: where there was none. */
export async function refusalOf(attempt: Promise<unknown>): Promise<Heard> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown as Heard,
  );
  if (error === undefined) throw new Error('this was not refused');
  const { code, severity, message, detail, hint } = error;
  const heard = { code, severity, message, detail, hint };
  keepArtefact('downstream', JSON.stringify(heard));
  return heard;
}

/** Who the upstream takes a new connection for, and whether it speaks TLS: `role@database, tls`. */
export async function whoAmI(port: number, config: ClientConfig = {}): Promise<string> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'agent', database: 'postgres', ...config });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ role: string; database: string; tls: boolean }>(
      `select current_user as role, current_database() as database,
       (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as tls`,
    );
    const { role, database, tls } = rows[0]!;
    return `${role}@${database}, ${tls ? 'tls' : 'plain'}`;
  } finally {
    await client.end();
  }
}
