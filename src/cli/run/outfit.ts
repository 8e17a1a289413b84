import { resolve } from 'node:path';
import { lineOf } from '../../connector/index.ts';
import { connectors, storesOf } from '../../main.ts';
import { stateFolder } from '../../sidecar/state.ts';
import { UsageError } from '../command.ts';
import { didYouMean } from '../suggest.ts';
import { sshHosts, writeSshConfig } from '../ssh.ts';
import { environmentChanges } from './environment.ts';
import { trustPaths, wgetSettings } from './files.ts';
import { placeholderVariables } from './placeholders.ts';
import { bracketed, directHosts, type ProxyDoor } from './proxy-variables.ts';
import { secretVariables } from './secret-variables.ts';
import { answerOf, gathered, type Changes, reachable } from './service-variables.ts';
import { callerOf, type Door, type Standing } from './standing.ts';

/** What the command line asks for. */
export interface Wishes {
  /** Only these services; empty: all. */
  readonly services: readonly string[];
  readonly agent?: string;
  readonly region?: string;
  /** Variables that stay although they hold a secret. */
  readonly keep: readonly string[];
}

export interface OutfitPlace {
  readonly env: NodeJS.ProcessEnv;
  /** Folder for files that belong to this environment alone; made where it is not there. */
  readonly own: string;
  /** One line, for a person. */
  readonly warn: (text: string) => void;
}

const TOKEN_MS = 10_000;

/**
 * The environment of a program beside a running sidecar, and the files that it names. Errors: `UsageError`,
 * `config-invalid`, those of the provider that holds the agent's token.
 */
export async function outfit(standing: Standing, wishes: Wishes, place: OutfitPlace): Promise<Changes> {
  const { config } = standing;
  const { env, own, warn } = place;
  const { egress } = config;
  const wanted = wantedServices(standing, wishes.services);
  const trust = egress === undefined ? undefined : await trustPaths(stateFolder(env), own, env);
  const door = egress?.mode === 'proxy' ? await doorOf(standing, wishes.agent, place) : undefined;
  const services = [serviceChanges(wanted, wishes, warn), await sshChanges(wanted, wishes, place)];
  const led = egress === undefined ? {} : placeholderVariables(wanted.filter(({ listenOn }) => listenOn.length === 0));
  const wget = trust === undefined ? {} : { WGETRC: await wgetSettings(own, trust.bundle, env) };
  const secrets = secretVariables(env, config, wishes.keep);
  return environmentChanges({
    env,
    door,
    trust,
    secrets,
    services: [{ set: { ...wget, ...keptOut(led, wishes.keep) }, unset: [] }, ...services],
  });
}

function keptOut(set: Readonly<Record<string, string>>, keep: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(set).filter(([name]) => !keep.includes(name)));
}

function wantedServices({ services }: Standing, names: readonly string[]): Standing['services'] {
  for (const name of names) {
    if (services.some((service) => service.name === name)) continue;
    throw new UsageError(
      `there is no service ${name}${didYouMean(
        name,
        services.map((service) => service.name),
      )}`,
    );
  }
  return names.length === 0 ? services : services.filter(({ name }) => names.includes(name));
}

async function doorOf(
  { config, egress, services }: Standing,
  agent: string | undefined,
  { env, warn }: OutfitPlace,
): Promise<ProxyDoor | undefined> {
  if (egress === undefined) {
    warn('the egress listener is on no TCP address, so programs cannot be led to it');
    return undefined;
  }
  if (config.egress?.upstreamProxy === undefined && hasOtherProxy(env, egress)) {
    warn('HTTPS_PROXY of this shell is not on the way any more: write it as `egress.upstreamProxy`');
  }
  const caller = callerOf(config, agent);
  const login = caller === 'nobody' ? undefined : { agent: caller.agent, token: await tokenOf(config, caller) };
  const listeners = services.flatMap(({ listenOn }) =>
    listenOn.flatMap((address) =>
      address.kind === 'tcp' ? { host: reachable(address.host), port: address.port } : [],
    ),
  );
  const targets = services.flatMap(({ listenOn, target }) =>
    listenOn.length === 0 && target !== undefined ? target.origin : [],
  );
  const allowed = (config.egress?.allow ?? []).filter(({ below }) => !below);
  return {
    host: reachable(egress.host),
    port: egress.port,
    ...(login === undefined ? {} : { login }),
    direct: directHosts(listeners, [...targets, ...allowed]),
  };
}

/** Whether programs went by a proxy before, and not by this one: in a shell that `env` or `run` made, they did. */
function hasOtherProxy(env: NodeJS.ProcessEnv, { host, port }: Door): boolean {
  const present = env['HTTPS_PROXY'] ?? env['https_proxy'] ?? '';
  return present !== '' && !present.endsWith(`${bracketed(reachable(host))}:${port}`);
}

async function tokenOf(
  { providers }: Standing['config'],
  { agent, reference }: Exclude<ReturnType<typeof callerOf>, 'nobody'>,
): Promise<string> {
  const stores = storesOf(providers);
  try {
    const { secret } = await stores.of(reference.from).fetch(reference.get, AbortSignal.timeout(TOKEN_MS));
    return lineOf(secret, `agents.${agent}.token`);
  } finally {
    await stores.close();
  }
}

/** Where nobody chose among services, what two of them disagree on is left out and said; else it is an error. */
function serviceChanges(services: Standing['services'], wishes: Wishes, warn: (text: string) => void): Changes {
  const { agent, region } = wishes;
  const asking = {
    connectors,
    ...(agent === undefined ? {} : { agent }),
    ...(region === undefined ? {} : { region }),
  };
  const answers = services.flatMap((service) => answerOf(service, asking) ?? []);
  const { set, unset, conflicts, problems } = gathered(answers);
  const chosen = wishes.services.length > 0;
  for (const { service, problem } of problems) {
    if (chosen) throw new UsageError(`${service}: ${problem}`);
    warn(`nothing leads to the service ${service}: ${problem}`);
  }
  for (const { variable, services: names } of conflicts) {
    const text = `${variable} would be another for each of ${names.join(', ')}`;
    if (chosen) throw new UsageError(`${text}: name one of them with --service`);
    warn(`${text}, so it is not set: name one with --service`);
  }
  return { set, unset };
}

async function sshChanges(services: Standing['services'], { agent }: Wishes, place: OutfitPlace): Promise<Changes> {
  const { hosts: all, reasons } = sshHosts(services, agent === undefined ? {} : { agent });
  for (const reason of reasons) place.warn(reason);
  const hosts = all.filter(({ login, service }) => {
    if (login.method === 'none') return true;
    place.warn(`${service.name} tells agents by their keys or tokens: see \`secretless ssh config --identity\``);
    return false;
  });
  if (hosts.length === 0) return { set: {}, unset: [] };
  const file = await writeSshConfig(place.own, hosts, place.env);
  const quoted = `'${resolve(file).replaceAll("'", "'\\''")}'`;
  return { set: { GIT_SSH_COMMAND: `ssh -F ${quoted}` }, unset: ['GIT_SSH', 'GIT_SSH_VARIANT'] };
}
