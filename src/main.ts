import { readFileSync } from 'node:fs';
import { connectors } from '../connectors/index.ts';
import type { Catalog } from './config/catalog.ts';
import type { Config, ListenAddress } from './config/config.ts';
import { loadConfig, type LoadResult } from './config/load.ts';
import { formatProblem } from './config/problem.ts';
import { SidecarError } from './error.ts';
import { compileUrlPattern } from './http/match.ts';
import { checkRules } from './policy/compile.ts';
import { providers } from './providers/index.ts';
import { openStores } from './providers/open.ts';
import { Sidecar } from './sidecar/sidecar.ts';
import { stateFolder } from './sidecar/state.ts';
import { productVersion } from './sidecar/version.ts';
import type { Log } from './telemetry/log.ts';
import { openMetrics } from './telemetry/metrics.ts';

/** The composition root: the only file that names concrete parts. */

export const CATALOG: Catalog = { connectors, providers };

export { connectors };

/** What the command line says of the sidecar, whatever the file says. */
export interface Overrides {
  readonly telemetry?: ListenAddress;
}

/** `program`: for the sidecar of one program, which needs a way in and no telemetry where the file says nothing of them. */
export type Purpose = 'service' | 'program';

/** Reads and validates a configuration file. Errors: `config-invalid` where it cannot be read at all. */
export function readConfig(
  file: string,
  env: NodeJS.ProcessEnv,
  purpose: Purpose = 'service',
  { telemetry }: Overrides = {},
): LoadResult {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SidecarError('config-invalid', { detail: `${file} cannot be read (${(cause as Error).message})`, cause });
  }
  const loaded = loadConfig(text, {
    file,
    environment: env,
    home: stateFolder(env),
    catalog: CATALOG,
    checkPattern: compileUrlPattern,
    checkRules,
    ...(telemetry === undefined ? {} : { telemetry }),
    ...(purpose === 'program' ? { egress: { listenOn: ['tcp://127.0.0.1:0'] } } : {}),
  });
  return purpose === 'program' ? quiet(loaded) : loaded;
}

/** Without the telemetry that the file does not ask for. */
function quiet(loaded: LoadResult): LoadResult {
  if (loaded.config === undefined) return loaded;
  const { telemetry: written } = loaded.normalized as { telemetry?: { listenOn?: unknown } };
  if (written?.listenOn !== undefined) return loaded;
  const { telemetry } = loaded.config;
  return { ...loaded, config: { ...loaded.config, telemetry: { ...telemetry, listenOn: undefined } } };
}

/** The configuration, or all that is wrong with it. Errors: `config-invalid`. */
export function loadOrRefuse(
  file: string,
  env: NodeJS.ProcessEnv,
  warn: (problem: string) => void,
  purpose: Purpose = 'service',
  overrides: Overrides = {},
): Config {
  const { config, problems } = readConfig(file, env, purpose, overrides);
  const errors = problems.filter(({ severity }) => severity === 'error').map(formatProblem);
  if (config === undefined || errors.length > 0) {
    throw new SidecarError('config-invalid', { detail: `\n${errors.join('\n')}` });
  }
  for (const problem of problems) warn(formatProblem(problem));
  return config;
}

/** The stores of one configuration, as the sidecar opens them. */
export function storesOf(configured: Config['providers']) {
  const { store, close } = openStores(configured);
  return { of: store, close };
}

export interface RunOptions {
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  /** Called with each configuration that takes effect. */
  readonly onConfig?: (config: Config) => void;
  readonly onStopRequested: () => void;
  readonly purpose?: Purpose;
  readonly overrides?: Overrides;
  /** Folder that gets what makes clients trust the authority of `egress`; absent: none does. */
  readonly trust?: string;
}

/** Starts the sidecar on a configuration file. Errors: as `Sidecar.start`. */
export function startSidecar(options: RunOptions): Promise<Sidecar> {
  const { file, env, log, onConfig, onStopRequested, purpose, overrides, trust } = options;
  const version = productVersion();
  return Sidecar.start({
    version,
    file,
    load: () => loadOrRefuse(file, env, (problem) => log.warn({ problem }, 'configuration'), purpose, overrides),
    stateFolder: stateFolder(env),
    connectors,
    openStores: storesOf,
    log,
    metrics: openMetrics({ version }),
    ...(onConfig === undefined ? {} : { onConfig }),
    ...(trust === undefined ? {} : { trust: { folder: trust, environment: env } }),
    onStopRequested,
  });
}
