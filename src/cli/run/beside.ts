import { resolve } from 'node:path';
import { asSidecarError, SidecarError } from '../../error.ts';
import { loadOrRefuse, startSidecar } from '../../main.ts';
import { ControlClient } from '../../sidecar/control-client.ts';
import { controlSocketPath, type SidecarStatus } from '../../sidecar/state.ts';
import { openLog, type Log } from '../../telemetry/log.ts';
import { fdStream } from '../../telemetry/log-stream.ts';
import { openSync } from 'node:fs';
import { standingOf, type Standing } from './standing.ts';

/** The status of the sidecar that runs on this state folder; undefined where none does. Errors: of one that is unwell. */
export async function runningStatus(env: NodeJS.ProcessEnv, socket?: string): Promise<SidecarStatus | undefined> {
  try {
    return await new ControlClient(socket ?? controlSocketPath(env)).status();
  } catch (thrown) {
    const error = asSidecarError(thrown);
    if (error.code === 'not-running') return undefined;
    throw error;
  }
}

/**
 * Another's sidecar as it stands. Its file decides: another one that was asked for is an error.
 * Errors: `config-invalid`.
 */
export function joined(status: SidecarStatus, asked: string | undefined, env: NodeJS.ProcessEnv): Standing {
  const { file } = status.config;
  if (asked !== undefined && resolve(asked) !== resolve(file)) {
    const detail = `a sidecar runs already, on ${file}: leave out --file to use it, or set SECRETLESS_HOME for another`;
    throw new SidecarError('config-invalid', { detail });
  }
  // One that `run` started has the listener that `run` gives it.
  return standingOf(
    loadOrRefuse(file, env, () => undefined, 'program'),
    status,
  );
}

export interface OwnOptions {
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
  /** Where it logs; default: warnings, on standard error. */
  readonly log: string | undefined;
  readonly onStopRequested: () => void;
}

/** A sidecar in this process, for one program. */
export interface Own {
  readonly standing: Standing;
  readonly log: Log;
  /** Never rejects. */
  drain(): Promise<void>;
}

/** Errors: as `Sidecar.start`. */
export async function startOwn({ file, env, log: path, onStopRequested }: OwnOptions): Promise<Own> {
  const log = path === undefined ? openLog({ level: 'warn' }) : openLog({ level: 'info', stream: logFile(path) });
  const sidecar = await startSidecar({ file, env, log, onStopRequested, purpose: 'program' });
  const config = loadOrRefuse(file, env, () => undefined, 'program');
  return { standing: standingOf(config, sidecar.status()), log, drain: () => sidecar.drain() };
}

function logFile(path: string) {
  try {
    return fdStream(openSync(path, 'a', 0o600), false);
  } catch (cause) {
    throw new SidecarError('config-invalid', { detail: `--log ${path}: ${(cause as Error).message}`, cause });
  }
}
