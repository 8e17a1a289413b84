import { streamContext, type StreamService } from 'secretless-sidecar/connector';
import { cutEverywhere, type Outcome, Playbook, type Remembered } from 'secretless-sidecar/connector/testing';
import { expect, test } from 'vitest';
import type { PostgresConfig } from './config.ts';
import { postgres } from './index.ts';
import {
  cancelRequest,
  GREASE,
  gssRequest,
  mechanisms,
  negotiate,
  passwordMessage,
  ready,
  request,
  serverError,
  sslRequest,
  startup,
} from './testdata/transcript-messages.ts';
import { initialResponse } from './testdata/transcript-scram.ts';
import {
  certificate,
  clientStartup,
  endPoint,
  hearing,
  HOST,
  PLAIN,
  scram,
  serverStartup,
  TLS,
  welcome,
} from './testdata/transcript-talk.ts';

/**
 * Every conversation, cut after every byte that the login reads of either side: it closes, it does not wait, and
 * nothing is ever spliced.
 */
interface Scene {
  readonly config?: PostgresConfig;
  readonly play: (talk: Playbook) => Playbook;
  /** Default: a splice. */
  readonly ends?: (talk: Playbook) => Promise<Outcome>;
  readonly remembered?: Remembered;
}

const two = { ...PLAIN, host: 'one.example.com,two.example.com' };
const one = (name: string) => ({ host: `${name}.example.com`, port: 5432 });
const tlsFirst = (talk: Playbook): Playbook =>
  talk.dials(HOST).upstreamReceives(sslRequest).upstreamSends('S').upstreamStartsTls({ peerCertificate: certificate });

const SCENES: Readonly<Record<string, Scene>> = {
  trust: {
    play: (talk) =>
      welcome(talk.downstreamSends(clientStartup).authorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup)),
  },
  'SCRAM behind both requests': {
    play(talk) {
      for (const each of [sslRequest, gssRequest]) talk.downstreamSends(each).downstreamReceives('N');
      const asked = talk.downstreamSends(clientStartup).authorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup);
      return welcome(scram(asked));
    },
  },
  'SCRAM bound to TLS, with TLS downstream': {
    config: { tls: 'self-signed' },
    play(talk) {
      talk.downstreamSends(sslRequest).downstreamReceives('S').downstreamStartsTls().downstreamSends(clientStartup);
      const asked = tlsFirst(talk.authorizes(TLS)).upstreamReceives(serverStartup);
      return welcome(scram(asked, { offered: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'], endPoint }));
    },
  },
  'a negotiated version': {
    play(talk) {
      const grease = [['_pq_.x', '1']] as const;
      talk
        .downstreamSends(startup([['user', 'u'], ...grease], GREASE))
        .authorizes(PLAIN)
        .dials(HOST);
      talk.upstreamReceives(startup([['user', 'app'], ['database', 'u'], ...grease], GREASE));
      const negotiated = negotiate(2, '_pq_.x');
      const first = Buffer.concat([negotiated, request(0)]);
      const asked = scram(talk.upstreamSends(negotiated)).upstreamSends(request(0)).downstreamReceives(first);
      return asked.upstreamSends(ready()).downstreamReceives(ready());
    },
  },
  cleartext: {
    config: { requireAuth: ['password'] },
    play: (talk) =>
      welcome(
        tlsFirst(talk.downstreamSends(clientStartup).authorizes(TLS))
          .upstreamReceives(serverStartup)
          .upstreamSends(request(3))
          .upstreamReceives(passwordMessage(TLS.password)),
      ),
  },
  md5: {
    config: { requireAuth: ['md5'] },
    play: (talk) =>
      welcome(
        talk
          .downstreamSends(clientStartup)
          .authorizes(PLAIN)
          .dials(HOST)
          .upstreamReceives(serverStartup)
          .upstreamSends(request(5, 'salt'))
          .upstreamReceives((bytes) => expect(bytes.toString('latin1', 5)).toMatch(/^md5[\da-f]{32}\0$/)),
      ),
  },
  'a bearer token that is refused': {
    config: { requireAuth: ['oauth'] },
    ends: (talk) => talk.closes('credential-refused'),
    play: (talk) =>
      tlsFirst(talk.downstreamSends(clientStartup).authorizes({ ...TLS, password: 'token' }))
        .upstreamReceives(serverStartup)
        .upstreamSends(mechanisms('OAUTHBEARER'))
        .upstreamReceives(initialResponse('OAUTHBEARER', 'n,,\x01auth=Bearer token\x01\x01'))
        .upstreamSends(request(11, '{"status":"invalid_token"}'))
        .upstreamReceives(Buffer.from('700000000501', 'hex'))
        .upstreamSends(serverError('28000'))
        .reauthorizes(undefined)
        .downstreamReceives(hearing('28000')),
  },
  'a credential that is fetched anew': {
    play(talk) {
      talk.downstreamSends(clientStartup).authorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup);
      talk.upstreamSends(serverError('28P01')).reauthorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup);
      return welcome(scram(talk));
    },
  },
  'a second server': {
    play(talk) {
      talk.downstreamSends(clientStartup).authorizes(two).dials(one('one')).upstreamReceives(serverStartup);
      talk.upstreamSends(serverError('57P03')).dials(one('two')).upstreamReceives(serverStartup);
      return welcome(scram(talk));
    },
  },
  'an error behind AuthenticationOk': {
    ends: (talk) => talk.closes('login-refused'),
    play(talk) {
      const last = Buffer.concat([request(0), serverError('3D000')]);
      talk.downstreamSends(clientStartup).authorizes(PLAIN).dials(HOST).upstreamReceives(serverStartup);
      return scram(talk).upstreamSends(last).downstreamReceives(last);
    },
  },
  'a cancel through TLS': {
    ends: (talk) => talk.closes(),
    remembered: new Map([
      ['00000007deadbeef', { value: { peer: HOST, tls: { verify: 'full' }, negotiation: 'postgres' }, peer: HOST }],
    ]),
    play: (talk) =>
      tlsFirst(talk.downstreamSends(cancelRequest(7, Buffer.from('deadbeef', 'hex'))))
        .upstreamReceives(cancelRequest(7, Buffer.from('deadbeef', 'hex')))
        .upstreamEnds(),
  },
};

test.each(Object.entries(SCENES))('%s, cut after every byte', async (_, { config = {}, play, ends, remembered }) => {
  const service = (await postgres.open(config)) as unknown as StreamService;
  const scene = (chunkBytes?: number): Playbook =>
    play(
      new Playbook(service.handshake(streamContext('conn-7', 'orders')), {
        ...(remembered === undefined ? {} : { remembered }),
        ...(chunkBytes === undefined ? {} : { chunkBytes }),
      }),
    );
  const whole = ends ?? ((talk: Playbook) => talk.splices());
  const cuts = await cutEverywhere(() => scene(), whole);
  expect(await cutEverywhere(() => scene(1), whole)).toBe(cuts);
  expect(cuts).toBeGreaterThan(15);
});
