import type { Config, ServiceConfig } from '../../config/config.ts';
import { SidecarError } from '../../error.ts';
import { openLedger } from '../../ledger/ledger.ts';
import { loadOrRefuse, storesOf } from '../../main.ts';
import { Policy } from '../../policy/policy.ts';
import { lendValues } from '../../sidecar/values.ts';
import { type Io, UsageError } from '../command.ts';
import { configFile } from '../config-file.ts';
import { didYouMean } from '../suggest.ts';
import { runningStatus } from './beside.ts';
import { runChild } from './child.ts';
import { changed } from './environment.ts';
import type { Wishes } from './outfit.ts';
import { secretVariables } from './secret-variables.ts';
import { valueText } from './value-text.ts';

export interface ValueTask {
  readonly program: readonly string[];
  readonly io: Io;
  readonly warn: (text: string) => void;
  readonly wishes: Wishes;
  readonly file: string | undefined;
  readonly only: readonly string[];
}

/** One credential for one variable. */
export interface Wanted {
  readonly service: ServiceConfig;
  readonly credential: string;
  readonly variable: string;
}

/**
 * Runs a program that is given credentials themselves, by the rules that deliver values; nothing listens for it. The
 * ledger has it before the program starts. Returns its exit code. Errors: `UsageError`, as `lendValues`.
 */
export async function runWithValues(task: ValueTask): Promise<number> {
  const { io, warn, program, wishes } = task;
  if (wishes.services.length > 0) throw new UsageError('--service is for listeners, --only is without them');
  const file = configFile(task.file, io.env);
  const config = loadOrRefuse(file, io.env, (problem) => warn(problem), 'program');
  const wanted = wantedValues(config, task.only);
  await refuseRunning(io);
  const set = await valuesOf(config, wanted, wishes.agent);
  const secrets = secretVariables(io.env, config, wishes.keep);
  const env = changed(io.env, { set, unset: secrets.filter((name) => !Object.hasOwn(set, name)) });
  return runChild({ words: program, env, warn, ...(io.signal === undefined ? {} : { signal: io.signal }) });
}

/** `service.credential`, `service.credential=VARIABLE`. Errors: `UsageError`. */
export function wantedValues({ services }: Pick<Config, 'services'>, only: readonly string[]): Wanted[] {
  const wanted = only.map((text) => {
    const [, path = '', variable] = /^([^=]+)(?:=([A-Za-z_]\w*))?$/.exec(text) ?? [];
    if (path === '')
      throw new UsageError(`--only is service.credential, or service.credential=VARIABLE, not "${text}"`);
    const all = services.flatMap((service) =>
      Object.keys(service.credentials).map((credential) => ({ service, credential })),
    );
    const found = all.find(({ service, credential }) => `${service.name}.${credential}` === path);
    if (found === undefined) {
      const names = all.map(({ service, credential }) => `${service.name}.${credential}`);
      throw new UsageError(`there is no credential ${path}${didYouMean(path, names)}`);
    }
    return { ...found, variable: variable ?? variableOf(found.service.name, found.credential) };
  });
  const names = wanted.map(({ variable }) => variable);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UsageError(`${twice} would be two credentials: name one, as service.credential=OTHER`);
  return wanted;
}

/** `aws.accessKeyId` → `AWS_ACCESS_KEY_ID`. */
export function variableOf(service: string, credential: string): string {
  const word = `${service}_${credential.replaceAll(/([a-z\d])([A-Z])/g, '$1_$2')}`;
  return word
    .toUpperCase()
    .replaceAll(/[^A-Z\d]+/g, '_')
    .replace(/^(?=\d)/, '_');
}

/** Its ledger is its own: one writer a file, so that the chain is one. */
async function refuseRunning({ env }: Io): Promise<void> {
  const running = await runningStatus(env).catch(() => undefined);
  if (running === undefined) return;
  throw new SidecarError('ledger-unavailable', {
    detail: `the sidecar with pid ${running.pid} writes it`,
    next: 'stop it for the time of this program, or set SECRETLESS_HOME to another folder',
  });
}

/** Values by variable; what was lent is wiped, the texts stay for as long as the program is started. */
async function valuesOf(
  config: Config,
  wanted: readonly Wanted[],
  agent: string | undefined,
): Promise<Record<string, string>> {
  const stores = storesOf(config.providers);
  const ledger = await openLedger(config.ledger);
  const parts = {
    context: { policy: new Policy(config.rules), ledger },
    store: (from: string) => stores.of(from),
    signal: new AbortController().signal,
  };
  const set: Record<string, string> = {};
  try {
    for (const service of new Set(wanted.map((each) => each.service))) {
      const own = wanted.filter((each) => each.service === service);
      const credentials = [...new Set(own.map(({ credential }) => credential))];
      const asked = { service, credentials, ...(agent === undefined ? {} : { agent }) };
      const lent = await lendValues(asked, parts).catch((thrown: unknown) => {
        throw withNext(thrown, service.name);
      });
      for (const { credential, variable } of own)
        set[variable] = valueText(lent.lease.credentials.get(credential), credential);
      await lent.release();
    }
    return set;
  } finally {
    await ledger.close();
    await stores.close();
  }
}

/** Which rule said no, and what would say yes. */
function withNext(thrown: unknown, service: string): unknown {
  if (!(thrown instanceof SidecarError) || thrown.code !== 'policy-denied') return thrown;
  const next = `a rule has to hand it over: { effect: allow, services: [${service}], deliver: [value] }`;
  const rule = thrown.rule === undefined ? '' : `rule ${thrown.rule}: `;
  return new SidecarError(thrown.code, {
    detail: `${rule}${thrown.detail ?? ''}`,
    next,
    ...(thrown.rule === undefined ? {} : { rule: thrown.rule }),
  });
}
