import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { SidecarError, streamContext, type StreamService } from 'secretless-sidecar/connector';
import { Playbook, type PlaybookOptions } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import type { PostgresConfig } from './config.ts';
import { postgres } from './index.ts';
import {
  authenticationOk,
  backendKey,
  frame,
  mechanisms,
  negotiate,
  parameterStatus,
  passwordMessage,
  ready,
  request,
  serverError,
  sslRequest,
  startup,
} from './testdata/transcript-messages.ts';
import { bodyOf, initialResponse, ScramServer, type ScramChoices } from './testdata/transcript-scram.ts';
import {
  certificate,
  clientStartup,
  endPoint,
  hearing,
  HOST,
  PASSWORD,
  PLAIN,
  scram,
  serverStartup,
  TLS,
  welcome,
} from './testdata/transcript-talk.ts';

type Values = Readonly<Record<string, string>>;

async function open(config: PostgresConfig): Promise<StreamService> {
  return await postgres.open(config);
}

function play(service: StreamService, options: PlaybookOptions = {}): Playbook {
  return new Playbook(service.handshake(streamContext('conn-7', 'orders')), options).downstreamSends(clientStartup);
}

/** As far as the StartupMessage upstream. */
async function asking(credentials: Values = PLAIN, config: PostgresConfig = {}): Promise<Playbook> {
  const talk = play(await open(config))
    .authorizes(credentials)
    .dials(HOST);
  if (credentials['sslmode'] !== 'disable') {
    talk.upstreamReceives(sslRequest).upstreamSends('S').upstreamStartsTls({ peerCertificate: certificate });
  }
  return talk.upstreamReceives(serverStartup);
}

const PLUS = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'];
const bound: Partial<ScramChoices> = { offered: PLUS, endPoint };

describe('the server of these transcripts', () => {
  interface PgSession {
    readonly mechanism: string;
    /** The client's next message. */
    readonly response: string;
  }
  interface PgSasl {
    startSession(mechanisms: readonly string[], stream?: unknown): PgSession;
    continueSession(session: PgSession, password: string, data: string, stream?: unknown): Promise<void>;
    finalizeSession(session: PgSession, data: string): void;
  }

  test.each([
    ['without TLS', ['SCRAM-SHA-256'], undefined, 'n,,'],
    ['bound to its channel', PLUS, { getPeerCertificate: () => ({ raw: certificate }) }, 'p=tls-server-end-point,,'],
  ])('speaks with the client of another project, %s', async (_, offered, stream, gs2) => {
    const pg = createRequire(import.meta.url)('pg/lib/crypto/sasl.js') as PgSasl;
    const server = new ScramServer({ password: PASSWORD, offered, endPoint, gs2 });
    const session = pg.startSession(offered, stream);
    server.initial(initialResponse(session.mechanism, session.response));
    await pg.continueSession(session, PASSWORD, server.continue().subarray(9).toString(), stream);
    server.response(frame('p', session.response));
    pg.finalizeSession(session, server.final().subarray(9).toString());
    await expect(async () =>
      pg.finalizeSession(session, server.forgedFinal().subarray(9).toString()),
    ).rejects.toThrow();
  });

  test('refuses a client that does not know the password', () => {
    const server = new ScramServer({ password: PASSWORD });
    server.initial(initialResponse('SCRAM-SHA-256', 'n,,n=,r=abc'));
    server.continue();
    const proof = Buffer.alloc(32).toString('base64');
    expect(() => server.response(frame('p', `c=biws,r=abcserver-nonce-of-18,p=${proof}`))).toThrow('a wrong proof');
  });
});

describe('ways to log in', () => {
  test('trust', async () => {
    const { password: _, ...without } = PLAIN;
    await welcome(await asking(without)).splices();
  });

  test('SCRAM-SHA-256, without and with TLS', async () => {
    await welcome(scram(await asking(), { gs2: 'n,,' })).splices();
    // The client could bind the channel, and says so: whoever struck PLUS from the list is found out.
    await welcome(scram(await asking(TLS), { gs2: 'y,,' })).splices();
  });

  test.each([
    ['first', PLUS],
    ['last', ['SOMETHING', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS']],
  ])('SCRAM-SHA-256-PLUS, offered %s', async (_, offered) => {
    await welcome(scram(await asking(TLS), { ...bound, offered })).splices();
  });

  test('SCRAM-SHA-256-PLUS is not chosen without TLS, nor where it is disabled', async () => {
    await welcome(scram(await asking(), { offered: PLUS, gs2: 'n,,' })).splices();
    await welcome(scram(await asking(TLS, { channelBinding: 'disable' }), { offered: PLUS, gs2: 'n,,' })).splices();
  });

  test('channel binding that is required and not offered is refused, trust included', async () => {
    const required: PostgresConfig = { channelBinding: 'require' };
    for (const sent of [mechanisms('SCRAM-SHA-256'), authenticationOk]) {
      const talk = (await asking(TLS, required)).upstreamSends(sent);
      await talk.downstreamReceives(hearing('0A000')).closes('login-unsupported');
    }
    await welcome(scram(await asking(TLS, required), bound)).splices();
  });

  test.each<[string, Partial<ScramChoices>]>([
    ['a salt of 1 byte', { salt: Buffer.from('x') }],
    ['a salt of 32 bytes', { salt: Buffer.alloc(32, 9) }],
    ['a salt of 1,000 bytes', { salt: Buffer.alloc(1000, 9) }],
    ['10,000 iterations', { iterations: 10_000 }],
    ['an extension, which both sides sign', { extension: ',x=unknown,v=7' }],
    ['a nonce of 900 characters', { nonce: 'n'.repeat(900) }],
  ])('SCRAM with %s', async (_, choices) => {
    await welcome(scram(await asking(), choices)).splices();
  });

  test('keys are kept for a version of the credential, and not beyond', async () => {
    const service = await open({});
    const once = (password: string, version: string): Playbook =>
      play(service)
        .authorizes({ ...PLAIN, password }, { version })
        .dials(HOST)
        .upstreamReceives(serverStartup);
    await welcome(scram(once(PASSWORD, 'v1'))).splices();
    await welcome(scram(once('ignored: the keys of v1 are at hand', 'v1'))).splices();
    await welcome(scram(once('another one', 'v2'), { password: 'another one' })).splices();
  });

  test('cleartext, where it is allowed and the server was verified', async () => {
    const talk = (await asking(TLS, { requireAuth: ['password'] })).upstreamSends(request(3));
    await welcome(talk.upstreamReceives(passwordMessage(PASSWORD))).splices();
  });

  test('cleartext with a token of 4,000 bytes', async () => {
    const token = 'a'.repeat(4000);
    const talk = (await asking({ ...TLS, password: token }, { requireAuth: ['password'] })).upstreamSends(request(3));
    await welcome(talk.upstreamReceives(passwordMessage(token))).splices();
  });

  test('md5, where it is allowed', async () => {
    const md5 = (...parts: (string | Buffer)[]): string =>
      parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex');
    const salt = Buffer.from([1, 0, 0xff, 4]);
    const talk = (await asking(PLAIN, { requireAuth: ['md5'] })).upstreamSends(request(5, salt));
    await welcome(talk.upstreamReceives(passwordMessage(`md5${md5(md5(PASSWORD, 'app'), salt)}`))).splices();
  });

  test('OAUTHBEARER, and its refusal in two messages', async () => {
    const config: PostgresConfig = { requireAuth: ['oauth'] };
    const token = { ...TLS, password: 'eyJ.abc-_~+/=' };
    const bearer = initialResponse('OAUTHBEARER', 'n,,\x01auth=Bearer eyJ.abc-_~+/=\x01\x01');
    const offered = async (): Promise<Playbook> =>
      (await asking(token, config)).upstreamSends(mechanisms('OAUTHBEARER')).upstreamReceives(bearer);
    await welcome(await offered()).splices();
    await (
      await offered()
    )
      .upstreamSends(request(11, '{"status":"invalid_token","scope":"db","openid-configuration":"https://x"}'))
      .upstreamReceives((bytes) => expect(bodyOf(bytes)).toEqual(Buffer.from([1])))
      .upstreamSends(serverError('28000'))
      .reauthorizes(undefined)
      .downstreamReceives(hearing('28000'))
      .closes('credential-refused');
  });
});

describe('what the upstream asks for and does not get', () => {
  test.each<[string, Buffer, PostgresConfig, Values]>([
    ['cleartext', request(3), {}, TLS],
    ['cleartext without TLS', request(3), { requireAuth: ['password'] }, PLAIN],
    [
      'cleartext from a server that nobody verified',
      request(3),
      { requireAuth: ['password'] },
      { ...TLS, sslmode: 'require' },
    ],
    ['md5', request(5, 'salt'), {}, TLS],
    ['trust where it is not allowed', authenticationOk, { requireAuth: ['scram-sha-256'] }, TLS],
    ['SCRAM where it is not allowed', mechanisms(...PLUS), { requireAuth: ['md5'] }, TLS],
    ['a bearer token', mechanisms('OAUTHBEARER'), {}, TLS],
    ['a bearer token without TLS', mechanisms('OAUTHBEARER'), { requireAuth: ['oauth'] }, PLAIN],
    ['an unknown mechanism', mechanisms('SCRAM-SHA-1', 'EXTERNAL'), {}, TLS],
    ['no mechanism', mechanisms(), {}, TLS],
    ['Kerberos V5', request(2), {}, TLS],
    ['crypt', request(4, 'sa'), {}, TLS],
    ['SCM credentials', request(6), {}, TLS],
    ['GSSAPI', request(7), {}, TLS],
    ['GSSAPI data', request(8, 'x'), {}, TLS],
    ['SSPI', request(9), {}, TLS],
    ['something of the future', request(99), {}, TLS],
  ])('%s', async (_, asked, config, credentials) => {
    const talk = (await asking(credentials, config)).upstreamSends(asked);
    await talk.downstreamReceives(hearing('0A000')).closes('login-unsupported');
  });

  test('anything, where there is no password or an empty one', async () => {
    const { password: _, ...without } = PLAIN;
    for (const [credentials, code] of [
      [without, 'credential-missing'],
      [{ ...PLAIN, password: '\n' }, 'credential-unfit'],
    ] as const) {
      const talk = (await asking(credentials)).upstreamSends(mechanisms('SCRAM-SHA-256'));
      await talk.downstreamReceives(hearing('57P03')).closes(code);
    }
  });
});

describe('TLS upstream', () => {
  const started = async (sslmode: string): Promise<Playbook> =>
    play(await open({}))
      .authorizes({ ...PLAIN, sslmode })
      .dials(HOST);

  test.each([
    ['require', 'none'],
    ['verify-ca', 'chain'],
    ['verify-full', 'full'],
  ])('%s asks for it and verifies %s', async (sslmode, verify) => {
    const talk = (await started(sslmode)).upstreamReceives(sslRequest).upstreamSends('S');
    talk.upstreamStartsTls({}, (tls) =>
      expect(tls).toMatchObject({ verify, servername: HOST.host, alpn: ['postgresql'] }),
    );
    await welcome(scram(talk.upstreamReceives(serverStartup), { gs2: 'n,,' })).splices();
  });

  test.each(['require', 'verify-ca', 'verify-full'])('%s goes no further in plain', async (sslmode) => {
    const talk = (await started(sslmode)).upstreamReceives(sslRequest).upstreamSends('N');
    await talk.downstreamReceives(hearing('08001')).closes('upstream-plaintext');
  });

  test.each(['require', 'verify-ca', 'verify-full'])('%s goes no further where TLS fails', async (sslmode) => {
    const talk = (await started(sslmode)).upstreamReceives(sslRequest).upstreamSends('S').tlsFails('upstream');
    await talk.downstreamReceives(hearing('08001')).closes('upstream-tls');
  });

  test('prefer goes on in plain after N, and on a new connection where TLS fails', async () => {
    const after = (await started('prefer'))
      .upstreamReceives(sslRequest)
      .upstreamSends('N')
      .upstreamReceives(serverStartup);
    await welcome(scram(after)).splices();
    const anew = (await started('prefer')).upstreamReceives(sslRequest).upstreamSends('S').tlsFails('upstream');
    await welcome(scram(anew.dials(HOST).upstreamReceives(serverStartup))).splices();
  });

  test('allow asks for it only where plain is refused', async () => {
    await welcome(scram((await started('allow')).upstreamReceives(serverStartup))).splices();
    const refused = (await started('allow')).upstreamReceives(serverStartup).upstreamSends(serverError('28000'));
    const anew = refused.dials(HOST).upstreamReceives(sslRequest).upstreamSends('S').upstreamStartsTls();
    await welcome(scram(anew.upstreamReceives(serverStartup))).splices();
  });

  test('without asking, where that is configured: ALPN is then mandatory', async () => {
    const direct = async (alpn: string | undefined): Promise<Playbook> =>
      play(await open({ sslnegotiation: 'direct' }))
        .authorizes(TLS)
        .dials(HOST)
        .upstreamStartsTls({ alpn });
    await welcome(scram((await direct('postgresql')).upstreamReceives(serverStartup), { gs2: 'n,,' })).splices();
    await (await direct(undefined)).downstreamReceives(hearing('08001')).closes('upstream-tls');
  });

  test('a Unix socket has none', async () => {
    const credentials = { host: '/run/postgresql', username: 'app', password: PASSWORD, sslmode: 'verify-full' };
    const talk = play(await open({})).authorizes(credentials, {
      upstream: 'postgres://%2Frun%2Fpostgresql%2F.s.PGSQL.5432',
    });
    const reached = talk.dials({ path: '/run/postgresql/.s.PGSQL.5432' }).upstreamReceives(serverStartup);
    await welcome(scram(reached, { iterations: 1 })).splices();
  });
});

describe('several servers', () => {
  const [one, two] = [
    { host: 'one.example.com', port: 5432 },
    { host: 'two.example.com', port: 6432 },
  ];
  const credentials = { ...PLAIN, host: 'one.example.com,two.example.com', port: '5432,6432' };
  const started = async (): Promise<Playbook> => play(await open({})).authorizes(credentials);
  const logsIn = (talk: Playbook): Promise<unknown> =>
    welcome(scram(talk.dials(two).upstreamReceives(serverStartup))).splices();

  test.each<[string, (talk: Playbook) => Playbook]>([
    ['cannot be reached', (talk) => talk.dialFails(one)],
    ['leaves', (talk) => talk.dials(one).upstreamReceives(serverStartup).upstreamEnds()],
    ['stalls', (talk) => talk.dials(one).upstreamReceives(serverStartup).upstreamStalls()],
    ['is starting up', (talk) => talk.dials(one).upstreamReceives(serverStartup).upstreamSends(serverError('57P03'))],
  ])('the next is tried where the first %s', async (_, fail) => {
    await logsIn(fail(await started()));
  });

  test('the next is not tried where the first refuses the login', async () => {
    const talk = (await started()).dials(one).upstreamReceives(serverStartup).upstreamSends(serverError('28P01'));
    await talk.reauthorizes(undefined).downstreamReceives(hearing('28P01')).closes('credential-refused');
  });

  test('the last failure is the one that is told', async () => {
    const down = serverError('57P03');
    const talk = (await started()).dialFails(one).dials(two).upstreamReceives(serverStartup).upstreamSends(down);
    await talk.downstreamReceives(down).closes('login-refused');
  });
});

describe('a credential that is refused', () => {
  test.each(['28P01', '28000'])('by %s is fetched anew once, before the client hears anything', async (sqlstate) => {
    const stale = { ...PLAIN, password: 'stale password' };
    const server = new ScramServer({ password: 'stale password' });
    const talk = (await asking(stale)).upstreamSends(server.offer()).upstreamReceives(server.initial);
    talk.upstreamSends(server.continue).upstreamReceives(server.response).upstreamSends(serverError(sqlstate));
    talk.reauthorizes({ ...PLAIN, username: 'app_v2' }).dials(HOST);
    const again = startup([
      ['user', 'app_v2'],
      ['database', 'orders'],
    ]);
    await welcome(scram(talk.upstreamReceives(again))).splices();
  });

  test('twice is told, in the words of the sidecar', async () => {
    const talk = (await asking()).upstreamSends(serverError('28P01', 'password authentication failed for user "app"'));
    talk.reauthorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup).upstreamSends(serverError('28P01'));
    await talk.downstreamReceives(hearing('28P01')).closes('credential-refused');
  });

  test('and cannot be fetched anew is told as what went wrong', async () => {
    const talk = (await asking()).upstreamSends(serverError('28P01'));
    talk.reauthorizeFails(new SidecarError('credential-unavailable', { detail: 'vault at db.example.com' }));
    await talk.downstreamReceives(hearing('57P03')).closes('credential-unavailable');
  });
});

describe('from AuthenticationOk to ReadyForQuery', () => {
  test('a server may send no key at all', async () => {
    const rest = Buffer.concat([parameterStatus('a', 'b'), ready()]);
    await welcome(scram(await asking()), rest).splices();
  });

  test('settings that come one by one are passed on as they come', async () => {
    const talk = scram(await asking());
    for (const each of [authenticationOk, parameterStatus('a', 'b'), frame('N', 'SNOTICE\0\0')]) {
      talk.upstreamSends(each).downstreamReceives(each);
    }
    await talk.upstreamSends(ready('T')).downstreamReceives(ready('T')).splices();
  });

  test('an error behind AuthenticationOk is the server’s own', async () => {
    const gone = serverError('3D000', 'database "orders" does not exist');
    const all = Buffer.concat([authenticationOk, gone]);
    await scram(await asking())
      .upstreamSends(all)
      .downstreamReceives(all)
      .closes('login-refused');
  });

  test('a negotiation stands before AuthenticationOk, once', async () => {
    const talk = scram((await asking()).upstreamSends(negotiate(0)));
    const rest = Buffer.concat([authenticationOk, backendKey(1, Buffer.alloc(4)), ready()]);
    await talk
      .upstreamSends(rest)
      .downstreamReceives(Buffer.concat([negotiate(0), rest]))
      .splices();
  });

  test('the splice knows how a server rests, its greatest age and its farewell', async () => {
    const talk = play(await open({ maxConnectionAge: '2m' }))
      .authorizes(PLAIN)
      .dials(HOST)
      .upstreamReceives(serverStartup);
    const { handover } = await welcome(scram(talk)).splices();
    expect(handover.ageSecondsMax).toBe(120);
    const rests = [ready(), Buffer.concat([frame('C', 'SELECT 1\0'), ready()]), ready('T'), ready().subarray(1)];
    expect(rests.map((chunk) => handover.restsAfter!(chunk))).toEqual([true, true, false, false]);
    hearing('57P01')(Buffer.from(handover.farewell!(new SidecarError('grant-ended'))));
  });
});
