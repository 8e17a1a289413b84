import { asSidecarError } from '../error.ts';
import { startSidecar } from '../main.ts';
import type { Sidecar } from '../sidecar/sidecar.ts';
import { openLog, type Log } from '../telemetry/log.ts';
import { defineCommand, type Io } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { watchFile } from './watch.ts';

export const command = defineCommand({
  name: 'start',
  summary: 'run the sidecar until it is stopped',
  usage: '[-f file] [--watch] [--debug]',
  options: {
    file: FILE_OPTION,
    watch: { type: 'boolean', meaning: 'reload when the file changes' },
    debug: { type: 'boolean', meaning: 'log at level debug' },
  },
  async run(args, io) {
    const file = configFile(args.values.file, io.env);
    const log = openLog({ level: args.values.debug === true ? 'debug' : 'info' });
    return run(file, args.values.watch === true, log, io);
  },
});

/**
 * SIGTERM, SIGINT, SIGQUIT and `secretless stop` drain; the second of them ends at once. SIGHUP and SIGUSR1 reload
 * (SIGUSR1 as CyberArk's broker; having a handler also keeps Node from opening its inspector).
 */
async function run(file: string, watch: boolean, log: Log, io: Io): Promise<number> {
  let stop!: () => void;
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  surviveNothingUnexpected(log);
  const sidecar = await startSidecar({ file, env: io.env, log, onStopRequested: () => stop() });
  const unhook = hookSignals(sidecar, () => stop());
  const unwatch = watch
    ? watchFile(
        file,
        () => reload(sidecar),
        (error) => log.error({ error }, 'the configuration is no longer watched'),
      )
    : () => undefined;
  io.signal?.addEventListener('abort', () => stop(), { once: true });
  const { listeners, telemetry, services } = sidecar.status();
  log.info(
    {
      file,
      services: services.length,
      listeners: listeners.map(({ address }) => address),
      telemetry: telemetry.address,
    },
    'ready',
  );
  await stopped;
  unwatch();
  await sidecar.drain();
  unhook();
  return EXIT.ok;
}

/** Failures are logged by the sidecar; the old configuration runs on. */
function reload(sidecar: Sidecar): void {
  sidecar.reload().catch(() => undefined);
}

function hookSignals(sidecar: Sidecar, stop: () => void): () => void {
  let stopping = false;
  const end = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(SIGNAL_EXIT[signal] ?? EXIT.internal);
    stopping = true;
    stop();
  };
  const again = (): void => reload(sidecar);
  const ends = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
  const reloads = ['SIGHUP', 'SIGUSR1'] as const;
  for (const signal of ends) process.on(signal, end);
  for (const signal of reloads) process.on(signal, again);
  return () => {
    for (const signal of ends) process.off(signal, end);
    for (const signal of reloads) process.off(signal, again);
  };
}

/** 128 and the number of the signal, as a shell reports it. */
const SIGNAL_EXIT: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 };

/** What nobody handled leaves the process in a state nobody knows: say so and end, the ledger is on disk already. */
function surviveNothingUnexpected(log: Log): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (thrown: unknown) => {
      log.error({ error: asSidecarError(thrown), event }, 'unexpected failure, ending');
      process.exit(EXIT.internal);
    });
  }
}
