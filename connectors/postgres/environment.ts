import type { AgentEnvironment, EnvironmentQuestion } from 'secretless-sidecar/connector';
import type { PostgresConfig } from './config.ts';

/** Variables of libpq that would lead elsewhere, hold a credential, or demand what is not there (libpq, "Environment Variables"). */
const UNSET = [
  'PGCHANNELBINDING',
  'PGHOSTADDR',
  'PGPASSFILE',
  'PGPASSWORD',
  'PGREQUIREAUTH',
  'PGREQUIRESSL',
  'PGSERVICE',
  'PGSERVICEFILE',
  'PGSSLCERT',
  'PGSSLCRL',
  'PGSSLCRLDIR',
  'PGSSLKEY',
  'PGSSLNEGOTIATION',
  'PGSSLROOTCERT',
  'PGTARGETSESSIONATTRS',
] as const;

interface Place {
  readonly host: string;
  readonly port: string;
}

/** What clients need to find the listener. The user is made up: upstream it is another. */
export function environmentOf(config: PostgresConfig, question: EnvironmentQuestion): AgentEnvironment {
  const place = placeOf(question.url);
  if (place === undefined) {
    return { problem: 'clients find no such socket: listen on a path that ends with /.s.PGSQL.5432, or on TCP' };
  }
  const user = question.agent ?? question.owner;
  const sslmode = (config.tls ?? 'off') === 'off' ? 'disable' : 'require';
  return {
    set: {
      PGHOST: place.host,
      PGPORT: place.port,
      PGUSER: user,
      PGSSLMODE: sslmode,
      PGGSSENCMODE: 'disable',
      ...(config.database === undefined ? {} : { PGDATABASE: config.database }),
    },
    unset: UNSET,
    url: connectionUrl(place, user, config.database ?? '', sslmode),
  };
}

function placeOf(url: string | undefined): Place | undefined {
  if (url === undefined) return undefined;
  const socket = /^unix:\/\/(\/.*)\/\.s\.PGSQL\.(\d+)$/.exec(url);
  if (socket !== null) return { host: socket[1]!, port: socket[2]! };
  const [, host, port] = /^tcp:\/\/(.*):(\d+)$/.exec(url) ?? [];
  return host === undefined || port === undefined ? undefined : { host: host.replace(/^\[(.*)\]$/, '$1'), port };
}

/** libpq, "Connection URIs". A folder is no host of a URL, so it goes among the parameters. */
function connectionUrl({ host, port }: Place, user: string, database: string, sslmode: string): string {
  const login = encodeURIComponent(user);
  const path = encodeURIComponent(database);
  if (host.startsWith('/')) {
    return `postgres://${login}@/${path}?host=${encodeURIComponent(host)}&port=${port}&sslmode=${sslmode}`;
  }
  return `postgres://${login}@${host.includes(':') ? `[${host}]` : host}:${port}/${path}?sslmode=${sslmode}`;
}
