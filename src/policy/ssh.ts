import { compileNames, type Matcher } from './glob.ts';
import { checkedBoolean, partsOf, type Report } from './parts.ts';
import type { GitFacts, SshFacts, SshRequest } from './request.ts';
import type { GitSelector, Rule, SshSelector } from './rules.ts';
import {
  compileCommands,
  compileDestinations,
  compileHostKeys,
  compileRepositories,
  type HostKeyMatcher,
} from './ssh-patterns.ts';

/** What one rule covers of SSH, also where it does not say. A matcher that is undefined covers nothing. */
export interface CompiledSsh {
  /** `ssh` is written, so that the rule matches nothing else. */
  readonly written: boolean;
  /** A deny rule takes what a request does not tell for a match: else not telling it would be the way past the rule. */
  readonly denies: boolean;
  /** No key but `users` makes a difference between what is asked for. */
  readonly whole: boolean;
  /** Undefined: anybody. */
  readonly users: Matcher | undefined;
  readonly commands: Matcher | undefined;
  readonly git: ((git: GitFacts) => boolean) | undefined;
  readonly shell: boolean;
  readonly pty: boolean;
  readonly subsystems: Matcher | undefined;
  readonly forwards: Matcher | undefined;
  readonly listens: Matcher | undefined;
  readonly jumps: Matcher | undefined;
  readonly agentForwarding: boolean;
  readonly x11Forwarding: boolean;
  readonly hostKeys: HostKeyMatcher | undefined;
  readonly namespaces: Matcher | undefined;
}

/** What a rule looks at: `request` where it is none over SSH, `covers` where the rule is not about such a request. */
export type UnmatchedSsh = 'request' | 'users' | 'covers';

/** The keys that name what a rule covers, if need be by `true`. */
const SSH_LISTS = ['commands', 'git', 'subsystems', 'forwards', 'listens', 'hostKeys', 'namespaces'] as const;
const SSH_SWITCHES = ['shell', 'pty', 'agentForwarding', 'x11Forwarding'] as const;
const SSH_KEYS = ['users', ...SSH_LISTS, ...SSH_SWITCHES] as const;

/** Whether the rule covers what its `ssh` names, and not what all rules do. */
function namesRequests(selector: Partial<Record<(typeof SSH_KEYS)[number], unknown>>): boolean {
  return SSH_LISTS.some((key) => selector[key] !== undefined) || SSH_SWITCHES.some((key) => selector[key] === true);
}

/** Of what is not looked at, whether it is told or not. */
const ANY = (): boolean => true;

/** Of rules without `ssh`. */
export const EVERY_SSH: Readonly<Record<Rule['effect'], CompiledSsh>> = {
  allow: { ...sharedBy('allow'), written: false, users: undefined, shell: true, pty: true, whole: true },
  deny: { ...sharedBy('deny'), written: false, users: undefined, shell: true, pty: true, whole: true },
};

/** What a rule covers that names nothing, sessions apart. */
function sharedBy(effect: Rule['effect']) {
  const denied = effect === 'deny';
  return {
    denies: denied,
    commands: ANY,
    git: ANY,
    subsystems: ANY,
    forwards: denied ? ANY : undefined,
    listens: denied ? ANY : undefined,
    jumps: ANY,
    agentForwarding: denied,
    x11Forwarding: denied,
    hostKeys: ANY,
    namespaces: ANY,
  };
}

/** Reports what is wrong. Throws an Error where that is the whole. */
export function compileSsh(selector: SshSelector, effect: Rule['effect'], report: Report): CompiledSsh {
  if (SSH_KEYS.every((key) => selector[key] === undefined)) throw new Error(`needs one of ${SSH_KEYS.join(', ')}`);
  const part = partsOf(selector, ['ssh'], report);
  const names = namesRequests(selector);
  const covers = (key: (typeof SSH_SWITCHES)[number]): boolean | undefined =>
    part(key, (value) => checkedSwitch(key, value, selector, effect));
  const users = part('users', compileNames);
  const shell = covers('shell') ?? !names;
  const pty = covers('pty') ?? shell;
  const agentForwarding = covers('agentForwarding');
  const x11Forwarding = covers('x11Forwarding');
  if (!names) return { ...sharedBy(effect), written: true, users, shell, pty, whole: shell && pty };
  const forwards = part('forwards', (patterns) => compileDestinations(patterns, effect));
  return {
    written: true,
    denies: effect === 'deny',
    whole: false,
    users,
    shell,
    pty,
    commands: part('commands', (patterns) => compileCommands(patterns, effect)),
    git: part('git', (git) => compileGit(git, report)),
    subsystems: part('subsystems', compileNames),
    forwards,
    jumps: forwards,
    listens: part('listens', (patterns) => compileDestinations(patterns, effect)),
    agentForwarding: agentForwarding ?? false,
    x11Forwarding: x11Forwarding ?? false,
    hostKeys: part('hostKeys', (patterns) => compileHostKeys(patterns, effect)),
    namespaces: part('namespaces', compileNames),
  };
}

/** `false` of a deny rule could be read as what it denies, and as what it leaves alone. */
function checkedSwitch(key: string, value: boolean, { shell }: SshSelector, effect: Rule['effect']): boolean {
  const mayLeave = effect === 'allow' || (key === 'pty' && shell === true);
  if (!checkedBoolean(value) && !mayLeave) throw new Error('of a deny rule is true, or left out');
  return value;
}

function compileGit(selector: GitSelector, report: Report): (git: GitFacts) => boolean {
  if (selector.repos === undefined && selector.push === undefined) throw new Error('needs one of repos, push');
  const part = partsOf(selector, ['ssh', 'git'], report);
  const repos = part('repos', compileRepositories);
  const push = part('push', checkedBoolean);
  return (git) => (push === undefined || git.push === push) && (repos === undefined || repos(git.repository));
}

/** Asked before it is known what for. */
export function isOpening(facts: SshFacts | undefined): boolean {
  return facts?.request === 'login' || facts?.request === 'keys';
}

/** No use of its own: it goes with a shell or a command, which is one. */
export function isEquipment(facts: SshFacts | undefined): boolean {
  const request = facts?.request;
  return request === 'pty' || request === 'agent-forwarding' || request === 'x11-forwarding';
}

/** It reaches past sessions and signatures: only an allow rule that names it covers it. */
export function reachesFurther(request: SshRequest | undefined): boolean {
  return (
    request === 'forward' || request === 'listen' || request === 'agent-forwarding' || request === 'x11-forwarding'
  );
}

/** Whether all that can come after the opening matches as well. */
export function coversOpening({ whole, users }: CompiledSsh, { request, user }: SshFacts): boolean {
  // Who a key is for is not known when keys are listed; who a login is for may be up to the credentials.
  return whole && (users === undefined || (request === 'login' && user !== undefined));
}

/** What keeps the rule from matching. */
export function unmatchedSsh(rule: CompiledSsh, facts: SshFacts | undefined): UnmatchedSsh | undefined {
  if (facts === undefined) return rule.written ? 'request' : undefined;
  if (!matchesUser(rule, facts)) return 'users';
  return covers(rule, facts) ? undefined : 'covers';
}

function matchesUser({ users, denies }: CompiledSsh, { request, user }: SshFacts): boolean {
  if (users === undefined || request === 'keys') return true;
  if (user !== undefined) return users(user);
  // The credentials are not there yet; whatever comes after the login tells its user.
  if (request === 'login') return true;
  // A document is signed for nobody; of all else a rule would be slipped past by not telling.
  return denies && request !== 'sign-document';
}

function covers(rule: CompiledSsh, facts: SshFacts): boolean {
  switch (facts.request) {
    case 'login':
      return rule.denies ? coversOpening(rule, facts) : maySucceedLogin(rule);
    case 'keys':
      return rule.denies ? coversOpening(rule, facts) : coversSignature(rule, facts, maySign(rule));
    case 'exec':
      return accepts(rule.commands, facts.command, rule.denies) || coversGit(rule, facts);
    case 'shell':
      return rule.shell;
    case 'pty':
      return rule.pty;
    case 'subsystem':
      return accepts(rule.subsystems, facts.subsystem, rule.denies);
    case 'forward':
      return accepts(rule.forwards, facts.destination, rule.denies);
    case 'listen':
      return accepts(rule.listens, facts.destination, rule.denies);
    case 'jump':
      return accepts(rule.jumps, facts.destination, rule.denies);
    case 'agent-forwarding':
      return rule.agentForwarding;
    case 'x11-forwarding':
      return rule.x11Forwarding;
    case 'sign-login':
      return coversSignature(rule, facts, rule.hostKeys?.(facts.hostKey) ?? false);
    case 'sign-document':
      return coversSignature(rule, facts, accepts(rule.namespaces, facts.namespace, rule.denies));
    default:
      return facts.request satisfies never;
  }
}

/** What may follow a login and stands on its own. */
function maySucceedLogin(rule: CompiledSsh): boolean {
  const { commands, git, shell, subsystems, forwards, listens, jumps } = rule;
  return shell || [commands, git, subsystems, forwards, listens, jumps].some((matcher) => matcher !== undefined);
}

function maySign({ hostKeys, namespaces, users }: CompiledSsh): boolean {
  return hostKeys !== undefined || (namespaces !== undefined && users === undefined);
}

function coversGit({ git: matches, denies }: CompiledSsh, { git }: SshFacts): boolean {
  if (matches === undefined || git === undefined) return false;
  return git === 'unclear' ? denies : matches(git);
}

/** One that a host on the way asks for is a use of the forwarded agent too. */
function coversSignature({ denies, agentForwarding }: CompiledSsh, facts: SshFacts, named: boolean): boolean {
  if (facts.forwarded !== true) return named;
  return denies ? named || agentForwarding : named && agentForwarding;
}

function accepts(matcher: Matcher | undefined, actual: string | undefined, untold: boolean): boolean {
  return matcher !== undefined && (actual === undefined ? untold || matcher === ANY : matcher(actual));
}
