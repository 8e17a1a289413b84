import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ServiceConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { publicKeyOf } from '../connector/ssh/index.ts';
import { connectors, loadOrRefuse } from '../main.ts';
import { hostKey } from '../sidecar/host-key.ts';
import { stateFolder } from '../sidecar/state.ts';
import { defineCommand, type Io, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { isHostName, knownHostsLine, sshConfigText, type SshHost } from './ssh-config.ts';

export const command = defineCommand({
  name: 'ssh',
  summary: 'print the configuration that leads OpenSSH’s client to the services; nothing in it is a secret',
  usage: 'config [-f file] [--agent name] [--service name] [--identity file] [--write folder]',
  positionals: 1,
  options: {
    file: FILE_OPTION,
    agent: { type: 'string', value: 'name', meaning: 'only services that this agent may connect to' },
    service: { type: 'string', value: 'name', meaning: 'only this service' },
    identity: {
      type: 'string',
      value: 'file',
      meaning: 'private key of the agent, where services tell agents by keys',
    },
    write: { type: 'string', value: 'folder', meaning: 'write the files ssh_config and known_hosts there instead' },
  },
  async run({ values, positionals }, io) {
    if (positionals[0] !== 'config') throw new UsageError('say what of ssh: secretless ssh config');
    const { services } = loadOrRefuse(configFile(values.file, io.env), io.env, () => undefined);
    const hosts = hostsOf(services, values, io);
    const folder = resolve(values.write ?? stateFolder(io.env));
    const { text, line, knownHosts } = await sshTexts(folder, hosts, io.env, values.identity);
    if (values.write === undefined) {
      io.stdout.write(`${text}\n# This line belongs into ${knownHosts}; \`--write\` writes both files:\n# ${line}`);
      return EXIT.ok;
    }
    io.stdout.write(howTo(await writeSshFiles(folder, { text, line, knownHosts }), hosts));
    return EXIT.ok;
  },
});

/** What the two files hold, in the folder where they will be. */
interface SshTexts {
  readonly text: string;
  /** Of `known_hosts`. */
  readonly line: string;
  readonly knownHosts: string;
}

async function sshTexts(
  folder: string,
  hosts: readonly SshHost[],
  env: NodeJS.ProcessEnv,
  identity?: string,
): Promise<SshTexts> {
  for (const path of [folder, identity ?? '']) {
    if (/[\0\r\n$]/.test(path)) throw new UsageError('a path has a letter that ssh reads as another');
  }
  const { blob } = publicKeyOf(await hostKey(stateFolder(env)));
  const line = knownHostsLine(hosts, `ssh-ed25519 ${blob.toString('base64')}`);
  const knownHosts = join(folder, 'known_hosts');
  const text = sshConfigText(hosts, { knownHosts, ...(identity === undefined ? {} : { identity }) });
  return { text, line, knownHosts };
}

/** Returns the path of the file for `ssh -F`. */
async function writeSshFiles(folder: string, { text, line, knownHosts }: SshTexts): Promise<string> {
  const written = join(folder, 'ssh_config');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writePrivate(knownHosts, line);
  await writePrivate(written, text);
  return written;
}

/** Writes the files that lead ssh to these hosts; returns the path of the one for `ssh -F`. */
export async function writeSshConfig(
  folder: string,
  hosts: readonly SshHost[],
  env: NodeJS.ProcessEnv,
): Promise<string> {
  return writeSshFiles(folder, await sshTexts(folder, hosts, env));
}

interface Wanted {
  readonly agent?: string;
  readonly service?: string;
}

/** Services that ssh's client can be led to, and why others cannot. */
export function sshHosts(
  services: readonly ServiceConfig[],
  { agent, service }: Wanted,
): { readonly hosts: readonly SshHost[]; readonly reasons: readonly string[] } {
  const reasons: string[] = [];
  const hosts = services.flatMap((one): SshHost[] => {
    if (service !== undefined && one.name !== service) return [];
    const found = hostOf(one, agent);
    if (found === undefined) return [];
    if (typeof found !== 'string') return [found];
    reasons.push(`the service ${quote(one.name)} ${found}`);
    return [];
  });
  return { hosts, reasons };
}

/** What is left out is said, where it was not asked for by name. */
function hostsOf(services: readonly ServiceConfig[], wanted: Wanted, io: Io): readonly SshHost[] {
  const { agent, service } = wanted;
  const { hosts, reasons } = sshHosts(services, wanted);
  const [reason] = reasons;
  if (hosts.length > 0) {
    for (const left of reasons) io.stderr.write(`${left}\n`);
    return hosts;
  }
  if (reason !== undefined) throw new UsageError(reason);
  const whose = agent === undefined ? '' : ` of the agent ${quote(agent)}`;
  throw new UsageError(`there is no ssh service${service === undefined ? '' : ` ${quote(service)}`}${whose}`);
}

/** Undefined where it is none, or another agent's; a text where it cannot be reached. */
function hostOf(service: ServiceConfig, agent: string | undefined): SshHost | string | undefined {
  const connector = connectors.find(({ name }) => name === service.connector);
  if (connector?.kind !== 'relay' || connector.clientLogin === undefined) return undefined;
  const login = connector.clientLogin(service.config);
  if (agent !== undefined && !(login.agents ?? [service.agent]).includes(agent)) return undefined;
  if (service.listenOn.length === 0) return undefined;
  if (!isHostName(service.name)) return 'has a name that ssh does not take: use letters, digits, `_`, `.` and `-`';
  const address =
    service.listenOn.find((one) => one.kind === 'tcp' && one.port !== 0) ??
    service.listenOn.find((one) => one.kind === 'unix');
  return address === undefined ? 'listens on any free port: write one that stays' : { service, login, address };
}

async function writePrivate(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, text, { mode: 0o600, flag: 'wx' });
  await rename(aside, path);
}

function howTo(file: string, hosts: readonly SshHost[]): string {
  const quoted = /^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
  const name = hosts[0]?.service.name ?? '';
  return [
    `ssh -F ${quoted} ${name}\n`,
    `export GIT_SSH_COMMAND="ssh -F ${quoted}"\n`,
    `or, as the first line of ~/.ssh/config: Include ${quoted}\n`,
    '(an IgnoreUnknown of your own then goes in front of it, with WarnWeakCrypto in its list)\n',
  ].join('');
}
