import { SidecarError, streamContext, type StreamService } from 'secretless-sidecar/connector';
import { Playbook, type PlaybookOptions, type Remembered } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import type { PostgresConfig } from './config.ts';
import { postgres } from './index.ts';
import {
  authenticationOk,
  backendKey,
  cancelRequest,
  frame,
  GREASE,
  gssRequest,
  int32,
  negotiate,
  passwordMessage,
  ready,
  sslRequest,
  startup,
  untyped,
  V3_0,
  V3_2,
} from './testdata/transcript-messages.ts';
import {
  clientStartup,
  greeting,
  hearing,
  HOST,
  PLAIN,
  scram,
  serverStartup,
  TLS,
  welcome,
} from './testdata/transcript-talk.ts';

/** A login of a service; every transcript runs with bytes as they were sent, and one at a time. */
async function login(options: PlaybookOptions, config: PostgresConfig = {}): Promise<Playbook> {
  const service = (await postgres.open(config)) as unknown as StreamService;
  return new Playbook(service.handshake(streamContext('conn-7', 'orders')), options);
}

const loggedIn = (talk: Playbook, rewritten: Uint8Array = serverStartup): Playbook =>
  welcome(scram(talk.authorizes(PLAIN).dials(HOST).upstreamReceives(rewritten)));

describe.each([{ chunkBytes: Infinity }, { chunkBytes: 1 }])('in chunks of $chunkBytes', (options) => {
  describe('what comes before the StartupMessage', () => {
    test('nothing', async () => {
      await loggedIn((await login(options)).downstreamSends(clientStartup)).splices();
    });

    test.each([
      ['SSLRequest', [sslRequest]],
      ['GSSENCRequest', [gssRequest]],
      ['SSLRequest, GSSENCRequest', [sslRequest, gssRequest]],
      ['GSSENCRequest, SSLRequest', [gssRequest, sslRequest]],
    ])('%s, each answered with N', async (_, requests) => {
      const talk = await login(options);
      for (const each of requests) talk.downstreamSends(each).downstreamReceives('N');
      await loggedIn(talk.downstreamSends(clientStartup)).splices();
    });

    test.each([
      ['SSLRequest', sslRequest],
      ['GSSENCRequest', gssRequest],
    ])('%s a second time ends the connection without a word', async (_, twice) => {
      const talk = (await login(options)).downstreamSends(twice).downstreamReceives('N').downstreamSends(twice);
      await talk.closes('downstream-protocol');
    });

    test('TLS, where it is on, and not asked for again', async () => {
      const talk = (await login(options, { tls: 'self-signed' }))
        .downstreamSends(sslRequest)
        .downstreamReceives('S')
        .downstreamStartsTls({}, ({ alpn, identity }) => expect([alpn, identity]).toEqual([['postgresql'], undefined]));
      await loggedIn(talk.downstreamSends(clientStartup)).splices();
    });

    test.each([
      ['SSLRequest', sslRequest],
      ['GSSENCRequest', gssRequest],
    ])('TLS, and then %s, which is no question any more', async (_, again) => {
      const talk = (await login(options, { tls: 'self-signed' }))
        .downstreamSends(sslRequest)
        .downstreamReceives('S')
        .downstreamStartsTls()
        .downstreamSends(again);
      await talk.closes('downstream-protocol');
    });

    test('TLS at once, with ALPN', async () => {
      const talk = (await login(options, { tls: 'self-signed' }))
        .downstreamSends('\x16\x03\x01')
        .downstreamStartsTls({ alpn: 'postgresql' });
      await loggedIn(talk.downstreamSends(clientStartup)).splices();
    });

    test.each([
      ['without ALPN', undefined],
      ['with the ALPN of something else', 'h2'],
    ])('TLS at once %s is refused', async (_, alpn) => {
      const talk = await login(options, { tls: 'self-signed' });
      await talk.downstreamSends('\x16\x03\x01').downstreamStartsTls({ alpn }).closes('downstream-protocol');
    });

    test('TLS at once where it is off is refused', async () => {
      await (await login(options)).downstreamSends('\x16\x03\x01').closes('downstream-protocol');
    });

    test('a TLS handshake that fails ends the connection', async () => {
      const talk = (await login(options, { tls: 'self-signed' })).downstreamSends(sslRequest).downstreamReceives('S');
      await talk.tlsFails('downstream').closes('downstream-protocol');
    });

    test('a client that stalls or leaves hears nothing', async () => {
      await (
        await login(options)
      )
        .downstreamSends(sslRequest)
        .downstreamReceives('N')
        .downstreamStalls()
        .closes('login-timeout');
      await (await login(options)).downstreamSends(sslRequest).downstreamReceives('N').downstreamEnds().closes();
    });
  });

  describe('a first message that is refused without a word', () => {
    const huge = startup([['user', 'x'.repeat(10_000)]]);
    test.each<[string, Buffer]>([
      ['under 8 bytes', Buffer.concat([int32(7), int32(V3_0)])],
      ['of 8 bytes', untyped(V3_0)],
      ['of no bytes', Buffer.concat([int32(0), int32(V3_0)])],
      ['of 2 GiB', Buffer.concat([int32(0x7fff_ffff), int32(V3_0)])],
      ['of 4 GiB', Buffer.concat([int32(0xffff_ffff), int32(V3_0)])],
      ['over 10,000 bytes', huge],
      ['without a terminator', untyped(V3_0, Buffer.from('user\0x'))],
      ['with a name without a value', untyped(V3_0, Buffer.from('user\0'))],
      ['with bytes behind the terminator', untyped(V3_0, Buffer.from('user\0x\0\0rest'))],
      ['in HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
      ['that is an SSLRequest of 9 bytes', untyped(80_877_103, Buffer.alloc(1))],
      ['of an unknown request', untyped(80_877_105, Buffer.alloc(8))],
    ])('%s', async (_, bytes) => {
      await (await login(options)).downstreamSends(bytes).closes('downstream-protocol');
    });
  });

  describe('versions', () => {
    test.each([
      ['2.0', 0x0002_0000],
      ['1.0', 0x0001_0000],
    ])('%s is answered as such a client reads it', async (_, version) => {
      const talk = (await login(options)).downstreamSends(untyped(version, Buffer.alloc(288)));
      await talk
        .downstreamReceives((bytes) => expect(bytes.toString()).toMatch(/^EFATAL: {2}.*correlation id conn-7\)\n\0$/))
        .closes('downstream-protocol');
    });

    test('4.0 is answered with 0A000', async () => {
      const talk = (await login(options)).downstreamSends(startup([['user', 'x']], 0x0004_0000));
      await talk.downstreamReceives(hearing('0A000')).closes('downstream-protocol');
    });

    test.each([
      ['3.1', 0x0003_0001],
      ['3.2', V3_2],
      ['3.9999', GREASE],
    ])('%s goes upstream unchanged, with every option', async (_, version) => {
      const more: [string, string][] = [
        ['_pq_.test_protocol_negotiation', ''],
        ['client_encoding', 'LATIN1'],
        ['options', '-c geqo=off'],
        ['options', '-c search_path=\xe4'],
      ];
      const sent = startup([['user', 'whoever'], ['database', 'orders'], ...more], version);
      const rewritten = startup([['user', 'app'], ['database', 'orders'], ...more], version);
      const negotiated = negotiate(2, '_pq_.test_protocol_negotiation');
      const key = backendKey(4711, Buffer.alloc(version === GREASE ? 256 : 32, 7));
      const rest = Buffer.concat([authenticationOk, key, ready()]);
      const talk = (await login(options))
        .downstreamSends(sent)
        .authorizes(PLAIN)
        .dials(HOST)
        .upstreamReceives(rewritten);
      await scram(talk.upstreamSends(negotiated))
        .upstreamSends(rest)
        .downstreamReceives(Buffer.concat([negotiated, rest]))
        .splices();
    });
  });

  describe('parameters', () => {
    test('a duplicate user is replaced as a whole', async () => {
      const twice = startup([
        ['user', 'a'],
        ['application_name', 'psql'],
        ['user', 'root'],
        ['database', 'orders'],
      ]);
      const once = startup([
        ['user', 'app'],
        ['database', 'orders'],
        ['application_name', 'psql'],
      ]);
      await loggedIn((await login(options)).downstreamSends(twice), once).splices();
    });

    test('a duplicate database is one database: the last, which policy saw', async () => {
      const twice = startup([
        ['user', 'a'],
        ['database', 'public'],
        ['database', 'secret'],
      ]);
      const talk = (await login(options))
        .downstreamSends(twice)
        .authorizes(PLAIN, { facts: { database: 'secret', replication: false } });
      const once = startup([
        ['user', 'app'],
        ['database', 'secret'],
      ]);
      await welcome(scram(talk.dials(HOST).upstreamReceives(once))).splices();
    });

    test('facts and ledger see database, application and replication', async () => {
      const sent = startup([
        ['user', 'u'],
        ['replication', 'database'],
        ['application_name', 'walrus'],
      ]);
      await (
        await login(options)
      )
        .downstreamSends(sent)
        .authorizes(PLAIN, {
          facts: { database: 'u', application: 'walrus', replication: true },
          upstream: 'postgres://db.example.com:5432',
        })
        .dialFails(HOST)
        .downstreamReceives(hearing('08001'))
        .closes('upstream-unreachable');
    });

    test('the configured database wins, and is what policy sees', async () => {
      const talk = (await login(options, { database: 'fixed' })).downstreamSends(clientStartup);
      const rewritten = startup([
        ['user', 'app'],
        ['database', 'fixed'],
      ]);
      const asked = talk.authorizes(PLAIN, { facts: { database: 'fixed', replication: false } });
      await welcome(scram(asked.dials(HOST).upstreamReceives(rewritten))).splices();
    });

    test('no database is the one called like the user; neither is an error', async () => {
      const rewritten = startup([
        ['user', 'app'],
        ['database', 'u'],
      ]);
      await loggedIn((await login(options)).downstreamSends(startup([['user', 'u']])), rewritten).splices();
      const neither = (await login(options)).downstreamSends(startup([['application_name', 'x']]));
      await neither.downstreamReceives(hearing('08P01')).closes('downstream-protocol');
    });
  });

  describe('what the client sends ahead', () => {
    const ahead = frame('Q', 'select 1\0');

    test('stays in the stream', async () => {
      const talk = (await login(options)).downstreamSends(Buffer.concat([clientStartup, ahead]));
      await loggedIn(talk).splices({ downstream: ahead });
    });
  });

  describe('a refusal of policy or provider', () => {
    test('names the rule where policy said no', async () => {
      const denied = new SidecarError('policy-denied', { rule: 'no-orders', detail: 'db.example.com' });
      const talk = (await login(options)).downstreamSends(clientStartup).authorizeFails(denied);
      await talk
        .downstreamReceives(hearing('42501', { D: 'correlation id conn-7, rule no-orders' }))
        .closes('policy-denied');
    });
  });
});

describe('cancel requests', () => {
  async function session(
    remembered: Remembered,
    key: Buffer,
    credentials: typeof PLAIN | typeof TLS,
  ): Promise<Remembered> {
    const rest = Buffer.concat([authenticationOk, backendKey(4711, key), ready()]);
    const talk = (await login({ remembered })).downstreamSends(clientStartup).authorizes(credentials);
    // The name was resolved: a cancel has to reach that very server.
    talk.dials(HOST, { host: '192.0.2.9', port: 5432 });
    if (credentials.sslmode === 'verify-full') talk.upstreamReceives(sslRequest).upstreamSends('S').upstreamStartsTls();
    await scram(talk.upstreamReceives(serverStartup), credentials === TLS ? { gs2: 'n,,' } : {})
      .upstreamSends(rest)
      .downstreamReceives(rest)
      .splices();
    return remembered;
  }

  test.each([
    ['of 4 bytes', Buffer.alloc(4, 1)],
    ['of 32 bytes (3.2)', Buffer.alloc(32, 2)],
    ['of 256 bytes', Buffer.alloc(256, 3)],
  ])('with a key %s reach the very server, and are held until it ends', async (_, key) => {
    const remembered = await session(new Map(), key, PLAIN);
    const packet = cancelRequest(4711, key);
    await (
      await login({ remembered, chunkBytes: 1 })
    )
      .downstreamSends(packet)
      .dials({ host: '192.0.2.9', port: 5432 })
      .upstreamReceives(packet)
      .upstreamEnds()
      .closes();
  });

  test('go through TLS where the session did, before or after an SSLRequest of their own', async () => {
    const key = Buffer.alloc(32, 4);
    const remembered = await session(new Map(), key, TLS);
    const packet = cancelRequest(4711, key);
    await (
      await login({ remembered })
    )
      .downstreamSends(sslRequest)
      .downstreamReceives('N')
      .downstreamSends(packet)
      .dials({ host: '192.0.2.9', port: 5432 })
      .upstreamReceives(sslRequest)
      .upstreamSends('S')
      .upstreamStartsTls({}, (tls) => expect(tls).toMatchObject({ servername: HOST.host, verify: 'full' }))
      .upstreamReceives(packet)
      .upstreamEnds()
      .closes();
  });

  test('never go in plain where the session had TLS', async () => {
    const key = Buffer.alloc(4, 4);
    const remembered = await session(new Map(), key, TLS);
    await (
      await login({ remembered })
    )
      .downstreamSends(cancelRequest(4711, key))
      .dials({ host: '192.0.2.9', port: 5432 })
      .upstreamReceives(sslRequest)
      .upstreamSends('N')
      .closes('upstream-plaintext');
  });

  test('with an unknown key, pid or part of a key dial nothing and hear nothing', async () => {
    const remembered = await session(new Map(), Buffer.alloc(32, 5), PLAIN);
    for (const packet of [
      cancelRequest(4711, Buffer.alloc(32, 6)),
      cancelRequest(4712, Buffer.alloc(32, 5)),
      cancelRequest(4711, Buffer.alloc(31, 5)),
    ]) {
      await (await login({ remembered })).downstreamSends(packet).closes();
    }
  });

  test.each([
    ['a key of 3 bytes', cancelRequest(1, Buffer.alloc(3))],
    ['a key of 257 bytes', cancelRequest(1, Buffer.alloc(257))],
    ['no key', untyped(80_877_102)],
  ])('with %s are refused', async (_, packet) => {
    await (await login({})).downstreamSends(packet).closes('downstream-protocol');
  });

  test('that the server does not answer end with the connection of the client', async () => {
    const key = Buffer.alloc(4, 6);
    const remembered = await session(new Map(), key, PLAIN);
    const dialled = async (): Promise<Playbook> =>
      (await login({ remembered })).downstreamSends(cancelRequest(4711, key));
    const reached = { host: '192.0.2.9', port: 5432 };
    await (await dialled()).dialFails(reached).closes('upstream-unreachable');
    await (
      await dialled()
    )
      .dials(reached)
      .upstreamReceives(cancelRequest(4711, key))
      .upstreamStalls()
      .closes('upstream-timeout');
  });
});

test('the greeting is one that a client reads', () => {
  expect(greeting.subarray(-6)).toEqual(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]));
});

test('a leftover password is dropped, and what the client sent behind it stays in the stream', async () => {
  const query = frame('Q', 'select 1\0');
  const ahead = Buffer.concat([clientStartup, passwordMessage('dummy'), query]);
  await loggedIn((await login({})).downstreamSends(ahead)).splices({ downstream: query });
});
