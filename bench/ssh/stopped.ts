import type { KeyObject } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { loginKey, loginSsh, SshError, type RawSide } from '../../connectors/ssh/transport/index.ts';
import { wire } from '../../connectors/ssh/transport/wire.ts';
import { forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import type { StoppedFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Sidecar } from './target.ts';

const OPEN = 90;
const CONFIRMED = 91;
const REQUEST = 98;
const WINDOW_BYTES = 2 ** 31 - 1;
const PACKET_BYTES = 32 * 1024;
/** So much is read before reading stops. */
const READ_BYTES = 8 * 1024 * 1024;

/** A client that grants 2 GiB, asks for bytes without end, and reads no more: nothing but the sidecar's limits holds it. */
export async function measureStopped(stage: Stage, target: Sidecar): Promise<StoppedFigures> {
  const { stoppedSeconds: seconds } = stage.options.sizes;
  stage.say(`a reader that stops for ${seconds} s: ${target.name}`);
  const pids = target.pids();
  forgetPeak(pids);
  const before = residentMb(pids);
  const figures = { target: target.name, seconds, before };
  try {
    const raw = await stopReading(target.keyed, stage.client.user);
    await pause(seconds * 1000);
    const peak = peakMb(pids);
    raw.end(new SshError('aborted', 'measured'));
    const more = peak === undefined || before === undefined ? undefined : peak - before;
    return { ...figures, failures: 0, firstFailure: undefined, more };
  } catch (error) {
    return { ...figures, failures: 1, firstFailure: (error as Error).message, more: undefined };
  }
}

async function stopReading({ port, key }: { port: number; key: KeyObject }, user: string): Promise<RawSide> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const auth = [{ method: 'publickey', key: loginKey(key) }] as const;
  const { raw } = await loginSsh(socket, { ident: 'bench', user, hostKeyCheck: () => true, auth });
  let got = 0;
  const full = Promise.withResolvers<void>();
  void raw.closed.then((error) => full.reject(error));
  raw.attach({
    message: (message) => {
      got += message.length;
      if (message[0] === CONFIRMED) {
        const uint32 = message.readUInt32BE(5);
        raw.send(wire({ byte: REQUEST }, { uint32 }, 'exec', { boolean: false }, 'cat /dev/zero'));
      }
      if (got < READ_BYTES) return;
      raw.pause();
      full.resolve();
    },
    drained: () => undefined,
  });
  raw.send(wire({ byte: OPEN }, 'session', { uint32: 0 }, { uint32: WINDOW_BYTES }, { uint32: PACKET_BYTES }));
  await full.promise;
  return raw;
}
