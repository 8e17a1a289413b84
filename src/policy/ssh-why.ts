import type { SshFacts, SshRequest } from './request.ts';
import type { Rule, SshSelector } from './rules.ts';
import { coversOpening, isOpening, unmatchedSsh, type CompiledSsh } from './ssh.ts';

/** What is asked for, and the key of a rule that names it. */
const KEYS: Readonly<Record<Exclude<SshRequest, 'login' | 'keys'>, readonly [what: string, key: keyof SshSelector]>> = {
  exec: ['command', 'commands'],
  shell: ['shell', 'shell'],
  pty: ['terminal', 'pty'],
  subsystem: ['subsystem', 'subsystems'],
  forward: ['destination', 'forwards'],
  listen: ['address', 'listens'],
  jump: ['destination', 'forwards'],
  'agent-forwarding': ['agent forwarding', 'agentForwarding'],
  'x11-forwarding': ['X11 forwarding', 'x11Forwarding'],
  'sign-login': ['host key', 'hostKeys'],
  'sign-document': ['namespace', 'namespaces'],
};

/** Why the rule does not match; quotes the request. */
export function whyUnmatchedSsh({ ssh: selector = {}, effect }: Rule, rule: CompiledSsh, facts?: SshFacts): string {
  if (facts === undefined || unmatchedSsh(rule, facts) === 'request') return 'the request is none over SSH';
  if (unmatchedSsh(rule, facts) === 'users') {
    if (facts.user === undefined) return 'the request tells no user';
    return `user ${quoted(facts.user)} matches none of ${selector.users?.join(', ')}`;
  }
  const { request } = facts;
  if (request === 'login' || request === 'keys') {
    if (effect === 'deny') return 'the rule denies only some of what may be asked for later';
    if (facts.forwarded === true && !rule.agentForwarding) return 'the rule does not say agentForwarding';
    return request === 'login' ? 'the rule allows nothing that a login is for' : 'the rule allows no signature';
  }
  const [what, key] = KEYS[request];
  if (facts.forwarded === true && !rule.agentForwarding) return 'the rule does not say agentForwarding';
  const patterns = selector[key];
  if (request === 'exec') return whyUnmatchedCommand(selector, facts);
  if (!Array.isArray(patterns)) return `the rule does not name ${key}`;
  const actual = valueOf(facts);
  return actual === undefined
    ? `the request tells no ${what}`
    : `${what} ${quoted(actual)} matches none of ${patterns.join(', ')}`;
}

function whyUnmatchedCommand({ commands, git }: SshSelector, facts: SshFacts): string {
  const reasons: string[] = [];
  if (commands !== undefined) {
    reasons.push(`command ${quoted(facts.command ?? '')} matches none of ${commands.join(', ')}`);
  }
  if (git !== undefined) reasons.push(whyUnmatchedGit(facts.git));
  return reasons.length === 0 ? 'the rule names neither commands nor git' : reasons.join(', and ');
}

function whyUnmatchedGit(git: SshFacts['git']): string {
  if (git === undefined) return 'it is no command of git';
  if (git === 'unclear') return 'it cannot be read with certainty as a command of git';
  return `a ${git.push ? 'push to' : 'fetch from'} ${quoted(git.repository)} is not what \`git\` says`;
}

function valueOf({ subsystem, destination, hostKey, namespace }: SshFacts): string | undefined {
  return subsystem ?? destination ?? hostKey ?? namespace;
}

/** What an answer rests on that is not told, or not yet; undefined where all is told. */
export function untoldSsh(rule: CompiledSsh, facts: SshFacts | undefined): string | undefined {
  if (facts === undefined) return undefined;
  if (isOpening(facts)) {
    return coversOpening(rule, facts) ? undefined : 'the rule may allow what is asked for later';
  }
  if (!rule.denies || !rule.written) return undefined;
  const { request, git, command, hostKey } = facts;
  if (request === 'exec' && git === 'unclear' && rule.git !== undefined && rule.commands?.(command ?? '') !== true) {
    return 'the command may be one of git’s, which counts as a match';
  }
  return request === 'sign-login' && hostKey === undefined && rule.hostKeys !== undefined
    ? 'the host is not proven, which counts as a match'
    : undefined;
}

function quoted(text: string): string {
  return JSON.stringify(text.toWellFormed());
}
