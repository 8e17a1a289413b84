import { type ConfigProblem, DURATION_PATTERN, parseDuration, type Static, Type } from 'secretless-sidecar/connector';
import { isLocalHost } from './target.ts';
import { AUTH_METHODS, CHANNEL_BINDINGS, isWord, SSL_MODES, SSL_NEGOTIATIONS } from './words.ts';

/** One of the words; written out as literals, so that an editor offers them. */
function oneOf<Word extends string>(words: readonly Word[], description: string) {
  return Type.Unsafe<Word>({ type: 'string', enum: [...words], description });
}

export const postgresConfig = Type.Object(
  {
    database: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'The database that is opened, whatever the client asks for',
      }),
    ),
    maxConnectionAge: Type.Optional(
      Type.String({ pattern: DURATION_PATTERN, description: 'After this time a connection ends as soon as it rests' }),
    ),
    requireAuth: Type.Optional(
      Type.Array(oneOf(AUTH_METHODS, 'as in `require_auth` of libpq'), {
        minItems: 1,
        description: 'Ways to log in that the upstream may ask for',
      }),
    ),
    channelBinding: Type.Optional(oneOf(CHANNEL_BINDINGS, 'Whether SCRAM is bound to the TLS channel upstream')),
    sslnegotiation: Type.Optional(
      oneOf(SSL_NEGOTIATIONS, 'Whether TLS upstream is asked for first, or begins at once'),
    ),
    tls: Type.Optional(
      Type.Union(
        [
          oneOf(['off', 'self-signed'], 'TLS on the side of the client'),
          Type.Object(
            { certificate: Type.String({ pattern: '^/' }), key: Type.String({ pattern: '^/' }) },
            { additionalProperties: false, description: 'PEM files, absolute paths' },
          ),
        ],
        { description: 'TLS on the side of the client' },
      ),
    ),
  },
  { additionalProperties: false },
);

export type PostgresConfig = Static<typeof postgresConfig>;

/** Names that a client chooses or `config` fixes, since policy decides by them before there are credentials. */
const NOT_CREDENTIALS: ReadonlyMap<string, string> = new Map([
  ['database', '`database` belongs under config: policy decides by it before there are credentials'],
  ['dbname', '`database` belongs under config: policy decides by it before there are credentials'],
  ['user', 'the role is called `username`'],
  ['replication', 'only the client can ask for replication'],
]);

/** Credentials that stand in the configuration file itself, by name. */
type Literals = Readonly<Record<string, string>>;

/** Problems that the schema cannot see, all of them. */
export function checkPostgresConfig(
  config: PostgresConfig,
  credentialNames: readonly string[],
  literals: Literals = {},
): ConfigProblem[] {
  return [
    ...agreementProblems(config),
    ...credentialProblems(credentialNames),
    ...sslProblems(config, credentialNames, literals),
  ];
}

function agreementProblems({
  database,
  maxConnectionAge,
  requireAuth,
  channelBinding,
}: PostgresConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (database !== undefined && (database.includes('\0') || Buffer.byteLength(database) > 63)) {
    problems.push({ path: ['database'], message: 'a name has at most 63 bytes and no NUL' });
  }
  if (maxConnectionAge !== undefined && !((parseDuration(maxConnectionAge) ?? 0) > 0)) {
    problems.push({ path: ['maxConnectionAge'], message: 'a time above zero, up to a day' });
  }
  if (channelBinding === 'require' && requireAuth !== undefined && !requireAuth.includes('scram-sha-256')) {
    problems.push({ path: ['channelBinding'], message: 'only scram-sha-256 can be bound: add it to requireAuth' });
  }
  return problems;
}

function credentialProblems(names: readonly string[]): ConfigProblem[] {
  const problems: string[] = names.flatMap((name) => NOT_CREDENTIALS.get(name) ?? []);
  const has = (name: string): boolean => names.includes(name);
  if (!has('host') && !has('address') && !has('url')) {
    problems.push('nothing says where the server is: add the credential host, address or url');
  }
  if (has('host') && has('address')) problems.push('host and address say the same: keep one of the two');
  if (!has('username') && !has('url')) problems.push('nothing says who logs in: add the credential username, or url');
  if (has('sslcert') !== has('sslkey')) problems.push('sslcert and sslkey belong together');
  return problems.map((message) => ({ path: [], message }));
}

function sslProblems(
  { sslnegotiation }: PostgresConfig,
  names: readonly string[],
  { sslmode, host, address }: Literals,
): ConfigProblem[] {
  if (sslmode === undefined) return [];
  const of = { path: [], credential: 'sslmode' };
  if (!isWord(SSL_MODES, sslmode)) return [{ ...of, message: `sslmode is one of ${SSL_MODES.join(', ')}` }];
  if (sslnegotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(sslmode)) {
    return [{ path: ['sslnegotiation'], message: 'direct needs sslmode require or stronger' }];
  }
  const isVerified = sslmode.startsWith('verify-') || (sslmode === 'require' && names.includes('sslrootcert'));
  const isLocal = isLocalHost(host ?? address?.replace(/:\d+$/, '') ?? '');
  if (isVerified || isLocal) return [];
  const message = 'the upstream is not verified, so whoever is on the way can pose as it: use verify-full';
  return [{ ...of, message, severity: 'warning' }];
}
