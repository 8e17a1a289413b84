import { streamContext, type StreamService } from 'secretless-sidecar/connector';
import { Playbook, type PlaybookOptions } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { postgres } from './index.ts';
import { STATES } from './testdata/transcript-errors.ts';
import {
  authenticationOk,
  backendKey,
  clientNonceOf,
  errorResponse,
  frame,
  int32,
  mechanisms,
  negotiate,
  parameterStatus,
  ready,
  request,
  serverError,
  sslRequest,
} from './testdata/transcript-messages.ts';
import { ScramServer, type ScramChoices } from './testdata/transcript-scram.ts';
import {
  certificate,
  clientStartup,
  hearing,
  HOST,
  PASSWORD,
  PLAIN,
  scram,
  serverStartup,
  TLS,
} from './testdata/transcript-talk.ts';

const HUGE = 0x7fff_ffff;

describe.each([{ chunkBytes: Infinity }, { chunkBytes: 1 }])('in chunks of $chunkBytes', (options: PlaybookOptions) => {
  async function asking(credentials: typeof PLAIN | typeof TLS = PLAIN): Promise<Playbook> {
    const service = (await postgres.open({})) as unknown as StreamService;
    const context = streamContext('conn-7', 'orders');
    const talk = new Playbook(service.handshake(context), options).downstreamSends(clientStartup);
    return talk.authorizes(credentials).dials(HOST);
  }
  const plain = async (): Promise<Playbook> => (await asking()).upstreamReceives(serverStartup);
  const isMalformed = (talk: Playbook): Promise<unknown> =>
    talk.downstreamReceives(hearing('08P01')).closes('upstream-protocol');

  describe('the answer to SSLRequest', () => {
    test.each([
      ['an ErrorResponse, whose words nobody vouches for', serverError('28000', 'call 555-0100 to pay')],
      ['a NUL', '\0'],
      ['a lower-case letter', 's'],
      ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ])('%s is no answer', async (_, answer) => {
      await isMalformed((await asking(TLS)).upstreamReceives(sslRequest).upstreamSends(answer));
    });

    test('bytes stuffed behind it are an attack (CVE-2021-23222)', async () => {
      const stuffed = Buffer.concat([Buffer.from('S'), authenticationOk, ready()]);
      await isMalformed((await asking(TLS)).upstreamReceives(sslRequest).upstreamSends(stuffed));
    });
  });

  describe('frames', () => {
    test.each<[string, Buffer]>([
      ['of length 0', frame('R', '', 0)],
      ['of length 3', frame('R', '', 3)],
      ['of length 4, where a code belongs', frame('R', '')],
      ['of length 7, where a code belongs', frame('R', 'abc')],
      ['of 2 GiB', frame('R', int32(0), HUGE)],
      ['of 4 GiB', frame('R', int32(0), 0xffff_ffff)],
      ['of more than 64 KiB', frame('R', Buffer.alloc(65 * 1024))],
      ['an ErrorResponse of 2 GiB', frame('E', '', HUGE)],
      ['a negotiation of 2 GiB', frame('v', '', HUGE)],
      ['a key before the login', backendKey(1, Buffer.alloc(4))],
      ['a setting before the login', parameterStatus('a', 'b')],
      ['ReadyForQuery before the login', ready()],
      ['a row before the login', frame('D', '\0\0')],
      ['CopyBoth before the login', frame('W', '\0\0\0')],
      ['a type that does not exist', frame('\0', 'abcd')],
      ['an AuthenticationOk that is longer', request(0, 'x')],
      ['a second negotiation', Buffer.concat([negotiate(2), negotiate(2)])],
      ['a salt of 3 bytes for SCRAM without an end of its list', request(10, 'SCRAM-SHA-256')],
      ['a list of a thousand mechanisms', mechanisms(...Array.from({ length: 1000 }, (_, at) => `M-${at}`))],
      ['SASLContinue out of nowhere', request(11, 'r=x,s=eA==,i=4096')],
      ['SASLFinal out of nowhere', request(12, 'v=eA==')],
    ])('%s', async (what, sent) => {
      const talk = (await plain()).upstreamSends(sent);
      const isUnsupported = what.startsWith('SASL');
      if (isUnsupported) await talk.downstreamReceives(hearing('0A000')).closes('login-unsupported');
      else await isMalformed(talk);
    });

    test('a salt for MD5 of another length', async () => {
      const service = (await postgres.open({ requireAuth: ['md5'] })) as unknown as StreamService;
      const talk = new Playbook(service.handshake(streamContext('conn-7', 'orders')), options)
        .downstreamSends(clientStartup)
        .authorizes(PLAIN)
        .dials(HOST)
        .upstreamReceives(serverStartup);
      await isMalformed(talk.upstreamSends(request(5, 'abc')));
    });
  });

  describe('an ErrorResponse', () => {
    test.each<[string, Buffer]>([
      ['without a SQLSTATE', errorResponse({ S: 'FATAL', M: 'trust me' })],
      ['with a SQLSTATE of 4 characters', errorResponse({ C: '2800', M: 'x' })],
      ['with a SQLSTATE of other characters', errorResponse({ C: "28'00", M: 'x' })],
      ['without an end', frame('E', 'C28P01\0Mx\0')],
      ['with bytes behind its end', frame('E', 'C57P01\0\0Mx\0')],
      ['with nothing in it', frame('E', '')],
    ])('%s is not passed on', async (_, sent) => {
      await isMalformed((await plain()).upstreamSends(sent));
    });

    test.each(['3D000', '53300', '57P03', '42704', 'XX000'])('with %s is passed on as it is', async (sqlstate) => {
      const sent = serverError(sqlstate, 'the server’s own words');
      await (await plain()).upstreamSends(sent).downstreamReceives(sent).closes('login-refused');
    });

    test('about the credential is not: it names address, user and database', async () => {
      const words = 'no pg_hba.conf entry for host "10.0.0.1", user "app", database "orders", no encryption';
      for (const sqlstate of ['28000', '28P01']) {
        const talk = (await plain()).upstreamSends(serverError(sqlstate, words)).reauthorizes(undefined);
        await talk.downstreamReceives(hearing(sqlstate)).closes('credential-refused');
      }
      const talk = (await plain()).upstreamSends(serverError('28ABC', words)).reauthorizes(undefined);
      await talk.downstreamReceives(hearing('28000')).closes('credential-refused');
    });
  });

  describe('SCRAM', () => {
    const begun = async (server: ScramServer): Promise<Playbook> =>
      (await plain()).upstreamSends(server.offer()).upstreamReceives(server.initial);

    test.each<[string, (nonce: string) => string]>([
      ['a nonce that is not ours', () => 'r=another-nonce-of-the-server,s=c2FsdA==,i=4096'],
      ['our nonce and nothing of its own', (nonce) => `r=${nonce},s=c2FsdA==,i=4096`],
      ['a nonce cut short', (nonce) => `r=${nonce.slice(0, -1)},s=c2FsdA==,i=4096`],
      [
        'a nonce of 60,000 characters (CVE-2026-6665 of pgbouncer)',
        (nonce) => `r=${nonce}${'n'.repeat(60_000)},s=c2FsdA==,i=4096`,
      ],
      ['a nonce that does not print', (nonce) => `r=${nonce}\x07,s=c2FsdA==,i=4096`],
      ['no salt', (nonce) => `r=${nonce}x,s=,i=4096`],
      ['a salt that is not base64', (nonce) => `r=${nonce}x,s=***,i=4096`],
      ['attributes in another order', (nonce) => `s=c2FsdA==,r=${nonce}x,i=4096`],
      ['a mandatory extension', (nonce) => `m=x,r=${nonce}x,s=c2FsdA==,i=4096`],
      ['no count of iterations', (nonce) => `r=${nonce}x,s=c2FsdA==`],
      ['a count that is no number', (nonce) => `r=${nonce}x,s=c2FsdA==,i=4096x`],
      ['a negative count', (nonce) => `r=${nonce}x,s=c2FsdA==,i=-4096`],
      ['a count in hex', (nonce) => `r=${nonce}x,s=c2FsdA==,i=0x1000`],
      ['a count of a thousand digits', (nonce) => `r=${nonce}x,s=c2FsdA==,i=${'9'.repeat(1000)}`],
      ['nothing', () => ''],
      ['binary', () => '\0\xff\xfe,,,'],
    ])('a first message with %s', async (_, message) => {
      let nonce = '';
      const talk = (await plain()).upstreamSends(mechanisms('SCRAM-SHA-256'));
      talk.upstreamReceives((bytes) => void (nonce = clientNonceOf(bytes)));
      await isMalformed(talk.upstreamSends(() => request(11, message(nonce))));
    });

    test.each(['0', '1', '4095', '1000001', '4294967296', '9999999999'])(
      'a count of %s iterations costs nothing',
      async (count) => {
        const server = new ScramServer({ password: PASSWORD, claimedIterations: count });
        const started = performance.now();
        const talk = (await begun(server)).upstreamSends(server.continue);
        if (count === '0') await isMalformed(talk);
        else await talk.downstreamReceives(hearing('0A000')).closes('login-unsupported');
        expect(performance.now() - started).toBeLessThan(500);
      },
    );

    const answered = async (choices: Partial<ScramChoices> = {}): Promise<[ScramServer, Playbook]> => {
      const server = new ScramServer({ password: PASSWORD, ...choices });
      return [server, (await begun(server)).upstreamSends(server.continue).upstreamReceives(server.response)];
    };

    test('AuthenticationOk without the server’s signature', async () => {
      const [, talk] = await answered();
      await isMalformed(talk.upstreamSends(Buffer.concat([authenticationOk, ready()])));
    });

    test('AuthenticationOk right after the list', async () => {
      const server = new ScramServer({ password: PASSWORD });
      await isMalformed((await begun(server)).upstreamSends(authenticationOk));
    });

    test('a signature of somebody who does not know the password', async () => {
      const [server, talk] = await answered();
      await isMalformed(talk.upstreamSends(server.forgedFinal));
    });

    test.each([
      ['cut short', 'v=AAAA'],
      ['of no bytes', 'v='],
      ['that is missing', ''],
      ['that is not base64', 'v=####'],
      ['of zeros', `v=${Buffer.alloc(32).toString('base64')}`],
      ['under another name', `x=${Buffer.alloc(32).toString('base64')}`],
    ])('a signature %s', async (_, message) => {
      const [, talk] = await answered();
      await isMalformed(talk.upstreamSends(request(12, message)));
    });

    test('an error in place of the signature', async () => {
      const [, talk] = await answered();
      await talk
        .upstreamSends(request(12, 'e=invalid-proof'))
        .reauthorizes(undefined)
        .downstreamReceives(hearing('28P01'))
        .closes('credential-refused');
    });

    test('a second login behind the first', async () => {
      const talk = scram(await plain()).upstreamSends(request(3));
      await isMalformed(talk);
    });

    test('a negotiation in the middle', async () => {
      const [server, talk] = await answered();
      await isMalformed(talk.upstreamSends(() => Buffer.concat([negotiate(2), server.final()])));
      await isMalformed(scram(await plain()).upstreamSends(negotiate(2)));
    });

    test('a server that struck PLUS from its list is told that the client could have', async () => {
      const server = new ScramServer({ password: PASSWORD, gs2: 'y,,' });
      const talk = (await asking(TLS)).upstreamReceives(sslRequest).upstreamSends('S');
      talk.upstreamStartsTls({ peerCertificate: certificate }).upstreamReceives(serverStartup);
      await talk
        .upstreamSends(server.offer())
        .upstreamReceives(server.initial)
        .upstreamEnds()
        .downstreamReceives(hearing('08006'))
        .closes('upstream-closed');
    });
  });

  describe('between AuthenticationOk and ReadyForQuery', () => {
    test.each<[string, Buffer]>([
      ['a key of 3 bytes', backendKey(1, Buffer.alloc(3))],
      ['a key of 257 bytes', backendKey(1, Buffer.alloc(257))],
      ['a key of nothing', frame('K', '')],
      ['another authentication request', request(3)],
      ['AuthenticationOk', authenticationOk],
      ['a negotiation', negotiate(2)],
      ['a row', frame('D', '\0\0')],
      ['CopyBoth', frame('W', '\0\0\0')],
      ['ReadyForQuery without a status', frame('Z', '')],
      ['ReadyForQuery with two', frame('Z', 'II')],
      ['a setting of 2 GiB', frame('S', '', HUGE)],
      ['a frame of length 3', frame('S', '', 3)],
    ])('%s', async (_, sent) => {
      const talk = scram(await plain()).upstreamSends(Buffer.concat([authenticationOk, sent, ready()]));
      talk.downstreamReceives((bytes) => {
        // The client may have seen AuthenticationOk already; what it hears then is the error alone.
        const isAhead = bytes.subarray(0, authenticationOk.length).equals(authenticationOk);
        hearing('08P01')(isAhead ? bytes.subarray(authenticationOk.length) : bytes);
      });
      await talk.closes('upstream-protocol');
    });

    test('a second key', async () => {
      const key = backendKey(1, Buffer.alloc(4));
      const talk = scram(await plain()).upstreamSends(Buffer.concat([authenticationOk, key, key, ready()]));
      talk.downstreamReceives((bytes) => hearing('08P01')(bytes.subarray(bytes.indexOf('E'))));
      await talk.closes('upstream-protocol');
    });

    // A byte at a time this megabyte would take minutes, and shows nothing more.
    test.skipIf(options.chunkBytes === 1)('settings without end', async () => {
      const flood = Buffer.concat(Array.from({ length: 18 }, () => parameterStatus('a', 'x'.repeat(60_000))));
      const talk = scram(await plain()).upstreamSends(Buffer.concat([authenticationOk, flood, ready()]));
      talk.downstreamReceives((bytes) => expect(bytes.toString('latin1')).toMatch(/C08P01\0/));
      await talk.closes('upstream-protocol');
    });
  });
});

describe('every error of the sidecar', () => {
  test.each(STATES)('%s is heard as %s', async (code, sqlstate) => {
    const { SidecarError } = await import('secretless-sidecar/connector');
    const service = (await postgres.open({})) as unknown as StreamService;
    const error = new SidecarError(code, { detail: 'app at db.example.com', cause: new Error('horse'), rule: 'r-9' });
    const talk = new Playbook(service.handshake(streamContext('conn-7', 'orders'))).downstreamSends(clientStartup);
    const isRule = code === 'policy-denied' || code === 'rate-limited';
    const words = hearing(sqlstate, {
      D: `correlation id conn-7${isRule ? ', rule r-9' : ''}`,
      M: error.sentence,
      H: error.next,
    });
    await talk.authorizeFails(error).downstreamReceives(words).closes(code);
  });
});
