import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asSidecarError } from '../error.ts';
import { stateFolder } from '../sidecar/state.ts';
import type { Log } from '../telemetry/log.ts';
import { defineCommand, type Io } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { joined, runningStatus, startOwn } from './run/beside.ts';
import { runChild } from './run/child.ts';
import { changed } from './run/environment.ts';
import { Guests } from './run/guests.ts';
import { runWithValues } from './run/only.ts';
import { outfit, type Wishes } from './run/outfit.ts';
import type { Standing } from './run/standing.ts';

export const command = defineCommand({
  name: 'run',
  summary: 'run a program that holds nothing, beside a sidecar that lends it what it needs',
  usage: '[-f file] [--service name]… [--agent name] [--keep VARIABLE]… -- program [arguments]',
  options: {
    file: FILE_OPTION,
    service: {
      type: 'string',
      multiple: true,
      value: 'name',
      meaning: 'set the variables of this service alone; may be repeated',
    },
    agent: { type: 'string', value: 'name', meaning: 'whose program it is: its token is shown to the egress listener' },
    keep: {
      type: 'string',
      multiple: true,
      value: 'variable',
      meaning: 'leave this variable to the program although it holds a secret; may be repeated',
    },
    region: { type: 'string', value: 'name', meaning: 'region of AWS to work in, where the service has none' },
    only: {
      type: 'string',
      multiple: true,
      value: 'service.credential[=VARIABLE]',
      meaning: 'no listener: hand this credential itself to the program, where a rule delivers values; may be repeated',
    },
    log: { type: 'string', value: 'file', meaning: 'where the sidecar logs; default: warnings, on standard error' },
  },
  program: 'required',
  async run({ values, program }, io) {
    const warn = (text: string): void => void io.stderr.write(`secretless: ${text}\n`);
    const { file, agent, region, log, service = [], keep = [], only = [] } = values;
    const wishes: Wishes = {
      services: service,
      keep,
      ...(agent === undefined ? {} : { agent }),
      ...(region === undefined ? {} : { region }),
    };
    const task: Task = { program, io, warn, wishes };
    if (only.length > 0) return runWithValues({ ...task, file, only });
    const status = await runningStatus(io.env);
    return status === undefined
      ? runBesideOwn(task, configFile(file, io.env), log)
      : runBesideAnother(task, joined(status, file, io.env));
  },
});

interface Task {
  readonly program: readonly string[];
  readonly io: Io;
  readonly warn: (text: string) => void;
  readonly wishes: Wishes;
}

async function runBesideAnother(task: Task, standing: Standing): Promise<number> {
  const leave = new Guests(stateFolder(task.io.env)).enter();
  try {
    return await runOutfitted(task, standing, task.io.signal);
  } finally {
    leave();
  }
}

async function runBesideOwn(task: Task, file: string, log: string | undefined): Promise<number> {
  const { io, warn } = task;
  const stop = new AbortController();
  io.signal?.addEventListener('abort', () => stop.abort(), { once: true });
  const own = await startOwn({ file, env: io.env, log, onStopRequested: () => stop.abort() });
  endWithSidecar(own.log, stop);
  try {
    return await runOutfitted(task, own.standing, stop.signal);
  } finally {
    const unhook = endAtOnceBySignal();
    const guests = new Guests(stateFolder(io.env));
    const others = guests.count();
    if (others > 0) warn(`${others} more programs use this sidecar, which ends with the last of them`);
    await guests.gone(stop.signal);
    await own.drain();
    unhook();
  }
}

/** In a folder of its own for the files that the environment names. */
async function runOutfitted(
  { program, io, warn, wishes }: Task,
  standing: Standing,
  signal?: AbortSignal,
): Promise<number> {
  const own = mkdtempSync(join(tmpdir(), 'secretless-run-'));
  const remove = (): void => rmSync(own, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    const env = changed(io.env, await outfit(standing, wishes, { env: io.env, own, warn }));
    return await runChild({ words: program, env, warn, ...(signal === undefined ? {} : { signal }) });
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/** Once the program is over, nobody waits for what holds the sidecar longer than they want to. */
function endAtOnceBySignal(): () => void {
  const end = (): void => process.exit(EXIT.internal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  for (const signal of signals) process.on(signal, end);
  return () => {
    for (const signal of signals) process.off(signal, end);
  };
}

/** What nobody handled leaves the sidecar in a state nobody knows: the program is asked to end. */
function endWithSidecar(log: Log, stop: AbortController): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (thrown: unknown) => {
      log.error({ error: asSidecarError(thrown), event }, 'unexpected failure, ending the program');
      stop.abort();
    });
  }
}
