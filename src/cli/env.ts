import { join } from 'node:path';
import type { Config, ServiceConfig } from '../config/config.ts';
import type { Connector } from '../connector/connector.ts';
import { SidecarError } from '../error.ts';
import { connectors, loadOrRefuse } from '../main.ts';
import { stateFolder } from '../sidecar/state.ts';
import { defineCommand, type Io, JSON_OPTION, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { joined, runningStatus } from './run/beside.ts';
import { outfit, type Wishes } from './run/outfit.ts';
import { addressOf, type Changes, httpUrl } from './run/service-variables.ts';

export const command = defineCommand({
  name: 'env',
  summary: 'print the environment that leads programs to the running sidecar, or an agent’s programs to one service',
  usage:
    '[-f file] [--agent name] [--service name]… [--keep variable]… [--region name] [--json] [service or connector]',
  positionals: 1,
  options: {
    file: FILE_OPTION,
    agent: { type: 'string', value: 'name', meaning: 'whose environment; default: whoever the listener belongs to' },
    service: {
      type: 'string',
      multiple: true,
      value: 'name',
      meaning: 'variables of this service alone; may be repeated',
    },
    keep: {
      type: 'string',
      multiple: true,
      value: 'variable',
      meaning: 'do not unset this variable although it holds a secret; may be repeated',
    },
    region: { type: 'string', value: 'name', meaning: 'region to work in, where the service has none' },
    json: JSON_OPTION,
  },
  async run({ values, positionals }, io) {
    const [word] = positionals;
    const { file, agent, region, service = [], keep = [], json } = values;
    const wishes: Wishes = {
      services: service,
      keep,
      ...(agent === undefined ? {} : { agent }),
      ...(region === undefined ? {} : { region }),
    };
    const changes = word === undefined ? await ofAll(wishes, file, io) : ofOne(word, wishes, file, io);
    io.stdout.write(json === true ? `${JSON.stringify(jsonOf(changes))}\n` : shellText(changes));
    return EXIT.ok;
  },
});

/** What `run` would give a program, for a shell beside the running sidecar; the files that it names stay. */
async function ofAll(wishes: Wishes, file: string | undefined, io: Io): Promise<Changes> {
  const status = await runningStatus(io.env);
  if (status === undefined) {
    const next = 'start one, name one service (`secretless env aws`), or use `secretless run -- program`';
    throw new SidecarError('not-running', { next });
  }
  const warn = (text: string): void => void io.stderr.write(`secretless: ${text}\n`);
  const own = join(stateFolder(io.env), 'env');
  return outfit(joined(status, file, io.env), wishes, { env: io.env, own, warn });
}

/** Nothing needs to run for it. */
function ofOne(word: string, { agent, region }: Wishes, file: string | undefined, io: Io): Changes {
  const config = loadOrRefuse(configFile(file, io.env), io.env, () => undefined, 'program');
  const { service, connector } = serviceOf(config, word);
  const answer = connector.environment!(service.config, {
    ...urlOf(service, connector, config),
    owner: service.agent,
    ...(agent === undefined ? {} : { agent }),
    target: service.target !== undefined,
    ...(region === undefined ? {} : { region }),
  });
  if ('problem' in answer) throw new UsageError(answer.problem);
  return { set: answer.set, unset: answer.unset };
}

function serviceOf({ services }: Config, word: string): { service: ServiceConfig; connector: Connector } {
  const named = services.filter(({ name }) => name === word);
  const found = named.length > 0 ? named : services.filter(({ connector }) => connector === word);
  const [service, ...more] = found;
  if (service === undefined) throw new UsageError(`no service and no connector of a service is called ${word}`);
  if (more.length > 0) {
    throw new UsageError(`several services have this connector: name ${found.map(({ name }) => name).join(' or ')}`);
  }
  const connector = connectors.find(({ name }) => name === service.connector);
  if (connector?.environment === undefined) {
    throw new UsageError(`programs need nothing but the address of a service with connector ${service.connector}`);
  }
  return { service, connector };
}

/** Where it listens; nothing for one that its upstream's own URL leads to. Errors: `UsageError`. */
function urlOf(service: ServiceConfig, { kind }: Connector, { egress }: Config): { url?: string } {
  const { name, listenOn } = service;
  if (listenOn.length === 0 && kind === 'http' && egress !== undefined) return {};
  const url = kind === 'http' ? httpUrl(service) : addressOf(service);
  if (url?.endsWith(':0') === true) {
    throw new UsageError(`the service ${name} listens on any free port: write one that stays`);
  }
  if (url !== undefined) return { url };
  throw new UsageError(
    kind === 'http'
      ? `the service ${name} listens on no TCP address, which such programs need`
      : `the service ${name} has no address: others lead through it`,
  );
}

/** `null`: not to be set. */
function jsonOf({ set, unset }: Changes): Record<string, string | null> {
  return { ...set, ...Object.fromEntries(unset.map((name) => [name, null])) };
}

/** For `eval "$(secretless env aws)"` (POSIX Shell Command Language, section 2.2.2). */
function shellText({ set, unset }: Changes): string {
  const lines = Object.entries(set).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
  return `${lines.join('')}${unset.length === 0 ? '' : `unset ${unset.join(' ')}\n`}`;
}
