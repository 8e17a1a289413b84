import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import type { RelayConnector } from './connector.ts';
import type { RelayEnd, RelayService } from './relay.ts';
import { answer, toyConnector, toyRelay, type ToyConnection, useUpstream } from './testdata/relay-protocol.ts';
import { conformanceChecks, inspectConnector, RelayRehearsal, type ConnectorSample } from './testing.ts';

const sample: ConnectorSample = {
  config: {},
  credentials: { password: 'canary-sesame' },
  opening: Buffer.from('USE orders\n').toString('hex'),
};

async function findings(connector: RelayConnector, given = sample): Promise<string[]> {
  return (await inspectConnector(connector, given)).map(({ check, problem }) => `${check}: ${problem}`);
}

function relaying(relay: (connection: ToyConnection) => Promise<RelayEnd>): RelayConnector {
  return { ...toyConnector, open: () => ({ relay }) };
}

const over: RelayEnd = { bytesUp: 0, bytesDown: 0 };

/** The sound relay, with this in place of what it makes of a line. */
function hearing(hear: typeof answer): RelayConnector {
  return relaying((connection) => toyRelay(connection, hear));
}

describe('the kit', () => {
  test('finds nothing wrong with a sound relay connector, by seventeen checks', async () => {
    expect(conformanceChecks(toyConnector, sample)).toHaveLength(17);
    expect(await findings(toyConnector)).toEqual([]);
  }, 60_000);

  test('finds nothing wrong with one whose client the sample plays', async () => {
    const converse: ConnectorSample['converse'] = async (client) => {
      client.write('USE orders\n');
      await once(client, 'data');
    };
    expect(await findings(toyConnector, { ...sample, converse })).toEqual([]);
    expect(await findings(toyConnector, { ...sample, converse: async () => undefined })).toContain(
      "it asks for permission and dials only with it: the sample's client leads to no authorize",
    );
  }, 60_000);

  const leak: { last?: string } = {};
  test.each<[string, RelayConnector, string]>([
    [
      'a dial before permission',
      hearing(async (connection, line) => {
        await connection.dial({ host: 'toy.internal', port: 7 });
        return answer(connection, line);
      }),
      'it asks for permission and dials only with it: the connector dials before it is authorized',
    ],
    [
      'an upstream that is left open',
      hearing(async (connection) => {
        await connection.authorize({}, () => 'toy://');
        await connection.dial({ host: 'toy.internal', port: 7 });
        return 'ok';
      }),
      'it asks for permission and dials only with it: the connector leaves open what it dialled',
    ],
    [
      'a refusal that is quoted whole',
      hearing(async (connection, line) => {
        try {
          return await answer(connection, line);
        } catch (error) {
          return String(error);
        }
      }),
      'a refusal dials nothing and quotes no secret: whoever is refused hears details, which are for the log only',
    ],
    [
      'a secret in what the client hears',
      hearing(async (connection) => {
        const loan = await connection.authorize({}, () => 'toy://');
        return loan.credentials.get('password').expose((bytes) => bytes.toString());
      }),
      'it asks for permission and dials only with it: the client of the sample hears a secret',
    ],
    [
      'a secret in an error',
      hearing(async (connection) => {
        const loan = await connection.authorize({}, () => 'toy://');
        throw new SidecarError('credential-unfit', {
          detail: loan.credentials.get('password').expose((bytes) => bytes.toString()),
        });
      }),
      'neither errors nor the service print a secret: the error of a connection quotes a secret',
    ],
    [
      'a credential of the connection before',
      hearing(async (connection, line) => {
        const loan = await connection.authorize({ database: line }, () => 'toy://');
        const known = leak.last;
        leak.last = loan.credentials.get('password').expose((bytes) => bytes.toString());
        const upstream = await connection.dial({ host: 'toy.internal', port: 7 });
        upstream.end(known ?? leak.last);
        return 'ok';
      }),
      'one connection knows nothing of another: a connection is given the credentials of another',
    ],
    [
      'a defect',
      hearing(async () => {
        throw new TypeError('no words');
      }),
      'none',
    ],
    [
      'a defect that is let through',
      relaying(async ({ downstream }) => {
        downstream.resume();
        throw new TypeError('no words');
      }),
      'a client that leaves without a word ends its connection: relay fails with no words',
    ],
    [
      'an agent that is named too late',
      hearing(async (connection, line) => {
        const text = await answer(connection, line).catch(() => 'no');
        connection.prove('other', 'token');
        return text;
      }),
      'it asks for permission and dials only with it: the connector says who the agent is after it asked for permission',
    ],
    [
      'one instance for all services',
      ((only: RelayService) => ({ ...toyConnector, open: () => only }))({
        relay: (connection) => toyRelay(connection),
      }),
      'each service gets an instance of its own: open returned one instance for two services',
    ],
    [
      'a dial after a refusal',
      hearing(async (connection, line) => {
        await connection.authorize({ database: line }, () => 'toy://').catch(() => undefined);
        (await connection.dial({ host: 'toy.internal', port: 7 })).destroy();
        return 'ok';
      }),
      'a refusal dials nothing and quotes no secret: the connector dials before it is authorized',
    ],
  ])(
    'finds %s',
    async (_, connector, expected) => {
      const found = await findings(connector);
      if (expected === 'none') expect(found).toEqual([]);
      else expect(found).toContain(expected);
    },
    120_000,
  );

  /** What waits for ever: these take as long as the kit waits, so each is asked of the check that is for it. */
  test.concurrent.each<[string, RelayConnector, string]>([
    [
      'a relay that outlives its client',
      relaying(async ({ downstream, signal }) => {
        downstream.resume();
        await once(signal, 'abort');
        return over;
      }),
      'a client that leaves without a word ends its connection',
    ],
    [
      'a relay that waits for ever for a client that says nothing',
      relaying(async ({ downstream }) => {
        downstream.resume();
        await once(downstream, 'end');
        return over;
      }),
      'a client that says nothing is let go',
    ],
    [
      'a relay that outlives the end of its connection',
      relaying(async ({ downstream, idleSeconds }) => {
        downstream.resume();
        await Promise.race([
          once(downstream, 'close').catch(() => undefined),
          new Promise((resolve) => setTimeout(resolve, idleSeconds * 1000)),
        ]);
        return over;
      }),
      'the end of the connection ends everything, whatever is in progress',
    ],
    [
      'a relay that waits for ever for an upstream that says nothing',
      hearing(async (connection, line) => {
        const loan = await connection.authorize({ database: line }, () => 'toy://');
        return useUpstream({ ...connection, loginSeconds: 3600 }, loan);
      }),
      'nonsense and silence from the upstream end soon',
    ],
    [
      'a relay that does not end for a refusal',
      relaying(async (connection) => {
        if (connection.refusal === undefined) return toyRelay(connection);
        connection.downstream.resume();
        await once(connection.signal, 'abort');
        return over;
      }),
      'a connection that is refused as a whole ends soon',
    ],
  ])(
    'finds %s',
    async (_, connector, name) => {
      const check = conformanceChecks(connector, sample).find((one) => one.name === name)!;
      await expect(check.run()).rejects.toThrow('the relay has not ended after 5 s');
    },
    60_000,
  );
});

describe('a rehearsal', () => {
  test('plays a whole use, and tells what was asked, said and heard', async () => {
    const rehearsal = new RelayRehearsal<'password'>({
      credentials: { password: 'canary-sesame' },
      upstream: (server) => server.once('data', () => server.end('welcome\n')),
    });
    const running = rehearsal.run({ relay: (connection) => toyRelay(connection) });
    rehearsal.client.write('USE orders\n');
    const [line] = (await once(rehearsal.client, 'data')) as [Buffer];
    rehearsal.client.end();
    expect(await running).toEqual(over);
    expect(line.toString()).toBe('welcome\n');
    expect(rehearsal.asked).toEqual([{ database: 'orders' }]);
    expect(rehearsal.dialled).toMatchObject([{ address: { host: 'toy.internal', port: 7 }, via: undefined }]);
    expect(rehearsal.said.toString()).toBe('PASS canary-sesame\n');
    expect(rehearsal.heard.toString()).toBe('welcome\n');
    expect(rehearsal.violations).toEqual([]);
  });

  test('lets a connection drain, and hears nothing after its end', async () => {
    const rehearsal = new RelayRehearsal<'password'>({ credentials: { password: 'canary-sesame' }, seconds: 60 });
    const running = rehearsal.run({ relay: (connection) => toyRelay(connection) });
    rehearsal.drain();
    expect((await running).error?.code).toBe('draining');
    await expect(rehearsal.connection.authorize({}, () => 'x')).rejects.toMatchObject({ code: 'grant-ended' });
  });
});
