import { describe, expect, test } from 'vitest';
import { LONG_SINCE, PASSWORD, settingOfRoles, type Role } from './postgres/roles.ts';
import { startPostgresSidecar, whoAmI, type PostgresService } from './postgres/rig.ts';
import { certificates, installedVersions, usePostgres, type PostgresServer } from './postgres/server.ts';

/** Every way to log in under every mode of TLS, at every version, by a client that holds nothing. */

test('on Linux with x64 every version of the matrix is installed', () => {
  if (process.platform === 'linux' && process.arch === 'x64') expect(installedVersions).toEqual([13, 15, 17, 18]);
});

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'direct'] as const;
type Mode = (typeof MODES)[number];

/** What `pg` sees of the session, or the SQLSTATE of the refusal. */
type Outcomes = Partial<Record<Mode, string>>;

interface Way {
  readonly name: string;
  readonly role: string;
  readonly secret?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** With a client certificate for the role. */
  readonly certified?: true;
  /** Where it is not: in plain for `disable` and `allow`, TLS for all others. */
  readonly otherwise?: Outcomes;
}

const WAYS: readonly Way[] = [
  { name: 'trust', role: 'trust_role' },
  { name: 'SCRAM-SHA-256', role: 'scram_role', secret: PASSWORD.scram, config: { channelBinding: 'disable' } },
  {
    name: 'SCRAM-SHA-256-PLUS',
    role: 'scram_role',
    secret: PASSWORD.scram,
    config: { channelBinding: 'require' },
    otherwise: { disable: '0A000', allow: '0A000' },
  },
  { name: 'MD5', role: 'md5_role', secret: PASSWORD.md5, config: { requireAuth: ['md5'] } },
  {
    name: 'the password itself',
    role: 'password_role',
    secret: PASSWORD.password,
    config: { requireAuth: ['password'] },
  },
  {
    name: 'a client certificate',
    role: 'cert_role',
    certified: true,
    otherwise: { disable: '28000', allow: 'cert_role@postgres, tls' },
  },
];

const PLAIN: readonly Mode[] = ['disable', 'allow'];

describe.each(installedVersions)('PostgreSQL %i', (version) => {
  const server = usePostgres(settingOfRoles(version));
  const modes = MODES.filter((mode) => mode !== 'direct' || version >= 17);

  test.for(WAYS)('logs in with $name under each mode of TLS that allows it', async (way) => {
    const services = await servicesOf(way, modes, server());
    const rig = await startPostgresSidecar(services);
    const outcomes = await Promise.all(modes.map((mode) => outcome(rig.port(mode))));
    expect(Object.fromEntries(modes.map((mode, at) => [mode, outcomes[at]]))).toEqual(expected(way, modes));
  });

  const roles: readonly Role[] = [
    'roman',
    'hyphen',
    'space',
    'emoji',
    ...(version < LONG_SINCE ? [] : ['long' as const]),
  ];

  test.for(roles)('logs in with an unusual password: %s', async (role) => {
    const credentials = { host: '127.0.0.1', port: String(server().port), username: `${role}_role` };
    const config = role === 'long' ? { requireAuth: ['password'] } : {};
    const rig = await startPostgresSidecar({
      db: { credentials: { ...credentials, password: PASSWORD[role] }, config },
    });
    expect(await outcome(rig.port('db'))).toBe(`${role}_role@postgres, tls`);
  });
});

async function servicesOf(
  { role, secret, config = {}, certified }: Way,
  modes: readonly Mode[],
  { port, ca }: PostgresServer,
): Promise<Record<string, PostgresService>> {
  const { client } = await certificates();
  const identity = certified === true ? await client(role) : undefined;
  return Object.fromEntries(
    modes.map((mode) => {
      const direct = mode === 'direct';
      const service: PostgresService = {
        credentials: {
          host: '127.0.0.1',
          port: String(port),
          username: role,
          sslmode: direct ? 'verify-full' : mode,
          sslrootcert: ca,
          ...(secret === undefined ? {} : { password: secret }),
          ...(identity === undefined ? {} : { sslcert: identity.certificate, sslkey: identity.key }),
        },
        config: direct ? { ...config, sslnegotiation: 'direct' } : config,
      };
      return [mode, service];
    }),
  );
}

async function outcome(port: number): Promise<string> {
  return await whoAmI(port).catch((error: unknown) => (error as { code: string }).code);
}

function expected({ role, otherwise = {} }: Way, modes: readonly Mode[]): Outcomes {
  return Object.fromEntries(
    modes.map((mode) => [mode, otherwise[mode] ?? `${role}@postgres, ${PLAIN.includes(mode) ? 'plain' : 'tls'}`]),
  );
}
