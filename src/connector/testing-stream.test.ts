import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import type { StreamConnector, StreamService } from './connector.ts';
import { dial, peek, read, unread, write, type Handshake } from './handshake.ts';
import { lineConnector, lineLogin, readLine, upstreamLogin, type LineContext } from './testdata/line-protocol.ts';
import { conformanceChecks, inspectConnector, type ConnectorSample } from './testing.ts';

const sample: ConnectorSample = {
  config: {},
  credentials: { password: 'canary-sesame', host: 'canary-db.internal' },
  opening: Buffer.from('HELLO orders\n').toString('hex'),
};

async function findings(connector: StreamConnector, given = sample): Promise<string[]> {
  return (await inspectConnector(connector, given)).map(({ check, problem }) => `${check}: ${problem}`);
}

function opening(open: () => StreamService): StreamConnector {
  return { ...lineConnector, open };
}

function loggingIn(handshake: (context: LineContext) => Handshake): StreamConnector {
  return opening(() => ({ handshake: handshake }));
}

/** The sound login, with what it says when it fails in the words of the test. */
function saying(words: (error: SidecarError, context: LineContext) => string): StreamConnector {
  return loggingIn(function* (context) {
    try {
      const hello = yield* readLine('downstream');
      if (!hello.startsWith('HELLO ')) return { then: 'close' };
      return yield* upstreamLogin(context, hello.slice(6));
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error;
      if (error.code !== 'downstream-closed') yield* write('downstream', Buffer.from(words(error, context)));
      return { then: 'close' };
    }
  });
}

const fixedWords = (error: SidecarError): string => `ERR ${error.sentence} ${error.rule ?? ''}\n`;

describe('the kit', () => {
  test('finds nothing wrong with a sound stream connector, by fifteen checks', async () => {
    expect(conformanceChecks(lineConnector, sample)).toHaveLength(15);
    expect(await findings(lineConnector)).toEqual([]);
    expect(await findings(saying(fixedWords))).toEqual([]);
  });

  test('finds a sample whose opening leads nowhere', async () => {
    const { opening: _, ...without } = sample;
    expect(await findings(lineConnector, without)).toContain(
      "it asks for permission and dials only with it: the sample's opening leads to no authorize",
    );
  });

  test.each<[string, StreamConnector, string]>([
    [
      'a dial before permission',
      loggingIn(function* (context) {
        yield* dial({ host: 'db.internal', port: 7 });
        return yield* lineLogin(context);
      }),
      'it asks for permission and dials only with it: the login dials before it is authorized',
    ],
    [
      'a login that lets a refusal through',
      loggingIn((context) => upstreamLogin(context, 'orders')),
      'a refusal names the rule, dials nothing and quotes no secret: the refusal does not name the rule',
    ],
    [
      'words for a client that has left',
      loggingIn(function* (context) {
        try {
          yield* peek('downstream', 1);
        } catch {
          yield* write('downstream', Buffer.from('bye'));
          return { then: 'close' };
        }
        return yield* lineLogin(context);
      }),
      'a client that leaves without a word hears none: something was written to a client that had left',
    ],
    [
      'a client spliced though it left',
      loggingIn(function* (context) {
        try {
          yield* peek('downstream', 5);
        } catch {
          return { then: 'splice' };
        }
        return yield* lineLogin(context);
      }),
      'a client may leave after any byte of its opening: a client that left after byte 0 was spliced',
    ],
    [
      'a login that reads nonsense for ever',
      loggingIn(function* (context) {
        while (((yield* peek('downstream', 1))[0] ?? 0) !== 0x48) yield* read('downstream', 1);
        return yield* lineLogin(context);
      }),
      'nonsense from the client ends in a close, soon: the login has not ended after 20000 steps',
    ],
    [
      'memory given before the limit is checked',
      loggingIn(function* (context) {
        if ((yield* peek('downstream', 1))[0] !== 0x48) {
          const length = (yield* read('downstream', 4)).readUInt32BE();
          yield* read('downstream', length);
        }
        return yield* lineLogin(context);
      }),
      'nonsense from the client ends in a close, soon: the login asks for 4294967295 bytes of downstream, where 0 to 1048576 is allowed',
    ],
    [
      'nonsense that is spliced',
      loggingIn(function* (context) {
        if ((yield* peek('downstream', 1))[0] === 0xff) return { then: 'splice' };
        return yield* lineLogin(context);
      }),
      'nonsense from the client ends in a close, soon: ones from the client were spliced',
    ],
    [
      'a refusal that names no rule',
      saying(({ sentence }) => `ERR ${sentence}\n`),
      'a refusal names the rule, dials nothing and quotes no secret: the refusal does not name the rule',
    ],
    [
      'details in what the client hears',
      saying((error) => `ERR ${error.message} ${error.rule ?? ''}\n`),
      'the client hears neither details nor secrets: with an upstream out of reach the client hears details',
    ],
    [
      'a defect where the upstream cannot be reached',
      saying((error) => {
        if (error.code === 'upstream-unreachable') throw new TypeError('no words');
        return fixedWords(error);
      }),
      'the client hears neither details nor secrets: the login fails with no words',
    ],
  ])('finds %s', async (_, connector, expected) => {
    expect(await findings(connector)).toContain(expected);
  });

  test('finds a dial after a refusal', async () => {
    const stubborn = loggingIn(function* (context) {
      yield* readLine('downstream');
      try {
        return yield* upstreamLogin(context, 'orders');
      } catch {
        yield* dial({ host: 'db.internal', port: 7 });
        return { then: 'close' };
      }
    });
    expect(await findings(stubborn)).toContain(
      'a refusal names the rule, dials nothing and quotes no secret: the login dials before it is authorized',
    );
  });

  test('finds an instance shared between two services, and one that stops with another', async () => {
    const shared = lineConnector.open({}) as StreamService;
    const name = 'each service gets an instance of its own';
    expect(await findings(opening(() => shared))).toEqual([`${name}: open returned one instance for two services`]);
    let closed = false;
    const linked = opening(() => ({
      *handshake(context) {
        return closed ? { then: 'close' } : yield* lineLogin(context);
      },
      close: () => (closed = true),
    }));
    expect(await findings(linked)).toContain(`${name}: an instance stops with another one`);
  });

  test('finds secrets in what prints, in errors and in what the client hears', async () => {
    const keeping = opening(() => {
      const kept: { password?: string } = {};
      return {
        kept,
        *handshake(context) {
          const { credentials } = yield* context.authorize({}, (lent) => {
            kept.password = lent.get('password').expose(String);
            return '';
          });
          const password = credentials.get('password').expose(String);
          if (password.includes('\n')) throw new SidecarError('credential-unfit', { detail: kept.password! });
          yield* write('downstream', Buffer.from(kept.password!).subarray(0, password.includes('\0') ? 99 : 0));
          return { then: 'close' };
        },
      };
    });
    expect(await findings(keeping)).toEqual(
      expect.arrayContaining([
        'no error quotes a secret: the error for a line break in "password" quotes a secret',
        'the service prints no secret: the service prints a secret after its use',
      ]),
    );
    const telling = saying((error) => `${fixedWords(error)}canary-sesame`);
    expect(await findings(telling)).toEqual(
      expect.arrayContaining([
        'a refusal names the rule, dials nothing and quotes no secret: the refusal quotes a secret',
        'the client hears neither details nor secrets: with an upstream out of reach the client hears a secret',
        'no error quotes a secret: with a line break in "password" the client hears a secret',
      ]),
    );
  });

  test('finds a service that cannot be closed twice', async () => {
    const once = opening(() => {
      let open = true;
      return {
        handshake: lineLogin,
        close() {
          if (!open) throw new Error('closed already');
          open = false;
        },
      };
    });
    expect(await findings(once)).toEqual(['closing twice is closing once: closed already']);
  });

  test('does not take what the login has read for what has arrived', async () => {
    const reading = loggingIn(function* (context) {
      if ((yield* unread('downstream')) > 0) return { then: 'close' };
      return yield* lineLogin(context);
    });
    expect(await findings(reading)).toEqual([]);
  });
});
