import { setTimeout as pause } from 'node:timers/promises';
import { asSidecarError } from '../error.ts';
import type { SidecarStatus } from '../sidecar/state.ts';
import { defineCommand, JSON_OPTION } from './command.ts';
import { controlClient, milliseconds, SOCKET_OPTION } from './control-options.ts';
import { EXIT } from './exit.ts';

const POLL_MS = 50;
const DEFAULT_SECONDS = 30;

export const command = defineCommand({
  name: 'wait-ready',
  summary: 'wait until the sidecar is ready',
  usage: '[--timeout seconds] [--json] [--socket path]',
  options: {
    timeout: { type: 'string', value: 'seconds', meaning: `time to wait, default ${DEFAULT_SECONDS}` },
    json: JSON_OPTION,
    socket: SOCKET_OPTION,
  },
  async run(args, io) {
    const deadline = performance.now() + milliseconds('timeout', args.values.timeout, DEFAULT_SECONDS);
    const client = controlClient(args.values.socket, io);
    for (;;) {
      const answer = await client.status().catch((thrown: unknown) => asSidecarError(thrown));
      const reasons = reasonsAgainst(answer);
      const late = performance.now() >= deadline;
      if (reasons.length === 0 || late) {
        const ready = reasons.length === 0;
        if (args.values.json === true) io.stdout.write(`${JSON.stringify({ ready, reasons })}\n`);
        else if (ready) io.stdout.write('ready\n');
        else io.stderr.write(`secretless: not ready in time: ${reasons.join('; ')}\n`);
        return ready ? EXIT.ok : EXIT.internal;
      }
      await pause(POLL_MS);
    }
  },
});

function reasonsAgainst(answer: SidecarStatus | Error): readonly string[] {
  if (answer instanceof Error) return [answer.message];
  if (answer.ready) return [];
  return answer.reasons.length === 0 ? ['it does not say why'] : answer.reasons;
}
