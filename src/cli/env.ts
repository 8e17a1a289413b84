import type { Config, ServiceConfig } from '../config/config.ts';
import { resolve } from 'node:path';
import { formatListenAddress } from '../config/config.ts';
import type { AgentEnvironment, HttpConnector, RelayConnector } from '../connector/connector.ts';
import { connectors, loadOrRefuse } from '../main.ts';
import { defineCommand, JSON_OPTION, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';

type Answer = Exclude<AgentEnvironment, { problem: string }>;

export const command = defineCommand({
  name: 'env',
  summary:
    'print the environment that leads an agent’s programs to a service; nothing in it is a secret of an upstream',
  usage: '[-f file] [--agent name] [--region name] [--json] <service or connector>',
  positionals: 1,
  options: {
    file: FILE_OPTION,
    agent: { type: 'string', value: 'name', meaning: 'whose environment; default: whoever the listener belongs to' },
    region: { type: 'string', value: 'name', meaning: 'region to work in, where the service has none' },
    json: JSON_OPTION,
  },
  async run({ values, positionals }, io) {
    const [word] = positionals;
    if (word === undefined) throw new UsageError('name the service, or its connector: secretless env aws');
    const config = loadOrRefuse(configFile(values.file, io.env), io.env, () => undefined);
    const { service, connector } = serviceOf(config, word);
    const answer = connector.environment!(service.config, {
      url: connector.kind === 'http' ? urlOf(service) : addressOf(service),
      owner: service.agent,
      ...(values.agent === undefined ? {} : { agent: values.agent }),
      target: service.target !== undefined,
      ...(values.region === undefined ? {} : { region: values.region }),
    });
    if ('problem' in answer) throw new UsageError(answer.problem);
    io.stdout.write(values.json === true ? `${JSON.stringify(jsonOf(answer))}\n` : shellText(answer));
    return EXIT.ok;
  },
});

function serviceOf(
  { services }: Config,
  word: string,
): { service: ServiceConfig; connector: HttpConnector | RelayConnector } {
  const named = services.filter(({ name }) => name === word);
  const found = named.length > 0 ? named : services.filter(({ connector }) => connector === word);
  const [service, ...more] = found;
  if (service === undefined) throw new UsageError(`no service and no connector of a service is called ${word}`);
  if (more.length > 0) {
    throw new UsageError(`several services have this connector: name ${found.map(({ name }) => name).join(' or ')}`);
  }
  const connector = connectors.find(({ name }) => name === service.connector);
  if (connector === undefined || connector.kind === 'stream' || connector.environment === undefined) {
    throw new UsageError(`programs need nothing but the address of a service with connector ${service.connector}`);
  }
  return { service, connector };
}

function urlOf({ listenOn, name }: ServiceConfig): string {
  for (const address of listenOn) {
    if (address.kind !== 'tcp') continue;
    if (address.port === 0) throw new UsageError(`the service ${name} listens on any free port: write one that stays`);
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    return `http://${EVERYWHERE.has(address.host) ? '127.0.0.1' : host}:${address.port}`;
  }
  throw new UsageError(`the service ${name} listens on no TCP address, which such programs need`);
}

/** A Unix socket, where there is one. */
function addressOf({ listenOn, name }: ServiceConfig): string {
  const socket = listenOn.find((address) => address.kind === 'unix');
  if (socket?.kind === 'unix') return `unix://${resolve(socket.path)}`;
  const [address] = listenOn;
  if (address === undefined) throw new UsageError(`the service ${name} has no address: others lead through it`);
  return formatListenAddress(address);
}

/** Addresses to listen on that nobody connects to. */
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** `null`: not to be set. */
function jsonOf({ set, unset }: Answer): Record<string, string | null> {
  return { ...set, ...Object.fromEntries(unset.map((name) => [name, null])) };
}

/** For `eval "$(secretless env aws)"` (POSIX Shell Command Language, section 2.2.2). */
function shellText({ set, unset }: Answer): string {
  const lines = Object.entries(set).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
  return `${lines.join('')}${unset.length === 0 ? '' : `unset ${unset.join(' ')}\n`}`;
}
