import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { startManInTheMiddle } from './postgres/man-in-the-middle.ts';
import { PASSWORD, settingOfRoles } from './postgres/roles.ts';
import { refusalOf, startPostgresSidecar, whoAmI, type Heard, type PostgresService } from './postgres/rig.ts';
import { certificates, installedVersions, startPostgres, usePostgres, type PostgresServer } from './postgres/server.ts';

/** What a client hears when the login upstream comes to nothing: the SQLSTATE that it acts upon, and nothing of ours. */

type Credentials = PostgresService['credentials'];

interface Refusal {
  readonly name: string;
  readonly credentials?: Credentials;
  readonly config?: Readonly<Record<string, unknown>>;
  /** The client asks for this database. */
  readonly database?: string;
  readonly code: string;
  /** The upstream's own words, which hold what the client sent. */
  readonly verbatim?: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  { name: 'a wrong password', credentials: { password: canary() }, code: '28P01' },
  { name: 'an unknown role', credentials: { username: 'nobody_role' }, code: '28P01' },
  { name: 'a role that may not log in', credentials: { username: 'nologin_role' }, code: '28000' },
  { name: 'a role that pg_hba.conf rejects', credentials: { username: 'reject_role' }, code: '28000' },
  {
    name: 'plaintext where pg_hba.conf wants TLS',
    credentials: { username: 'tlsonly_role', sslmode: 'disable' },
    code: '28000',
  },
  { name: 'a missing client certificate', credentials: { username: 'cert_role', sslmode: 'require' }, code: '28000' },
  { name: 'an unknown database', database: 'nowhere', code: '3D000', verbatim: /^database "nowhere" does not exist$/ },
  {
    name: 'too many connections of the role',
    credentials: { username: 'few_role' },
    code: '53300',
    verbatim: /^too many connections for role/,
  },
  { name: 'MD5, which is not allowed', credentials: { username: 'md5_role', password: PASSWORD.md5 }, code: '0A000' },
  {
    name: 'the password itself, which is not allowed',
    credentials: { username: 'password_role', password: PASSWORD.password },
    code: '0A000',
  },
  {
    name: 'no authentication where SCRAM is required',
    credentials: { username: 'trust_role' },
    config: { requireAuth: ['scram-sha-256'] },
    code: '0A000',
  },
  {
    name: 'a channel that cannot be bound for want of TLS',
    credentials: { sslmode: 'disable' },
    config: { channelBinding: 'require' },
    code: '0A000',
  },
  {
    name: 'a channel that is not bound for want of SCRAM',
    credentials: { username: 'trust_role', sslmode: 'require' },
    config: { channelBinding: 'require' },
    code: '0A000',
  },
  {
    name: 'a certificate for another name',
    credentials: { sslmode: 'verify-full', sslhost: 'other.internal' },
    code: '08001',
  },
  { name: 'an empty password', credentials: { password: '' }, code: '57P03' },
  {
    name: 'a secret that its provider does not hold',
    credentials: { password: { from: 'env', get: 'PG_TEST_ABSENT' } },
    code: '57P03',
  },
  { name: 'a port that nobody listens on', credentials: { port: '1' }, code: '08001' },
  { name: 'a name that does not resolve', credentials: { host: 'nowhere.invalid' }, code: '08001' },
];

function credentialsOf({ port, ca }: PostgresServer, more: Credentials = {}): Credentials {
  const base = { host: '127.0.0.1', port: String(port), username: 'scram_role', password: PASSWORD.scram };
  return { ...base, sslrootcert: ca, ...more };
}

/** Nothing of the upstream, of the credential or of the machine is in what the client heard. */
function expectNothingOfOurs(heard: Heard, credentials: Credentials): void {
  const text = JSON.stringify(heard);
  for (const [name, value] of Object.entries(credentials)) {
    if (typeof value !== 'string' || value.length < 4 || name === 'sslmode' || name === 'sslrootcert') continue;
    expect(text, name).not.toContain(value);
  }
  expect(text).not.toMatch(/127\.0\.0\.1|ECONN|ENOTFOUND|EPIPE|_role|at .*\.ts/);
}

async function refusal(rig: { port(service: string): number }, database = 'postgres'): Promise<Heard> {
  return await refusalOf(whoAmI(rig.port('db'), { database }));
}

describe.each(installedVersions)('PostgreSQL %i', (version) => {
  const server = usePostgres(settingOfRoles(version));

  test.for(REFUSALS)('answers $name with $code', async ({ credentials: more, config, database, code, verbatim }) => {
    const credentials = credentialsOf(server(), more);
    const rig = await startPostgresSidecar({ db: { credentials, ...(config === undefined ? {} : { config }) } });
    const heard = await refusal(rig, database);
    expect(heard).toMatchObject({ code, severity: 'FATAL' });
    if (verbatim === undefined) {
      const id = /^correlation id ([0-9a-f]{16})$/.exec(heard.detail ?? '')?.[1];
      expect(rig.events('decision')).toMatchObject([{ id, service: 'db', database: 'postgres' }]);
      expect(rig.log.some((line) => line['id'] === id)).toBe(true);
      expectNothingOfOurs(heard, credentials);
    } else {
      expect(heard.message).toMatch(verbatim);
      // The role is the upstream's word here, and `select current_user` would have told it anyway.
      expect(JSON.stringify(heard)).not.toContain(PASSWORD.scram);
    }
  });

  test('answers a certificate of an authority that is not trusted with 08001', async () => {
    const { stranger } = await certificates();
    for (const sslmode of ['require', 'verify-ca', 'verify-full']) {
      const credentials = credentialsOf(server(), { sslmode, sslrootcert: stranger.certificate });
      const rig = await startPostgresSidecar({ db: { credentials } });
      const heard = await refusal(rig);
      expect(heard, sslmode).toMatchObject({ code: '08001', severity: 'FATAL' });
      expectNothingOfOurs(heard, credentials);
    }
  });

  test('notices who ends TLS on the way, by the binding of the channel', async () => {
    const { stranger } = await certificates();
    const port = String(await startManInTheMiddle(server().port, { identity: stranger }));
    // `require` verifies nobody without an authority: only SCRAM stands between the password and the stranger.
    const { sslrootcert: _, ...open } = credentialsOf(server(), { port, sslmode: 'require' });
    const bound = await startPostgresSidecar({ db: { credentials: open } });
    expect(await refusal(bound)).toMatchObject({ code: '28000' });
    expect(await server().log()).toContain('SCRAM channel binding check failed');
    const unbound = await startPostgresSidecar({ db: { credentials: open, config: { channelBinding: 'disable' } } });
    expect(await whoAmI(unbound.port('db'))).toBe('scram_role@postgres, tls');
  });

  test('notices who takes the binding of the channel out of the list on the way', async () => {
    const { stranger } = await certificates();
    const port = String(await startManInTheMiddle(server().port, { identity: stranger, strip: true }));
    const { sslrootcert: _, ...open } = credentialsOf(server(), { port, sslmode: 'require' });
    const preferring = await startPostgresSidecar({ db: { credentials: open } });
    expect(await refusal(preferring)).toMatchObject({ code: '28000' });
    expect(await server().log()).toContain('SCRAM channel binding negotiation error');
    const requiring = await startPostgresSidecar({ db: { credentials: open, config: { channelBinding: 'require' } } });
    expect(await refusal(requiring)).toMatchObject({ code: '0A000' });
  });

  test.runIf(version < 17)('answers a server that knows no direct TLS with 08001', async () => {
    const credentials = credentialsOf(server(), { sslmode: 'verify-full' });
    const rig = await startPostgresSidecar({ db: { credentials, config: { sslnegotiation: 'direct' } } });
    expect(await refusal(rig)).toMatchObject({ code: '08001' });
  });
});

test('a server without TLS is refused by the modes that need it, and served by those that do not', async () => {
  const plain = await startPostgres({ tls: 'off' });
  const service = (sslmode: string): PostgresService => ({
    credentials: {
      ...{ host: '127.0.0.1', port: String(plain.port), username: plain.superuser, password: plain.password },
      ...{ sslmode, sslrootcert: plain.ca },
    },
  });
  const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
  const rig = await startPostgresSidecar(Object.fromEntries(modes.map((mode) => [mode, service(mode)])));
  const outcome = (mode: string): Promise<string> =>
    whoAmI(rig.port(mode)).catch((error: unknown) => (error as Heard).code!);
  expect(Object.fromEntries(await Promise.all(modes.map(async (mode) => [mode, await outcome(mode)])))).toEqual({
    disable: 'postgres@postgres, plain',
    allow: 'postgres@postgres, plain',
    prefer: 'postgres@postgres, plain',
    require: '08001',
    'verify-ca': '08001',
    'verify-full': '08001',
  });
});

test('off this machine TLS is verified unless the credentials say otherwise', async () => {
  const server = await startPostgres();
  // An address of loopback that does not look like one.
  const credentials = { host: '::ffff:127.0.0.1', port: String(server.port), username: server.superuser };
  const secret = { password: server.password, sslhost: 'db.internal' };
  const rig = await startPostgresSidecar({
    silent: { credentials: { ...credentials, ...secret } },
    trusting: { credentials: { ...credentials, ...secret, sslrootcert: server.ca } },
    misnamed: { credentials: { ...credentials, ...secret, sslrootcert: server.ca, sslhost: 'other.internal' } },
    careless: { credentials: { ...credentials, ...secret, sslmode: 'require' } },
  });
  expect(await refusalOf(whoAmI(rig.port('silent')))).toMatchObject({ code: '08001' });
  expect(await whoAmI(rig.port('trusting'))).toBe('postgres@postgres, tls');
  expect(await refusalOf(whoAmI(rig.port('misnamed')))).toMatchObject({ code: '08001' });
  expect(await whoAmI(rig.port('careless'))).toBe('postgres@postgres, tls');
});

test('a password is not sent in clear to a server that was not verified', async () => {
  const server = await startPostgres({
    hba: ['host all all 127.0.0.1/32 password'],
    setup: ["create role plain_role login password 'p'"],
  });
  const credentials = { host: '::ffff:127.0.0.1', port: String(server.port), username: 'plain_role', password: 'p' };
  const config = { requireAuth: ['password'] };
  const verified = { sslrootcert: server.ca, sslhost: 'db.internal' };
  const rig = await startPostgresSidecar({
    plain: { credentials: { ...credentials, sslmode: 'disable' }, config },
    unverified: { credentials: { ...credentials, sslmode: 'require' }, config },
    verified: { credentials: { ...credentials, ...verified }, config },
  });
  expect(await refusalOf(whoAmI(rig.port('plain')))).toMatchObject({ code: '0A000' });
  expect(await refusalOf(whoAmI(rig.port('unverified')))).toMatchObject({ code: '0A000' });
  expect(await whoAmI(rig.port('verified'))).toBe('plain_role@postgres, tls');
});

test.for([
  ['closes at once', '', '08006'],
  ['speaks another protocol', 'HTTP/1.1 400 Bad Request\r\n\r\n', '08P01'],
  ['says an error before TLS', 'EFATAL: who are you, 10.0.0.7\0', '08P01'],
] as const)('an upstream that %s is answered with an SQLSTATE and none of its words', async ([, words, code]) => {
  const listening = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(words));
  });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  onTestFinished(() => void listening.close());
  const port = String((listening.address() as AddressInfo).port);
  const rig = await startPostgresSidecar({
    db: {
      credentials: { host: '127.0.0.1', port, username: 'someone_role', password: canary(), sslmode: 'verify-full' },
    },
  });
  const heard = await refusal(rig);
  expect(heard).toMatchObject({ code, severity: 'FATAL' });
  expect(JSON.stringify(heard)).not.toMatch(/10\.0\.0\.7|HTTP|someone/);
});
