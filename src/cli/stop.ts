import { setTimeout as pause } from 'node:timers/promises';
import { SidecarError } from '../error.ts';
import type { ControlClient } from '../sidecar/control-client.ts';
import { defineCommand, JSON_OPTION } from './command.ts';
import { controlClient, milliseconds, SOCKET_OPTION } from './control-options.ts';
import { EXIT } from './exit.ts';

const POLL_MS = 50;
/** Longer than the default drain, so that a drain that ends on time is seen. */
const DEFAULT_SECONDS = 30;

export const command = defineCommand({
  name: 'stop',
  summary: 'let the running sidecar finish its work and end',
  usage: '[--no-wait] [--timeout seconds] [--json] [--socket path]',
  options: {
    'no-wait': { type: 'boolean', meaning: 'return as soon as it begins to drain' },
    timeout: { type: 'string', value: 'seconds', meaning: `time to wait for its end, default ${DEFAULT_SECONDS}` },
    json: JSON_OPTION,
    socket: SOCKET_OPTION,
  },
  async run(args, io) {
    const timeoutMs = milliseconds('timeout', args.values.timeout, DEFAULT_SECONDS);
    const client = controlClient(args.values.socket, io);
    const { pid } = await client.status();
    await client.stop();
    const waits = args.values['no-wait'] !== true;
    const ended = waits && (await gone(client, pid, timeoutMs));
    if (args.values.json === true) io.stdout.write(`${JSON.stringify({ pid, ended })}\n`);
    else io.stdout.write(ended ? `stopped (pid ${pid})\n` : `stopping (pid ${pid})\n`);
    return ended || !waits ? EXIT.ok : EXIT.internal;
  },
});

/** True once the sidecar of that pid no longer answers: nobody does, or a successor. */
async function gone(client: ControlClient, pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      if ((await client.status()).pid !== pid) return true;
    } catch (error) {
      if (error instanceof SidecarError && error.code === 'not-running') return true;
      // A connection cut in the middle of its end: the next question tells.
    }
    if (performance.now() >= deadline) return false;
    await pause(POLL_MS);
  }
}
