import { type Credentials, lineOf, Secret, SidecarError } from 'secretless-sidecar/connector';
import { type Dsn, pairHosts, parseDsn, trimmed } from './dsn.ts';
import type { Parameter } from './startup.ts';
import { type Target, targetOf } from './target.ts';
import {
  AUTH_METHODS,
  type AuthMethod,
  CHANNEL_BINDINGS,
  type ChannelBinding,
  isWord,
  SSL_MODES,
  SSL_NEGOTIATIONS,
  type SslMode,
  type SslNegotiation,
} from './words.ts';

/** Credentials with a meaning of their own; any other is a startup option. */
export type CredentialName =
  | 'url'
  | 'host'
  | 'port'
  | 'address'
  | 'username'
  | 'password'
  | 'sslmode'
  | 'sslhost'
  | 'sslrootcert'
  | 'sslcert'
  | 'sslkey';

const OWN: ReadonlySet<string> = new Set<CredentialName>([
  'url',
  'host',
  'port',
  'address',
  'username',
  'password',
  'sslmode',
  'sslhost',
  'sslrootcert',
  'sslcert',
  'sslkey',
]);

/** Startup parameters that policy has seen, or that decide who logs in: never from a credential. */
export const IDENTITY_OPTIONS: ReadonlySet<string> = new Set(['user', 'database', 'dbname', 'replication']);

/** Parameters of a URL that say how to connect, with no effect here or an effect elsewhere. */
const CONNECTION_PARAMETERS = new Set(
  `host hostaddr port user dbname replication sslmode ssl sslhost sslrootcert sslcert sslkey sslnegotiation
  channel_binding require_auth connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count
  tcp_user_timeout sslcompression sslsni load_balance_hosts gsslib krbsrvname gssdelegation uselibpqcompat
  target_session_attrs gssencmode sslcertmode min_protocol_version max_protocol_version fallback_application_name`.split(
    /\s+/,
  ),
);

/** Where to, as whom, and how safely. The files that the certificates may be in are not read yet. */
export interface Settings {
  readonly targets: readonly Target[];
  readonly username: Buffer;
  /** A copy; the login wipes it. */
  readonly password: Secret | undefined;
  readonly sslmode: SslMode | undefined;
  readonly sslhost: string | undefined;
  /** PEM, an absolute path, or for the authorities `system`. */
  readonly sslrootcert: Secret | undefined;
  readonly sslcert: Secret | undefined;
  readonly sslkey: Secret | undefined;
  readonly options: readonly Parameter[];
  /** Of the URL, for what the configuration leaves open. */
  readonly sslnegotiation: SslNegotiation | undefined;
  readonly channelBinding: ChannelBinding | undefined;
  readonly requireAuth: readonly AuthMethod[] | undefined;
}

type Lent = Credentials<CredentialName>;

/** Errors: `credential-unfit`, `credential-missing`. */
export function settingsOf(credentials: Lent): Settings {
  const dsn = credentials.has('url') ? parseDsn(credentials.get('url')) : undefined;
  try {
    return settingsWith(credentials, dsn);
  } catch (error) {
    dsn?.password?.wipe();
    throw error;
  }
}

function settingsWith(credentials: Lent, dsn: Dsn | undefined): Settings {
  const text = (name: CredentialName): string | undefined =>
    credentials.has(name) ? lineOf(credentials.get(name), name) : undefined;
  const pem = (name: 'sslrootcert' | 'sslcert' | 'sslkey'): Secret | undefined => {
    if (credentials.has(name)) return credentials.get(name);
    const path = dsn?.parameters.get(name);
    return path === undefined ? undefined : new Secret(path);
  };
  const username = text('username') ?? dsn?.user;
  if (username === undefined || username === '') {
    throw new SidecarError('credential-missing', { detail: 'credential "username", or a user in "url"' });
  }
  refuseUnmet(dsn);
  const parameter = (name: string): string | undefined => dsn?.parameters.get(name);
  const ssl = parameter('ssl') === 'true' ? 'require' : undefined;
  return {
    targets: targetsOf(text('address'), text('host'), text('port'), dsn),
    username: Buffer.from(username),
    sslmode: word(SSL_MODES, text('sslmode') ?? parameter('sslmode') ?? ssl, 'sslmode'),
    sslhost: text('sslhost') ?? parameter('sslhost'),
    sslrootcert: pem('sslrootcert'),
    sslcert: pem('sslcert'),
    sslkey: pem('sslkey'),
    options: [...optionsOf(credentials), ...urlOptions(dsn)],
    sslnegotiation: word(SSL_NEGOTIATIONS, parameter('sslnegotiation'), 'url'),
    channelBinding: word(CHANNEL_BINDINGS, parameter('channel_binding'), 'url'),
    requireAuth: parameter('require_auth')
      ?.split(',')
      .map((each) => word(AUTH_METHODS, each.trim(), 'url')!),
    // Last, so that no copy of it is left where something before throws.
    password: passwordOf(credentials, dsn),
  };
}

/** What a URL demands of its client and this connector does not do is refused, never ignored. */
function refuseUnmet(dsn: Dsn | undefined): void {
  const met: Readonly<Record<string, readonly string[]>> = {
    gssencmode: ['disable', 'prefer'],
    target_session_attrs: ['any'],
    sslcertmode: ['allow', 'disable'],
    load_balance_hosts: ['disable'],
    replication: ['false', 'off', 'no', '0'],
  };
  const unknown = ['sslcrl', 'sslcrldir', 'sslpassword', 'ssl_min_protocol_version', 'ssl_max_protocol_version'];
  const never = [...unknown, 'service', 'servicefile', 'passfile', 'sslkeylogfile'];
  for (const [name, value] of dsn?.parameters ?? []) {
    const isUnmet = Object.hasOwn(met, name) ? !met[name]!.includes(value) : never.includes(name);
    if (isUnmet) throw unfit('url', `asks for ${name}, which this connector does not do`);
  }
}

function targetsOf(
  address: string | undefined,
  host: string | undefined,
  port: string | undefined,
  dsn: Dsn | undefined,
): readonly Target[] {
  if (address !== undefined) {
    const [, bracketed, name, ownPort] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(address) ?? [];
    const whole = bracketed ?? name;
    if (whole === undefined) throw unfit('address', 'is not host or host:port');
    return [targetOf(whole, ownPort ?? port ?? '')];
  }
  const hosts = host?.split(',') ?? dsn?.hosts.map((each) => each.host);
  if (hosts === undefined) throw new SidecarError('credential-missing', { detail: 'credential "host" or "url"' });
  const ports = port?.split(',') ?? (host === undefined ? dsn!.hosts.map((each) => each.port) : []);
  const addresses = host === undefined ? dsn!.parameters.get('hostaddr')?.split(',') : undefined;
  if (addresses !== undefined && addresses.length !== hosts.length) {
    throw unfit('url', 'does not have one hostaddr for each host');
  }
  return pairHosts(hosts, ports, 'port').map((each, at) => targetOf(each.host, each.port, addresses?.[at]));
}

/** One trailing newline is dropped, on bytes: a password never becomes a text. */
function passwordOf(credentials: Lent, dsn: Dsn | undefined): Secret | undefined {
  if (!credentials.has('password')) return dsn?.password;
  const password = credentials.get('password').expose((bytes) => new Secret(trimmed(bytes)));
  const isCut = password.expose((bytes) => bytes.includes(0));
  if (isCut) password.wipe();
  if (isCut) throw unfit('password', 'holds a NUL');
  dsn?.password?.wipe();
  return password;
}

function optionsOf(credentials: Lent): Parameter[] {
  const all = credentials as Credentials;
  return all.names
    .filter((name) => !OWN.has(name) && !IDENTITY_OPTIONS.has(name))
    .map((name) => ({ name, value: Buffer.from(lineOf(all.get(name), name)) }));
}

function urlOptions(dsn: Dsn | undefined): Parameter[] {
  return [...(dsn?.parameters ?? [])]
    .filter(([name]) => !CONNECTION_PARAMETERS.has(name) && !IDENTITY_OPTIONS.has(name))
    .map(([name, value]) => ({ name, value: Buffer.from(value) }));
}

function word<Word extends string>(words: readonly Word[], text: string | undefined, name: string): Word | undefined {
  if (text === undefined || isWord(words, text)) return text;
  throw unfit(name, `is none of ${words.join(', ')}`);
}

function unfit(name: string, what: string): SidecarError {
  return new SidecarError('credential-unfit', { detail: `credential "${name}" ${what}` });
}
