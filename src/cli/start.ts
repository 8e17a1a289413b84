import { resolve } from 'node:path';
import { asSidecarError, SidecarError } from '../error.ts';
import { parseAddress } from '../config/address.ts';
import type { Config } from '../config/config.ts';
import { startSidecar, type Overrides, type RunOptions } from '../main.ts';
import type { Sidecar } from '../sidecar/sidecar.ts';
import { openLog, type Log } from '../telemetry/log.ts';
import { defineCommand, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { endAs, Ending, type PodSidecar } from './ending.ts';
import { EXIT } from './exit.ts';
import { processFacts, refusal } from './guard.ts';
import { contentOf, watchFile } from './watch.ts';

export const command = defineCommand({
  name: 'start',
  summary: 'run the sidecar until it is stopped',
  usage: '[-f file] [--watch] [--debug] [--sidecar native|plain] [--telemetry address] [--trust folder]',
  options: {
    file: FILE_OPTION,
    watch: { type: 'boolean', meaning: 'reload when the file changes' },
    debug: { type: 'boolean', meaning: 'log at level debug' },
    sidecar: {
      type: 'string',
      value: 'native|plain',
      meaning: 'end as a sidecar of Kubernetes does: after the agents, or together with them',
    },
    telemetry: { type: 'string', value: 'address', meaning: 'where health and metrics listen, whatever the file says' },
    trust: { type: 'string', value: 'folder', meaning: 'gets the files that make clients trust `egress`' },
  },
  async run(args, io) {
    const file = configFile(args.values.file, io.env);
    const debug = args.values.debug === true;
    const log = openLog({ level: debug ? 'debug' : 'info' });
    const onConfig = ({ telemetry }: Config): void => log.limit(debug ? 'debug' : telemetry.log.level);
    const { trust } = args.values;
    const options = {
      ...{ file, env: io.env, log, onConfig },
      overrides: overridesOf(args.values.telemetry),
      ...(trust === undefined ? {} : { trust: resolve(trust) }),
    };
    const { watch = false } = args.values;
    return run(options, { watch, sidecar: podSidecar(args.values.sidecar), signal: io.signal });
  },
});

function podSidecar(written: string | undefined): PodSidecar | undefined {
  if (written === undefined || written === 'native' || written === 'plain') return written;
  throw new UsageError(`--sidecar is native or plain, not "${written}"`);
}

/** Errors: `UsageError`. */
function overridesOf(telemetry: string | undefined): Overrides {
  if (telemetry === undefined) return {};
  const parsed = parseAddress(telemetry);
  if ('problem' in parsed) throw new UsageError(`--telemetry ${parsed.problem}`);
  return { telemetry: parsed.address };
}

interface Running {
  readonly watch: boolean;
  readonly sidecar: PodSidecar | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * SIGTERM, SIGINT, SIGQUIT and `secretless stop` drain; a signal after any of them ends at once. SIGHUP and SIGUSR1
 * reload (SIGUSR1 as CyberArk's broker; having a handler also keeps Node from opening its inspector). All are hooked
 * before the start, since the default of each is to kill: what they ask for is done once everything is open. Only
 * SIGTERM lets a plain sidecar of a pod wait for the agents (see `endAs`).
 */
async function run(
  options: Omit<RunOptions, 'onStopRequested'>,
  { watch, sidecar: kind, signal }: Running,
): Promise<number> {
  const { file, log } = options;
  surviveNothingUnexpected(log);
  const end = new Ending();
  let sidecar: Sidecar | undefined;
  let reloadWanted = false;
  const changed = (): void => {
    if (sidecar === undefined) reloadWanted = true;
    else reload(sidecar);
  };
  const unhook = hookSignals(end, changed);
  signal?.addEventListener('abort', () => end.begin(), { once: true });
  const loaded = watch ? contentOf(file) : undefined;
  let unwatch = (): void => undefined;
  try {
    sidecar = await startSidecar({ ...options, onStopRequested: () => end.begin() });
    refuseInspector();
    sayReady(sidecar, file, log);
    if (reloadWanted) reload(sidecar);
    if (watch) {
      unwatch = watchFile(file, loaded, changed, (error) => log.error({ error }, 'the configuration is not watched'));
    }
    await end.begun;
    const { connections } = sidecar;
    await endAs(kind, sidecar, end, (seconds) => log.info({ connections, seconds }, 'serving until the agents end'));
    return EXIT.ok;
  } finally {
    unwatch();
    unhook();
  }
}

/** Opening an inspector takes node a moment: one that a signal asked for at the very start may be there only now. */
function refuseInspector(): void {
  const refused = refusal(processFacts());
  if (refused !== undefined) throw new SidecarError('config-invalid', { detail: refused });
}

function sayReady(sidecar: Sidecar, file: string, log: Log): void {
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
}

/** Failures are logged by the sidecar; the old configuration runs on. */
function reload(sidecar: Sidecar): void {
  sidecar.reload().catch(() => undefined);
}

function hookSignals(end: Ending, again: () => void): () => void {
  const stop = (signal: NodeJS.Signals): void => {
    if (!end.begin({ patient: signal === 'SIGTERM' })) process.exit(SIGNAL_EXIT[signal] ?? EXIT.internal);
  };
  const hooks = [
    ...(['SIGTERM', 'SIGINT', 'SIGQUIT'] as const).map((signal) => [signal, stop] as const),
    ...(['SIGHUP', 'SIGUSR1'] as const).map((signal) => [signal, again] as const),
    // Means nothing here; its default is to kill.
    ['SIGUSR2', () => undefined] as const,
  ];
  for (const [signal, hook] of hooks) process.on(signal, hook);
  return () => {
    for (const [signal, hook] of hooks) process.off(signal, hook);
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
