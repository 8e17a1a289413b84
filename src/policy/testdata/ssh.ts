import { compilePolicy, evaluate, explainVerdict } from '../decide.ts';
import type { RateReader } from '../rate.ts';
import type { AccessRequest, SshFacts, SshRequest } from '../request.ts';
import type { Rule, SshSelector } from '../rules.ts';

export const NOW = new Date('2026-01-05T12:00:00Z');
export const unused: RateReader = { waitMilliseconds: () => 0 };

export function asking(ssh: SshFacts | undefined): AccessRequest {
  const facts = ssh === undefined ? { method: 'GET' } : { ssh };
  return { service: 'host', connector: 'ssh', principal: { agent: 'reviewer', attested: 'listener' }, facts };
}

export function decider(rules: readonly Rule[] | undefined, facts: SshFacts): string {
  const verdict = evaluate(compilePolicy(rules), asking(facts), NOW, unused);
  return `${verdict.allow ? '+' : '-'}${verdict.rule ?? ''}`;
}

export function reasons(rules: readonly Rule[], facts: SshFacts | undefined): string[] {
  return explainVerdict(compilePolicy(rules), asking(facts), NOW, unused).findings.map(({ because }) => because);
}

export const allow = (id: string, ssh?: SshSelector, rest: Partial<Rule> = {}): Rule => ({
  id,
  effect: 'allow',
  ...(ssh && { ssh }),
  ...rest,
});
export const deny = (id: string, ssh?: SshSelector, rest: Partial<Rule> = {}): Rule => ({
  id,
  effect: 'deny',
  ...(ssh && { ssh }),
  ...rest,
});

export const KEY = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';
export const OTHER_KEY = 'SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s';
export const user = 'deploy';
export const exec = (command: string, rest: Partial<SshFacts> = {}): SshFacts => ({
  request: 'exec',
  user,
  command,
  ...rest,
});
export const git = (repository: string, push = false): SshFacts =>
  exec(`git-${push ? 'receive' : 'upload'}-pack '${repository}.git'`, { git: { repository, push } });

/** One of each kind. */
export const ASKED: Readonly<Record<SshRequest, SshFacts>> = {
  login: { request: 'login', user },
  exec: exec('uptime'),
  shell: { request: 'shell', user },
  subsystem: { request: 'subsystem', user, subsystem: 'sftp' },
  pty: { request: 'pty', user },
  forward: { request: 'forward', user, destination: 'db.internal:5432' },
  listen: { request: 'listen', user, destination: 'localhost:8080' },
  jump: { request: 'jump', user, destination: 'inner.internal:22' },
  'agent-forwarding': { request: 'agent-forwarding', user },
  'x11-forwarding': { request: 'x11-forwarding', user },
  keys: { request: 'keys' },
  'sign-login': { request: 'sign-login', user, hostKey: KEY },
  'sign-document': { request: 'sign-document', namespace: 'git' },
};
