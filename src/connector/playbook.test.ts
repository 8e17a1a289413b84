import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import {
  dial,
  peek,
  read,
  recall,
  remember,
  startUpstreamTls,
  startDownstreamTls,
  streamContext,
  unread,
  write,
  writeSecret,
  compute,
  readEnd,
  type Asking,
  type Handshake,
} from './handshake.ts';
import { lineLogin } from './testdata/line-protocol.ts';
import { cutEverywhere, Playbook, type PlaybookOptions, type Remembered } from './testing.ts';

const HOST = { host: 'db.internal', port: 7 };
const login = (): Handshake => lineLogin(streamContext('id', 'toy'));

function wholeLogin(options?: PlaybookOptions): Playbook {
  return new Playbook(login(), options)
    .downstreamSends('HELLO orders\n')
    .authorizes({ password: 'sesame' }, { facts: { database: 'orders' }, upstream: 'line://db.internal:7' })
    .dials(HOST)
    .upstreamReceives('HI\n')
    .upstreamSends('PASS?\n')
    .upstreamReceives('PASS sesame\n')
    .upstreamSends('OK 17\n')
    .downstreamReceives('OK 17\n');
}

/** A login of these steps alone. */
function playing(steps: () => Asking<unknown>): Playbook {
  return new Playbook(
    (function* () {
      yield* steps();
      return { then: 'close' };
    })(),
  );
}

function* authorized(): Asking<void> {
  yield* streamContext('id', 'toy').authorize({}, () => '');
  yield* dial(HOST);
}

describe('a conversation as written', () => {
  test('ends in a splice', async () => {
    expect((await wholeLogin().splices()).handover).toEqual({ then: 'splice' });
  });

  test('ends alike where every byte arrives alone', async () => {
    await wholeLogin({ chunkBytes: 1 }).splices();
  });

  test('leaves to the splice what the client said too early, and says so', async () => {
    const early = (): Playbook =>
      new Playbook(login())
        .downstreamSends('HELLO orders\nQUERY')
        .authorizes({ password: 'sesame' })
        .dials(HOST)
        .upstreamReceives('HI\n')
        .upstreamSends('PASS?\n')
        .upstreamReceives('PASS sesame\n')
        .upstreamSends('OK 17\nNOTICE')
        .downstreamReceives('OK 17\n');
    await early().splices({ downstream: 'QUERY', upstream: 'NOTICE' });
    await expect(early().splices({ downstream: 'QUERY' })).rejects.toThrow('unread bytes of upstream');
  });

  test('retries with another credential, by functions that see and make bytes', async () => {
    const seen: string[] = [];
    await new Playbook(login())
      .downstreamSends('HELLO orders\n')
      .authorizes({ password: 'old' })
      .dials(HOST)
      .upstreamReceives('HI\n')
      .upstreamSends('PASS?\n')
      .upstreamReceives((bytes) => seen.push(bytes.toString()))
      .upstreamSends(() => (seen[0] === 'PASS old\n' ? 'NO\nstale' : 'OK 1\n'))
      .reauthorizes({ password: 'new' })
      .dials(HOST)
      .upstreamReceives('HI\n')
      .upstreamSends('PASS?\n')
      .upstreamReceives('PASS new\n')
      .upstreamSends('OK 2\n')
      .downstreamReceives('OK 2\n')
      .splices();
  });

  test('hears every refusal of the world', async () => {
    const refused = (error: string) => `ERR ${error}\n`;
    const denied = new SidecarError('policy-denied', { rule: 'no-orders' });
    await new Playbook(login())
      .downstreamSends('HELLO orders\n')
      .authorizeFails(denied, { facts: { database: 'orders' } })
      .downstreamReceives(refused(`${denied.sentence} (rule no-orders)`))
      .closes();
    await new Playbook(login())
      .downstreamSends('HELLO orders\n')
      .authorizes({ password: 'p' })
      .dialFails(HOST)
      .downstreamReceives(refused('the upstream could not be reached'))
      .closes();
    await new Playbook(login())
      .downstreamSends('TLS\n')
      .downstreamReceives('Y')
      .tlsFails('downstream')
      .downstreamReceives((bytes) => expect(bytes.toString()).toMatch(/^ERR what was sent is not valid/))
      .closes();
    const asked = (): Playbook =>
      new Playbook(login())
        .downstreamSends('HELLO orders\n')
        .authorizes({ password: 'p' })
        .dials(HOST)
        .upstreamReceives('HI\n');
    await asked()
      .upstreamEnds()
      .downstreamReceives(refused(new SidecarError('upstream-closed').sentence))
      .closes();
    await asked()
      .upstreamStalls()
      .downstreamReceives(refused(new SidecarError('upstream-timeout').sentence))
      .closes();
    await asked()
      .upstreamSends('PASS?\n')
      .upstreamReceives('PASS p\n')
      .upstreamSends('NO\n')
      .reauthorizeFails(new SidecarError('draining'))
      .downstreamReceives(refused('the sidecar is shutting down'))
      .closes();
    await new Playbook(login())
      .downstreamStalls()
      .downstreamReceives(refused(new SidecarError('login-timeout').sentence))
      .closes();
    await new Playbook(login()).downstreamSends('HEL').downstreamEnds().closes();
  });

  test('says for which reason a login closes', async () => {
    const closing = (): Playbook =>
      new Playbook(
        (function* (): Handshake {
          yield* unread('downstream');
          return { then: 'close', error: new SidecarError('upstream-tls') };
        })(),
      );
    await closing().closes('upstream-tls');
    await expect(closing().closes()).rejects.toThrow(
      'a close (no error) was expected, and the login ends with a close (upstream-tls)',
    );
    await expect(closing().closes('draining')).rejects.toThrow('a close (draining) was expected');
  });

  test('says which error a login lets through', async () => {
    const careless = (): Playbook => playing(() => read('downstream', 1)).downstreamEnds();
    expect((await careless().throws('downstream-closed')).fault).toBe('downstream');
    await expect(careless().closes()).rejects.toThrow('the login lets through downstream-closed');
    await expect(careless().throws('draining')).rejects.toThrow('draining was expected');
  });

  test('two logins of a service find what one of them remembered, and nothing where it is gone', async () => {
    const remembered: Remembered = new Map();
    await wholeLogin({ remembered }).splices();
    const cancels = (): Playbook => new Playbook(login(), { remembered }).downstreamSends('CANCEL 17\n');
    await cancels().dials(HOST).upstreamReceives('CANCEL 17\n').upstreamSends('noise').upstreamEnds().closes();
    remembered.clear();
    await cancels().closes();
  });

  test('shows a login the options and facts of TLS', async () => {
    const key = Buffer.from('key');
    let alpn: string | undefined;
    const steps = function* (): Asking<void> {
      yield* authorized();
      ({ alpn } = yield* startUpstreamTls({ verify: 'full', servername: 'db', key }));
    };
    await playing(steps)
      .authorizes({})
      .dials(HOST)
      .upstreamStartsTls({ alpn: 'line' }, (options) =>
        expect(options).toMatchObject({ servername: 'db', key: Buffer.from('key') }),
      )
      .closes();
    expect(alpn).toBe('line');
    expect(key).toEqual(Buffer.alloc(3));
  });
});

describe('a login that does something else', () => {
  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'writes other bytes',
      () => new Playbook(login()).downstreamSends('TLS\n').downstreamReceives('N').closes(),
      /downstream received something else\n.*\n> 000000 {2}4e +N +59 +Y\n/,
    ],
    [
      'writes what nobody expects',
      () => new Playbook(login()).downstreamSends('TLS\n').downstreamStartsTls().closes(),
      /downstream received what it does not expect here/,
    ],
    [
      'writes nothing where something is expected',
      () => new Playbook(login()).downstreamReceives('Y').closes(),
      /downstream received something else/,
    ],
    [
      'writes nothing where a function looks',
      () =>
        new Playbook(login())
          .downstreamReceives(() => undefined)
          .downstreamSends('TLS\n')
          .closes(),
      /downstream received nothing/,
    ],
    [
      'waits for more than is said',
      () => new Playbook(login()).downstreamSends('HELLO').closes(),
      /the login waits for more from downstream\n +1 {2}downstream sends 5 bytes\n> +\(the end\)/,
    ],
    [
      'waits where it should ask',
      () => new Playbook(login()).downstreamSends('HELLO').authorizes({}).closes(),
      /waits for more from downstream\n.*\n> +2 {2}authorizes/,
    ],
    [
      'asks where the transcript goes on otherwise',
      () => new Playbook(login()).downstreamSends('HELLO a\n').dials(HOST).closes(),
      /the login asks: authorize \{"database":"a"\}\n.*\n> +2 {2}dials db.internal:7/,
    ],
    [
      'ends early',
      () => new Playbook(login()).downstreamSends('CANCEL 1\n').downstreamSends('more').closes(),
      /the login ends with a close.*\n.*\n> +2 {2}downstream sends 4 bytes/,
    ],
    [
      'dials elsewhere',
      () =>
        new Playbook(login())
          .downstreamSends('HELLO a\n')
          .authorizes({ password: 'p' })
          .dials({ path: '/run/db' })
          .closes(),
      /address: \{"path":"\/run\/db"\} expected, \{"host":"db.internal","port":7\} found/,
    ],
    [
      'names other facts',
      () =>
        new Playbook(login())
          .downstreamSends('HELLO a\n')
          .authorizes({}, { facts: { database: 'b' } })
          .closes(),
      /facts: .*"b".*"a"/,
    ],
    [
      'closes instead of splicing',
      () => new Playbook(login()).downstreamSends('CANCEL 1\n').splices(),
      /a splice was expected/,
    ],
    [
      'splices instead of closing',
      () => wholeLogin().closes(),
      /a close \(no error\) was expected, and the login ends with a splice/,
    ],
  ])('fails where it %s', async (_, run, message) => {
    await expect(run()).rejects.toThrow(message);
  });
});

describe('the rules of the driver', () => {
  const isRefused = (steps: () => Asking<unknown>): Promise<unknown> =>
    playing(function* () {
      try {
        yield* steps();
      } catch (error) {
        expect(error).toMatchObject({ code: 'internal' });
      }
    }).closes();

  test.each<[string, () => Asking<unknown>]>([
    ['dials before it is authorized', () => dial(HOST)],
    ['writes to the upstream before it is connected', () => write('upstream', Buffer.from('x'))],
    ['reads the upstream before it is connected', () => read('upstream', 1)],
    ['waits for the end of the upstream before it is connected', () => readEnd('upstream')],
    ['starts TLS with the upstream before it is connected', () => startUpstreamTls({ verify: 'none' })],
    ['remembers something before it is connected', () => remember(Buffer.from('k'), 1)],
    ['asks for another credential before it has one', () => streamContext('id', 'toy').reauthorize()],
    ['asks for -1 bytes', () => read('downstream', -1)],
    ['asks for 2147483647 bytes', () => peek('downstream', 0x7fffffff)],
  ])('a login that %s is refused with internal, and found out though it hides it', async (words, steps) => {
    await expect(isRefused(steps)).rejects.toThrow(`the login ${words}`);
  });

  test('what was recalled may be dialled, and nothing else', async () => {
    const remembered: Remembered = new Map([['6b', { value: 1, peer: HOST }]]);
    const dials = (port: number): Playbook =>
      new Playbook(
        (function* (): Handshake {
          yield* recall(Buffer.from('k'));
          yield* dial({ host: 'db.internal', port });
          return { then: 'close' };
        })(),
        { remembered },
      ).dials({ host: 'db.internal', port });
    await dials(7).closes();
    await expect(dials(8).closes()).rejects.toThrow('dials before it is authorized');
  });

  test.each([Infinity, 1])(
    'plaintext behind the request is an error where TLS begins, in chunks of %s',
    async (chunkBytes) => {
      await new Playbook(login(), { chunkBytes })
        .downstreamSends('TLS\nHELLO orders\n')
        .downstreamReceives('Y')
        .downstreamReceives((bytes) => expect(bytes.toString()).toMatch(/^ERR what was sent/))
        .closes();
      await new Playbook(
        (function* (): Handshake {
          yield* authorized();
          yield* write('upstream', Buffer.from('S?'));
          yield* read('upstream', 1);
          yield* startUpstreamTls({ verify: 'none' });
          return { then: 'close' };
        })(),
        { chunkBytes },
      )
        .authorizes({})
        .dials(HOST)
        .upstreamReceives('S?')
        .upstreamSends('Sstuffed')
        .throws('upstream-protocol');
    },
  );

  test('what a client sends first may be TLS itself', async () => {
    const direct = playing(function* () {
      yield* peek('downstream', 1);
      yield* startDownstreamTls({});
      yield* read('downstream', 5);
    });
    await direct.downstreamSends('\x16\x03\x01').downstreamStartsTls().downstreamSends('HELLO').closes();
  });

  test('TLS is started once on a side', async () => {
    const twice = playing(function* () {
      yield* startDownstreamTls({});
      yield* startDownstreamTls({});
    });
    await expect(twice.downstreamStartsTls().throws('internal')).rejects.toThrow('starts TLS with downstream twice');
  });

  test('a read takes what it asks for, a peek takes nothing, and unread counts', async () => {
    const found: unknown[] = [];
    await playing(function* () {
      found.push((yield* peek('downstream', 2)).toString(), (yield* read('downstream', 3)).toString());
      found.push(yield* unread('downstream'), (yield* read('downstream', 3)).toString());
    })
      .downstreamSends('abcd')
      .downstreamSends('ef')
      .closes();
    expect(found).toEqual(['ab', 'abc', 1, 'def']);
  });

  test('secret bytes are overwritten once they are sent', async () => {
    const message = Buffer.from('hunter2');
    await playing(function* () {
      yield* writeSecret('downstream', message);
      yield* write('downstream', message);
    })
      .downstreamReceives(Buffer.concat([Buffer.from('hunter2'), Buffer.alloc(7)]))
      .closes();
  });

  test('work that fails is heard as internal, and work is really done', async () => {
    await playing(() => compute(async () => Promise.reject(new Error('no')))).throws('internal');
    await playing(function* () {
      expect(yield* compute(async () => Promise.resolve(7))).toBe(7);
    }).closes();
  });

  test('a login that never ends is given up', async () => {
    const endless = playing(function* () {
      for (;;) yield* unread('downstream');
    });
    await expect(endless.closes()).rejects.toThrow('the login has not ended after 200000 steps');
  });

  test('a defect of the login is not taken for an answer', async () => {
    const broken = playing(function* () {
      yield* unread('downstream');
      throw new TypeError('a defect');
    });
    await expect(broken.closes()).rejects.toThrow(TypeError);
  });
});

describe('cuts', () => {
  test('are tried at every byte that the login reads of either side', async () => {
    expect(await cutEverywhere(wholeLogin, (playbook) => playbook.splices())).toBe(13 + 6 + 6);
  });

  test('find a login that takes an end for an answer', async () => {
    const careless = (): Playbook =>
      new Playbook(
        (function* (): Handshake {
          yield* read('downstream', 2);
          yield* authorized();
          try {
            yield* read('upstream', 2);
          } catch {
            return { then: 'splice' };
          }
          return { then: 'splice' };
        })(),
      )
        .downstreamSends('ab')
        .authorizes({})
        .dials(HOST)
        .upstreamSends('cd');
    const cuts = cutEverywhere(careless, (playbook) => playbook.splices());
    await expect(cuts).rejects.toThrow('cut after byte 0 of upstream: ends with a splice');
  });

  test('let the other side say what it would have said, and fail what is asked beyond the transcript', async () => {
    const play = (): Playbook => wholeLogin();
    expect((await play().isCutAfter('upstream', 3)).handover.then).toBe('close');
    // The client leaves behind its last byte: nothing of the login needs it.
    expect((await play().isCutAfter('downstream', 13)).handover.then).toBe('splice');
  });
});
