/**
 * A toy protocol of lines, with all that real ones have: TLS on request, a login, retries and cancel keys.
 *
 *   client: HELLO <database>      server: PASS? / OK <key> / NO
 *   client: TLS, then HELLO       (answered with Y, then TLS)
 *   client: CANCEL <key>
 */
import { Type } from '../../schema.ts';
import { SidecarError } from '../../error.ts';
import { defineStreamConnector, type StreamConnector } from '../connector.ts';
import {
  dial,
  read,
  readEnd,
  recall,
  remember,
  startDownstreamTls,
  write,
  writeSecret,
  compute,
  type Asking,
  type Handshake,
  type Side,
  type StreamContext,
} from '../handshake.ts';

const LINE_BYTES_MAX = 64;
const NEWLINE = 0x0a;

export type LineContext = StreamContext<'password' | 'host'>;

export function* lineLogin(context: LineContext): Handshake {
  try {
    let hello = yield* readLine('downstream');
    if (hello === 'TLS') {
      yield* write('downstream', Buffer.from('Y'));
      yield* startDownstreamTls({ alpn: ['line'] });
      hello = yield* readLine('downstream');
    }
    if (hello.startsWith('CANCEL ')) return yield* cancel(hello);
    if (!hello.startsWith('HELLO ')) throw new SidecarError('downstream-protocol');
    return yield* upstreamLogin(context, hello.slice(6));
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error;
    const rule = error.rule === undefined ? '' : ` (rule ${error.rule})`;
    if (error.code !== 'downstream-closed') yield* write('downstream', Buffer.from(`ERR ${error.sentence}${rule}\n`));
    return { then: 'close' };
  }
}

export function* upstreamLogin(context: LineContext, database: string): Handshake {
  let authorized = yield* context.authorize({ database }, () => 'line://db.internal:7');
  for (;;) {
    yield* dial({ host: 'db.internal', port: 7 });
    yield* write('upstream', Buffer.from('HI\n'));
    if ((yield* readLine('upstream')) !== 'PASS?') throw new SidecarError('upstream-protocol');
    const { credentials } = authorized;
    const message = yield* compute(async () =>
      credentials.get('password').expose((bytes) => Buffer.concat([Buffer.from('PASS '), bytes, Buffer.from('\n')])),
    );
    yield* writeSecret('upstream', message);
    const answer = yield* readLine('upstream');
    if (answer.startsWith('OK ')) {
      yield* remember(Buffer.from(answer.slice(3)), 'in clear');
      yield* write('downstream', Buffer.from(`${answer}\n`));
      return { then: 'splice' };
    }
    const newer = yield* context.reauthorize();
    if (newer === undefined) throw new SidecarError('credential-refused');
    authorized = newer;
  }
}

function* cancel(line: string): Handshake {
  const known = yield* recall(Buffer.from(line.slice(7)));
  if (known !== undefined) {
    yield* dial({ host: 'db.internal', port: 7 });
    yield* write('upstream', Buffer.from(`${line}\n`));
    yield* readEnd('upstream');
  }
  return { then: 'close' };
}

export function* readLine(side: Side): Asking<string> {
  const line: number[] = [];
  while (line.length < LINE_BYTES_MAX) {
    const [byte] = yield* read(side, 1);
    if (byte === NEWLINE) return Buffer.from(line).toString();
    line.push(byte!);
  }
  throw new SidecarError(`${side}-protocol`);
}

export const lineConnector = defineStreamConnector({
  kind: 'stream',
  name: 'line',
  summary: 'a toy protocol of lines',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [
    { name: 'password', required: true, meaning: 'password of the toy', example: 'open sesame' },
    { name: 'host', required: false, meaning: 'name of the server', example: 'db.internal' },
  ],
  open: () => ({ handshake: lineLogin }),
}) as unknown as StreamConnector;
