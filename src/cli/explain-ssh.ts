import { formatListenAddress, type Config, type ServiceConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { Policy } from '../policy/policy.ts';
import type { SshFacts, SshRequest } from '../policy/request.ts';
import { UsageError } from './command.ts';
import { answerOf, type Explained } from './explained.ts';
import { AGENT_CONNECTOR, serviceNamed, SSH_CONNECTOR } from './explain-service.ts';

/** What is asked for over SSH, as far as policy can tell such requests apart. */
export interface SshQuestion {
  readonly service: string;
  /** Who asks; absent: whoever the listener belongs to. */
  readonly agent: string | undefined;
  readonly ssh: SshFacts;
}

export interface SshValues {
  readonly ssh?: string;
  readonly agent?: string;
  readonly user?: string;
  readonly command?: string;
  readonly 'git-repo'?: string;
  readonly push?: boolean;
  readonly subsystem?: string;
  readonly destination?: string;
  readonly 'host-key'?: string;
  readonly namespace?: string;
  readonly forwarded?: boolean;
}

/** Options that say what is asked for over SSH; `ssh` must be among them. */
export const SSH_OPTIONS = [
  'ssh',
  'user',
  'command',
  'git-repo',
  'push',
  'subsystem',
  'destination',
  'host-key',
].concat(['namespace', 'forwarded']) as readonly Exclude<keyof SshValues, 'agent'>[];

type SshOption = (typeof SSH_OPTIONS)[number];

/** The options of each kind of request; the first of the list must be there where the kind is nothing without it. */
const OPTIONS: Readonly<Record<SshRequest, readonly SshOption[]>> = {
  login: ['user'],
  exec: ['user', 'command', 'git-repo', 'push'],
  shell: ['user'],
  subsystem: ['subsystem', 'user'],
  pty: ['user'],
  forward: ['destination', 'user'],
  listen: ['destination', 'user'],
  jump: ['destination', 'user'],
  'agent-forwarding': ['user'],
  'x11-forwarding': ['user'],
  keys: ['forwarded'],
  'sign-login': ['user', 'host-key', 'forwarded'],
  'sign-document': ['namespace', 'forwarded'],
};
const OF_AGENTS: ReadonlySet<SshRequest> = new Set(['keys', 'sign-login', 'sign-document']);

/** Errors: `UsageError`. */
export function sshQuestionOf(service: string, values: SshValues): SshQuestion {
  const request = values.ssh as SshRequest;
  if (!Object.hasOwn(OPTIONS, request)) {
    throw new UsageError(`--ssh is one of ${Object.keys(OPTIONS).join(', ')}`);
  }
  const options = OPTIONS[request];
  const other = SSH_OPTIONS.find((name) => name !== 'ssh' && values[name] !== undefined && !options.includes(name));
  if (other !== undefined) throw new UsageError(`--${other} is nothing that --ssh ${request} has`);
  const [first] = options;
  const isNeeded = first !== undefined && first !== 'user' && first !== 'forwarded';
  if (isNeeded && values[first] === undefined) {
    throw new UsageError(`--ssh ${request} needs --${first}`);
  }
  const { user, subsystem, destination, 'host-key': hostKey, namespace, forwarded } = values;
  return {
    service,
    agent: values.agent,
    ssh: {
      request,
      ...(user === undefined ? {} : { user }),
      ...(request === 'exec' ? commandFacts(values) : {}),
      ...(subsystem === undefined ? {} : { subsystem }),
      ...(destination === undefined ? {} : { destination }),
      ...(hostKey === undefined ? {} : { hostKey }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(forwarded === undefined ? {} : { forwarded }),
    },
  };
}

/** The commands of git that its connector reads (gitprotocol-pack(5), git-lfs). */
const OF_GIT = /^git[ -](?:upload-pack|receive-pack|upload-archive|lfs-authenticate|lfs-transfer)\b/;

function commandFacts({ command, 'git-repo': repository, push = false }: SshValues): Partial<SshFacts> {
  if (repository !== undefined) {
    if (command !== undefined) throw new UsageError('--git-repo is asked in place of --command');
    const named = repository.replace(/^\/+|\/+$/g, '').replace(/\.git$/i, '');
    const git = { repository: named.toLowerCase(), push };
    return { command: `git-${push ? 'receive' : 'upload'}-pack '${named}.git'`, git };
  }
  if (push) throw new UsageError('--push needs the repository: add --git-repo');
  if (command === undefined) throw new UsageError('--ssh exec needs --command or --git-repo');
  if (OF_GIT.test(command)) throw new UsageError('ask about a command of git with --git-repo, and --push for a push');
  return { command, ...(/git/i.test(command) ? { git: 'unclear' as const } : {}) };
}

/** What policy would say, for each listener of the service. Errors: `UsageError`. */
export function explainSsh(config: Config, question: SshQuestion): Explained[] {
  const service = serviceNamed(config, question.service);
  const { name, connector, listenOn } = service;
  const { request, user } = question.ssh;
  const wanted = OF_AGENTS.has(request) ? AGENT_CONNECTOR : SSH_CONNECTOR;
  if (connector !== wanted) {
    throw new UsageError(
      `service ${quote(name)} is of the connector ${connector}, and --ssh ${request} is of ${wanted}`,
    );
  }
  const policy = new Policy(config.rules);
  const asked = (ssh: SshFacts) => policy.explain(accessRequest(service, question.agent, ssh));
  const given = asked(question.ssh);
  const opens = request === 'login' || request === 'keys' || request === 'jump';
  const opening: SshFacts =
    wanted === AGENT_CONNECTOR
      ? { request: 'keys', ...(question.ssh.forwarded === true && { forwarded: true }) }
      : { request: 'login', ...(user === undefined ? {} : { user }) };
  const before = asked(opening).verdict;
  const differs = !opens && (before.allow !== given.verdict.allow || before.rule !== given.verdict.rule);
  return listenOn.map((address) => ({
    listener: formatListenAddress(address),
    service: name,
    connector,
    agent: question.agent ?? service.agent,
    ssh: question.ssh,
    ...answerOf(given, true),
    ...(differs && { opening: { request: opening.request, ...answerOf({ verdict: before, findings: [] }, true) } }),
  }));
}

function accessRequest(
  { name, connector, agent }: ServiceConfig,
  asks: string | undefined,
  ssh: SshFacts,
): Parameters<Policy['explain']>[0] {
  return { service: name, connector, principal: { agent: asks ?? agent, attested: 'listener' }, facts: { ssh } };
}

/** `exec "uptime" as user "deploy"`. */
export function sshText({ ssh }: SshQuestion): string {
  const { request, user, command, subsystem, destination, hostKey, namespace, forwarded } = ssh;
  const what = command ?? subsystem ?? destination ?? hostKey ?? namespace;
  const whom = user === undefined ? '' : ` as user ${quote(user)}`;
  return `${request}${what === undefined ? '' : ` ${quote(what)}`}${whom}${forwarded === true ? ', forwarded' : ''}`;
}
