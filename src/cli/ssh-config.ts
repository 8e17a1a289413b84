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
const HOST_KEY_ALIAS = 'secretless-sidecar';

/** A name that ssh takes for a host and for a user; others have a meaning in its files. */
export function isHostName(name: string): boolean {
  return /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(name);
}

/**
 * Newer than many clients. In front of all blocks: what stands in the block of another host is looked at as well, and an
 * unknown word there is an error unless this line is of every host.
 */
const UNKNOWN = 'IgnoreUnknown WarnWeakCrypto\n';

/** ssh_config(5): one block for each service by its name, and one for each port, for URLs that name this machine. */
export function sshConfigText(hosts: readonly SshHost[], files: SshConfigFiles): string {
  const blocks = hosts.map((host) => `\nHost ${host.service.name}\n${textOf(blockLines(host, files))}`);
  return `${UNKNOWN}${blocks.join('')}${portBlocks(hosts, files).join('')}`;
}

type Line = readonly [key: string, value: string];

function textOf(lines: readonly Line[]): string {
  return lines.map(([key, value]) => `  ${key} ${value}\n`).join('');
}

function blockLines({ service, login, address }: SshHost, files: SshConfigFiles): readonly Line[] {
  const way: readonly Line[] =
    address.kind === 'unix'
      ? [
          ['HostName', 'localhost'],
          ['ProxyCommand', socketCommand(resolve(address.path)).replaceAll('%', '%%')],
        ]
      : [
          ['HostName', reachable(address.host)],
          ['Port', String(address.port)],
        ];
  return [...way, ['User', service.name], ...loginLines([login.method], files)];
}

/** `ssh -p 2222 localhost`, `git clone ssh://localhost:2222/…`: nothing else on this machine is met by them. */
function portBlocks(hosts: readonly SshHost[], files: SshConfigFiles): string[] {
  const methods = new Map<string, Set<ClientLogin['method']>>();
  for (const { address, login } of hosts) {
    if (address.kind === 'unix') continue;
    const names = namesOf(address.host).join(',');
    const match = `Match originalhost ${names} exec "test %p = ${address.port}"`;
    methods.set(match, (methods.get(match) ?? new Set()).add(login.method));
  }
  return [...methods].map(([match, all]) => `\n${match}\n${textOf(loginLines([...all], files))}`);
}

function loginLines(
  methods: readonly ClientLogin['method'][],
  { knownHosts, identity }: SshConfigFiles,
): readonly Line[] {
  const key = methods.includes('publickey') && identity !== undefined ? fileWord(resolve(identity)) : 'none';
  return [
    ['HostKeyAlias', HOST_KEY_ALIAS],
    ['UserKnownHostsFile', fileWord(knownHosts)],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['IdentityAgent', 'none'],
    ['IdentitiesOnly', 'yes'],
    ['IdentityFile', key],
    ['PreferredAuthentications', methods.join(',')],
    ['ForwardAgent', 'no'],
    // What a client prefers otherwise costs the sidecar twice the processor time.
    ['Ciphers', '^aes128-gcm@openssh.com'],
    // The way is within this machine, and nobody records it to decrypt it later.
    ['WarnWeakCrypto', 'no-pq-kex'],
  ];
}

/** A line of known_hosts for the alias, and for clients that know the addresses alone. */
export function knownHostsLine(hosts: readonly SshHost[], keyLine: string): string {
  const names = hosts.flatMap(({ address }) => {
    if (address.kind === 'unix') return [];
    const { port } = address;
    return namesOf(address.host).map((name) => (port === 22 ? name : `[${name}]:${port}`));
  });
  return `${[...new Set([HOST_KEY_ALIAS, ...names])].join(',')} ${keyLine}\n`;
}

/** What a listener's host is called by those who connect to it. */
function namesOf(listener: string): readonly string[] {
  const host = reachable(listener);
  return host === '127.0.0.1' || host === '::1' ? [host, 'localhost'] : [host];
}

/** Where something that listens everywhere is met. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/**
 * Carries bytes to a Unix socket. Of netcat some kinds know no such sockets, and socat has a grammar of its own for them:
 * it is the first choice where it is installed and the path says to it what it says to all others.
 */
function socketCommand(path: string): string {
  const netcat = `nc -U ${shellWord(path)}`;
  if (!/^[\w./-]+$/.test(path)) return netcat;
  return `/bin/sh -c 'command -v socat >/dev/null && exec socat - UNIX-CONNECT:${path}; exec ${netcat}'`;
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
