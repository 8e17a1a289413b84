/**
 * A toy protocol whose conversation the connector leads:
 *
 *   client: USE <word>     asked of policy; then the upstream's line, or `NO <sentence>`
 *   upstream: is sent `PASS <password>` and a line break, and answers with a line
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Type } from '../../schema.ts';
import { asSidecarError, SidecarError } from '../../error.ts';
import { defineRelayConnector, type RelayConnector } from '../connector.ts';
import type { Loan, RelayConnection, RelayEnd, RelayService } from '../relay.ts';

const LINE_BYTES_MAX = 64;

export type ToyConnection = RelayConnection<'password'>;

/** Lines of a stream, of `LINE_BYTES_MAX` bytes at most. Errors: `code`. Over with the connection, or after `seconds`. */
export async function readLine(
  stream: Duplex,
  { signal, ending }: ToyConnection,
  seconds: number,
): Promise<string | undefined> {
  const over = AbortSignal.any([signal, ending, AbortSignal.timeout(Math.max(1, seconds * 1000))]);
  let line = '';
  for (;;) {
    over.throwIfAborted();
    const byte = stream.read(1) as Buffer | null;
    if (byte === null) {
      if (stream.readableEnded || stream.destroyed) return undefined;
      const arrivals = ['readable', 'end', 'close'].map((event) => once(stream, event, { signal: over }));
      await Promise.race(arrivals).catch((error: unknown) => {
        throw (over.reason as Error | undefined) ?? error;
      });
      continue;
    }
    if (byte[0] === 0x0a) return line;
    line += byte.toString('latin1');
    if (line.length > LINE_BYTES_MAX) throw new SidecarError('downstream-protocol');
  }
}

export async function useUpstream(connection: ToyConnection, loan: Loan<'password'>): Promise<string> {
  const upstream = await connection.dial({ host: 'toy.internal', port: 7 });
  try {
    loan.credentials.get('password').expose((bytes) => {
      upstream.write(Buffer.concat([Buffer.from('PASS '), bytes, Buffer.from('\n')]));
    });
    const answer = await readLine(upstream, connection, connection.loginSeconds);
    if (!/^[a-z ]+$/.test(answer ?? '')) throw new SidecarError('upstream-protocol');
    return answer!;
  } finally {
    upstream.destroy();
  }
}

export async function answer(connection: ToyConnection, line: string): Promise<string> {
  if (!line.startsWith('USE ')) throw new SidecarError('downstream-protocol');
  const loan = await connection.authorize({ database: line.slice(4) }, () => 'toy://toy.internal:7');
  try {
    return await useUpstream(connection, loan);
  } finally {
    loan.end();
  }
}

/** The sound relay; `hear` may be put in place of what it makes of a line. */
export async function toyRelay(connection: ToyConnection, hear = answer): Promise<RelayEnd> {
  const { downstream } = connection;
  downstream.on('error', () => undefined);
  try {
    if (connection.refusal !== undefined) throw connection.refusal;
    for (;;) {
      const line = await readLine(downstream, connection, connection.idleSeconds);
      if (line === undefined) return { bytesUp: 0, bytesDown: 0 };
      downstream.write(`${await hear(connection, line)}\n`);
    }
  } catch (thrown) {
    const error = asSidecarError(thrown);
    downstream.end(`NO ${error.sentence} ${error.rule ?? ''}\n`);
    return { error, bytesUp: 0, bytesDown: 0 };
  } finally {
    downstream.end();
  }
}

export const toyConnector = defineRelayConnector({
  kind: 'relay',
  name: 'toy',
  summary: 'a toy protocol of questions',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [{ name: 'password', required: true, meaning: 'password of the toy', example: 'open sesame' }],
  open: (): RelayService<'password'> => ({ relay: (connection) => toyRelay(connection) }),
}) as unknown as RelayConnector;
