import { resolve } from 'node:path';
import type { ListenAddress, ServiceConfig } from '../config/config.ts';
import type { ClientLogin } from '../connector/connector.ts';

/** One service as OpenSSH's client is told of it. */
export interface SshHost {
  readonly service: ServiceConfig;
  readonly login: ClientLogin;
  readonly address: ListenAddress;
}

export interface SshConfigFiles {
  readonly knownHosts: string;
  /** Private key of the agent, where the service asks for one. */
  readonly identity?: string;
}

/** Name of the sidecar's host key, whatever address it is met at. */
export const HOST_KEY_ALIAS = 'secretless-sidecar';

/** A name that ssh takes for a host and for a user; others have a meaning in its files. */
export function isHostName(name: string): boolean {
  return /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(name);
}

/**
 * Newer than many clients. In front of all blocks: what stands in the block of another host is looked at as well, and an
 * unknown word there is an error unless this line is of every host.
 */
const UNKNOWN = 'IgnoreUnknown WarnWeakCrypto\n';

/** ssh_config(5): one block for each service. */
export function sshConfigText(hosts: readonly SshHost[], files: SshConfigFiles): string {
  const blocks = hosts.map((host) => `\nHost ${host.service.name}\n${blockLines(host, files).join('')}`);
  return `${UNKNOWN}${blocks.join('')}`;
}

function blockLines({ service, login, address }: SshHost, { knownHosts, identity }: SshConfigFiles): string[] {
  const way: readonly (readonly [string, string])[] =
    address.kind === 'unix'
      ? [
          ['HostName', 'localhost'],
          ['ProxyCommand', `nc -U ${shellWord(resolve(address.path)).replaceAll('%', '%%')}`],
        ]
      : [
          ['HostName', reachable(address.host)],
          ['Port', String(address.port)],
        ];
  const lines: readonly (readonly [string, string])[] = [
    ...way,
    ['User', service.name],
    ['HostKeyAlias', HOST_KEY_ALIAS],
    ['UserKnownHostsFile', fileWord(knownHosts)],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['IdentityAgent', 'none'],
    ['IdentitiesOnly', 'yes'],
    ['IdentityFile', login.method === 'publickey' && identity !== undefined ? fileWord(resolve(identity)) : 'none'],
    ['PreferredAuthentications', login.method],
    ['ForwardAgent', 'no'],
    // The way is within this machine, and nobody records it to decrypt it later.
    ['WarnWeakCrypto', 'no-pq-kex'],
  ];
  return lines.map(([key, value]) => `  ${key} ${value}\n`);
}

/** A line of known_hosts for the alias, and for clients that know the addresses alone. */
export function knownHostsLine(hosts: readonly SshHost[], keyLine: string): string {
  const names = hosts.flatMap(({ address }) => {
    if (address.kind === 'unix') return [];
    const { port } = address;
    const host = reachable(address.host);
    const all = host === '127.0.0.1' || host === '::1' ? [host, 'localhost'] : [host];
    return all.map((name) => (port === 22 ? name : `[${name}]:${port}`));
  });
  return `${[...new Set([HOST_KEY_ALIAS, ...names])].join(',')} ${keyLine}\n`;
}

/** Where something that listens everywhere is met. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** Quoted, and without a token of ssh_config(5). */
function fileWord(path: string): string {
  const escaped = path.replaceAll('%', '%%').replaceAll(/(["\\])/g, '\\$1');
  return /[\s"'\\#]/.test(path) ? `"${escaped}"` : escaped;
}

/** For the shell that runs a ProxyCommand (POSIX Shell Command Language, section 2.2.2). */
function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
