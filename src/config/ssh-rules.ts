import { createHash } from 'node:crypto';
import type { ServiceConfig } from './config.ts';
import type { Context } from './context.ts';
import type { Path } from './node.ts';
import { concernedBy, each, type WrittenRule } from './rule-names.ts';

type WrittenSsh = NonNullable<WrittenRule['ssh']>;
type Key = keyof WrittenSsh;

/** Whose requests the keys tell apart; the others are about both connectors. */
const CONNECTORS = ['ssh', 'ssh-agent'];
const CONNECTOR_OF: ReadonlyMap<Key, string> = new Map([
  ...(['commands', 'git', 'shell', 'pty', 'subsystems', 'forwards', 'listens'] as const).map((key): [Key, string] => [
    key,
    'ssh',
  ]),
  ['x11Forwarding', 'ssh'],
  ['hostKeys', 'ssh-agent'],
  ['namespaces', 'ssh-agent'],
]);

/** Keys that may be `false`. */
const SWITCHES = ['shell', 'pty', 'agentForwarding', 'x11Forwarding'] as const;

/** Checks `ssh` of a rule beyond its shape: what could match nothing, or is mostly meant otherwise. */
export function checkSsh(rule: WrittenRule, path: Path, services: readonly ServiceConfig[], context: Context): void {
  const { ssh, effect } = rule;
  if (ssh === undefined) return;
  const base = [...path, 'ssh'];
  checkServed(rule, ssh, base, services, context);
  checkSwitches(ssh, effect, base, context);
  checkTogether(ssh, effect, base, context);
  each(ssh.users, (name, at) => checkUser(name, [...base, 'users', at], context));
  each(ssh.commands, (command, at) => checkCommand(command, effect, [...base, 'commands', at], context));
  each(ssh.git?.repos, (name, at) => checkRepository(name, [...base, 'git', 'repos', at], context));
  each(ssh.subsystems, (name, at) => checkSubsystem(name, [...base, 'subsystems', at], context));
  for (const key of ['forwards', 'listens'] as const) {
    each(ssh[key], (place, at) => checkPlace(place, effect, [...base, key, at], context));
  }
  each(ssh.hostKeys, (key, at) => checkHostKey(key, [...base, 'hostKeys', at], context));
}

function checkServed(
  rule: WrittenRule,
  ssh: WrittenSsh,
  path: Path,
  services: readonly ServiceConfig[],
  { report }: Context,
): void {
  const concerned = concernedBy(rule, services);
  // A rule about no service at all has been warned of.
  if (concerned.length === 0) return;
  const isServed = (wanted: string): boolean => concerned.some(({ connector }) => connector === wanted);
  const which = rule.services === undefined ? 'no service of the file' : 'no service that the rule is about';
  if (!CONNECTORS.some(isServed)) {
    report.warn(path, `${which} is of the connector ssh or ssh-agent, so that the rule never matches`, { on: 'key' });
    return;
  }
  for (const [key, wanted] of CONNECTOR_OF) {
    if (ssh[key] === undefined || ssh[key] === false || isServed(wanted)) continue;
    report.warn([...path, key], `${which} is of the connector ${wanted}, so that this covers nothing`, { on: 'key' });
  }
}

/** `false` leaves something out of what a rule covers that names nothing; where it names something there is nothing to leave. */
function checkSwitches(ssh: WrittenSsh, effect: WrittenRule['effect'], path: Path, { report }: Context): void {
  for (const key of SWITCHES) {
    if (ssh[key] !== false || (key === 'pty' && ssh.shell === true)) continue;
    if (effect === 'deny') {
      report.error([...path, key], 'of a rule that denies this is true, or left out');
    } else if (namesOf(ssh).length > 0) {
      const named = namesOf(ssh);
      report.warn([...path, key], `the rule covers ${named.join(', ')} alone: this changes nothing`, { on: 'key' });
    }
  }
}

/** Keys that name what the rule covers. */
function namesOf(ssh: WrittenSsh): string[] {
  const named = Object.entries(ssh).filter(([key, value]) => key !== 'users' && value !== undefined && value !== false);
  return named.map(([key]) => key);
}

function checkTogether(ssh: WrittenSsh, effect: WrittenRule['effect'], path: Path, { report }: Context): void {
  const { users, namespaces, commands, shell, git, agentForwarding, hostKeys } = ssh;
  if (users !== undefined && namespaces !== undefined) {
    const message = 'the signature of a document is for no user: write a rule without `users` for it';
    report.error([...path, 'namespaces'], message, { on: 'key' });
  }
  if (effect === 'deny') {
    if (git?.push === false) {
      report.warn([...path, 'git', 'push'], 'this denies all but pushes: to deny pushes write true');
    }
    return;
  }
  if (shell === true && commands !== undefined) {
    report.warn([...path, 'commands'], 'a shell, which the rule allows too, runs any command', { on: 'key' });
  }
  if (shell === false && namesOf(ssh).length === 0) {
    const message = 'a command may be a shell as well (`sh`), and the rule covers all: name `commands` too';
    report.warn([...path, 'shell'], message, { on: 'key' });
  }
  if (git !== undefined && commands?.some((command) => command !== undefined && coversGit(command)) === true) {
    const message = '`commands` covers those of git too, whatever the repository, so that this narrows nothing';
    report.warn([...path, 'git'], message, { on: 'key' });
  }
  const signs = agentForwarding === true && hostKeys === undefined && namespaces === undefined;
  if (signs && namesOf(ssh).every((name) => name === 'agentForwarding') && users !== undefined) {
    const message = 'this covers no signature: name them with `hostKeys` or `namespaces`';
    report.warn([...path, 'agentForwarding'], message, { on: 'key' });
  }
}

/** Whether the pattern lets through what git asks for, whatever the repository. */
function coversGit(pattern: string): boolean {
  const pieces = pattern.split(/\*+/).map((piece) => piece.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  const regular = new RegExp(`^${pieces.join('.*')}$`, 's');
  return ['git-receive-pack a/b', 'git receive-pack a/b', 'git-upload-pack a/b'].some((command) =>
    regular.test(command),
  );
}

function checkUser(name: string, path: Path, { report }: Context): void {
  if (/[@/\s]/.test(name)) report.error(path, 'a user is a plain name, without the host');
}

const QUOTED = /^(?:'([^']*)'|"([^"]*)")$/;
const GIT_COMMAND = /^git[ -](?:upload-pack|receive-pack|upload-archive|lfs-authenticate|lfs-transfer)\b/;

function checkCommand(command: string, effect: WrittenRule['effect'], path: Path, { report }: Context): void {
  const [, single, double] = QUOTED.exec(command) ?? [];
  const quoted = single ?? double;
  if (quoted !== undefined) {
    report.warn(path, 'commands are compared whole, quotes and all', { suggestion: quoted });
  } else if (GIT_COMMAND.test(command)) {
    report.warn(path, 'git writes its commands in more than one way: name what it asks for with `git`');
  } else if (command !== command.trim()) {
    report.warn(path, 'commands are compared whole, blanks at their ends too', { suggestion: command.trim() });
  } else if (/^\^|\$$|\.[*+]|\\[a-zA-Z.]|\[[^\]]+\][*+]?|\([^)]*\|/.test(command)) {
    report.warn(path, 'a command is no regular expression: all but `*` stands for itself');
  } else if (command === '*' && effect === 'allow') {
    const message = 'any command of letters, digits, blanks and `_@%+=:,./-`, which is nearly any: `**` is any at all';
    report.warn(path, message);
  }
}

function checkRepository(name: string, path: Path, { report }: Context): void {
  const own = /^(?:[a-z+]+:\/\/[^/]*|[^/]*@[^/:]*:)/i.exec(name)?.[0] ?? '';
  const bare = name
    .slice(own.length)
    .replace(/^\/+|\/+$/g, '')
    .replace(/(?:\.git)+$/i, '');
  const suggestion = bare === '' ? undefined : bare;
  if (own !== '') report.error(path, 'a repository is the path alone, without the host', { suggestion });
  else if (bare !== name) report.error(path, 'a repository has no slashes around it and no `.git`', { suggestion });
  else if (/(?:^|\/)\.{0,2}(?:\/|$)|[\p{Cc}\\]/u.test(name)) {
    report.error(path, 'no repository has such a path, so that this never matches');
  }
}

function checkSubsystem(name: string, path: Path, { report }: Context): void {
  const program = /\/([a-z]+)-server$/.exec(name)?.[1];
  if (program !== undefined) {
    report.warn(path, 'a subsystem is asked for by name, not by its program', { suggestion: program });
  }
}

const HOST = /^(?:\[[0-9A-Fa-f:.*]+(?:%[\w.-]+)?\]|[^\s:/[\]]*)$/;

function checkPlace(place: string, effect: WrittenRule['effect'], path: Path, { report }: Context): void {
  if (/^(?:\*+(?::\*+)?|\/\*\*+)$/.test(place)) {
    if (effect === 'allow') report.warn(path, 'any address that the upstream reaches, and any socket of its own');
    return;
  }
  if (place.startsWith('/')) return;
  const { host = '', port } = /^(?<host>.*):(?<port>[^:\]]*)$/s.exec(place)?.groups ?? {};
  if (/^[a-z]+:\/\//i.test(place)) report.error(path, 'an address is host:port, without a scheme');
  else if (place.startsWith('~')) report.error(path, 'the path of a socket is absolute');
  else if (port === undefined || host.startsWith('[') !== host.endsWith(']')) {
    report.error(path, 'needs a port: write host:port, or `host:*` for any');
  } else if (host.includes(':') && !host.startsWith('[')) {
    report.error(path, 'an address is host:port alone, an IPv6 address in brackets');
  } else if (!HOST.test(host)) report.error(path, 'no host has such a name');
  else if (!/^[0-9*]+$/.test(port)) report.error(path, 'a port is a number, or `*`');
  else if (!port.includes('*') && (Number(port) > 65_535 || String(Number(port)) !== port)) {
    report.error(path, 'a port is a number up to 65535, without zeros before it');
  }
}

function checkHostKey(key: string, path: Path, { report }: Context): void {
  const suggestion = meantFingerprint(key);
  if (key !== '*' && suggestion !== key) {
    report.error(path, 'a host key is told by its SHA256 fingerprint, as `ssh-keygen -l` shows it', { suggestion });
  }
}

/** Undefined where nothing like one can be seen. */
function meantFingerprint(key: string): string | undefined {
  const blob = /(?:^|\s)(AAAA[A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(key)?.[1];
  if (blob !== undefined) {
    const hash = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64');
    return `SHA256:${hash.replace(/=+$/, '')}`;
  }
  const base64 = /^(?:sha256:)?([A-Za-z0-9+/]{43})=?$/i.exec(key)?.[1];
  return base64 === undefined ? undefined : `SHA256:${base64}`;
}
