/**
 * Logins with one guard taken away: the transcripts and the driver's rules have to find each of them. What passes with
 * a guard and without it tests nothing.
 */
import {
  type Asking,
  type Handshake,
  SidecarError,
  type Step,
  streamContext,
  type StreamService,
} from 'secretless-sidecar/connector';
import { cutEverywhere, Playbook, TranscriptMismatch } from 'secretless-sidecar/connector/testing';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { postgres } from './index.ts';
import { ScramExchange } from './scram.ts';
import { authenticationOk, ready, request, sslRequest } from './testdata/transcript-messages.ts';
import { ScramServer } from './testdata/transcript-scram.ts';
import {
  clientStartup,
  greeting,
  hearing,
  HOST,
  PASSWORD,
  PLAIN,
  scram,
  serverStartup,
  TLS,
  welcome,
} from './testdata/transcript-talk.ts';

let service: StreamService;
beforeAll(async () => {
  service = await postgres.open({});
});
afterEach(() => {
  vi.restoreAllMocks();
});

const login = (): Handshake => service.handshake(streamContext('conn-7', 'orders'));

/** A login whose steps are changed on their way: `change` yields what is done in the place of each. */
function* twin(change: (step: Step) => Asking<unknown>): Handshake {
  const genuine = login();
  let next = genuine.next();
  while (next.done !== true) {
    let answer: unknown;
    try {
      answer = yield* change(next.value);
    } catch (thrown) {
      next = genuine.throw(thrown);
      continue;
    }
    next = genuine.next(answer);
  }
  return next.value;
}

const hasMismatch = (played: Promise<unknown>): Promise<void> => expect(played).rejects.toThrow(TranscriptMismatch);
const started = (handshake: Handshake): Playbook =>
  new Playbook(handshake).downstreamSends(clientStartup).authorizes(PLAIN);

describe('a login that', () => {
  test('does not look at the server’s signature', async () => {
    const forged = (): Promise<unknown> => {
      const server = new ScramServer({ password: PASSWORD });
      const talk = started(login()).dials(HOST).upstreamReceives(serverStartup).upstreamSends(server.offer());
      talk.upstreamReceives(server.initial).upstreamSends(server.continue).upstreamReceives(server.response);
      const rest = Buffer.concat([server.forgedFinal(), authenticationOk, ready()]);
      return talk.upstreamSends(rest).downstreamReceives(hearing('08P01')).closes('upstream-protocol');
    };
    await forged();
    vi.spyOn(ScramExchange.prototype, 'readServerFinal').mockReturnValue(undefined);
    await expect(forged()).rejects.toThrow();
  });

  test('reads on behind the S of an SSLRequest', async () => {
    const stuffed = (handshake: Handshake): Promise<unknown> =>
      new Playbook(handshake)
        .downstreamSends(clientStartup)
        .authorizes(TLS)
        .dials(HOST)
        .upstreamReceives(sslRequest)
        .upstreamSends(Buffer.concat([Buffer.from('S'), authenticationOk, ready()]))
        .downstreamReceives(hearing('08P01'))
        .closes('upstream-protocol');
    await stuffed(login());
    const greedy = twin(function* (step): Asking<unknown> {
      if (step.do !== 'startTls') return yield step;
      const count = (yield { do: 'unread', side: step.side }) as number;
      yield { do: 'read', side: step.side, count };
      return yield step;
    });
    await hasMismatch(stuffed(greedy));
  });

  test('dials before it is authorized', async () => {
    const eager = twin(function* (step): Asking<unknown> {
      if (step.do === 'authorize') yield { do: 'dial', address: HOST };
      return yield step;
    });
    await hasMismatch(started(eager).dials(HOST).closes());
  });

  test('goes on after policy said no', async () => {
    const denied = new SidecarError('policy-denied', { rule: 'no-orders' });
    const refused = (handshake: Handshake): Promise<unknown> =>
      new Playbook(handshake)
        .downstreamSends(clientStartup)
        .authorizeFails(denied)
        .downstreamReceives(hearing('42501', { D: /, rule no-orders$/ }))
        .closes('policy-denied');
    await refused(login());
    const deaf = twin(function* (step): Asking<unknown> {
      try {
        return yield step;
      } catch (error) {
        if (step.do === 'authorize') yield { do: 'dial', address: HOST };
        throw error;
      }
    });
    await hasMismatch(refused(deaf));
  });

  test('sends another StartupMessage, or tells the client something else', async () => {
    const whole = (handshake: Handshake): Promise<unknown> =>
      welcome(scram(started(handshake).dials(HOST).upstreamReceives(serverStartup))).splices();
    await whole(login());
    for (const side of ['upstream', 'downstream'] as const) {
      const altered = twin(function* (step): Asking<unknown> {
        if (step.do !== 'write' || step.side !== side) return yield step;
        const data = Buffer.from(step.data);
        data[data.length - 1]! ^= 1;
        return yield { ...step, data };
      });
      await expect(whole(altered)).rejects.toThrow();
    }
  });

  test('uses the bytes of a secret message again', async () => {
    const cleartext = (await postgres.open({ requireAuth: ['password'] })) as unknown as StreamService;
    const genuine = cleartext.handshake(streamContext('conn-7', 'orders'));
    const again = function* (): Handshake {
      let next = genuine.next();
      while (next.done !== true) {
        const step: Step = next.value;
        const answer: unknown = yield step;
        if (step.do === 'write' && step.secret === true) yield { do: 'write', side: 'downstream', data: step.data };
        next = genuine.next(answer);
      }
      return next.value;
    };
    let repeated: Buffer = Buffer.from('not written');
    await new Playbook(again())
      .downstreamSends(clientStartup)
      .authorizes(TLS)
      .dials(HOST)
      .upstreamReceives(sslRequest)
      .upstreamSends('S')
      .upstreamStartsTls()
      .upstreamReceives(serverStartup)
      .upstreamSends(request(3))
      .upstreamReceives(`p\0\0\0\x1a${PASSWORD}\0`)
      .downstreamReceives((bytes) => void (repeated = bytes))
      .upstreamSends(Buffer.concat([authenticationOk, greeting]))
      .downstreamReceives(Buffer.concat([authenticationOk, greeting]))
      .splices();
    expect(repeated).toEqual(Buffer.alloc(27));
  });

  test('takes the end of the upstream for its answer', async () => {
    const whole = (): Playbook => {
      const hasty = twin(function* (step): Asking<unknown> {
        try {
          return yield step;
        } catch (error) {
          if (step.do === 'read' && step.side === 'upstream' && step.count === 5) return ready().subarray(0, 5);
          throw error;
        }
      });
      return welcome(scram(started(hasty).dials(HOST).upstreamReceives(serverStartup)));
    };
    await expect(cutEverywhere(whole, (talk) => talk.splices())).rejects.toThrow(/ends with a splice/);
  });
});
