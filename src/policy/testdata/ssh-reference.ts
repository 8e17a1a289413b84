import type { SshFacts, SshRequest } from '../request.ts';
import type { Rule, SshSelector } from '../rules.ts';

/**
 * What the documentation of `decide.ts` says of `ssh`, with regular expressions: whether the rule matches, of an opening
 * also whether it matches all that may come after.
 */
export function matchesSsh({ ssh, effect }: Rule, facts: SshFacts | undefined): 'no' | 'may' | 'surely' {
  if (facts === undefined) return ssh === undefined ? 'surely' : 'no';
  const { users, ...keys } = ssh ?? {};
  const names = Object.values(keys).some((value) => value !== false);
  const whole = Object.keys(keys).every((key) => !names && key.endsWith('Forwarding'));
  const isDenied = effect === 'deny';
  if (facts.request === 'keys') {
    if (!isDenied && facts.forwarded === true && keys.agentForwarding !== true) return 'no';
    if (whole && users === undefined) return 'surely';
    const later = !names || keys.hostKeys !== undefined || (keys.namespaces !== undefined && users === undefined);
    return later && !isDenied ? 'may' : 'no';
  }
  const isUserOpen = facts.request === 'login' && facts.user === undefined;
  const untold = isUserOpen || (isDenied && facts.request !== 'sign-document');
  if (users !== undefined && !(facts.user === undefined ? untold : anyWild(users, facts.user, '.*'))) return 'no';
  if (facts.request === 'login') {
    if (whole && !(isUserOpen && users !== undefined)) return 'surely';
    const { commands, git, subsystems, forwards, listens, shell } = keys;
    const later = !names || shell === true || [commands, git, subsystems, forwards, listens].some(Boolean);
    return later && !isDenied ? 'may' : 'no';
  }
  return (names ? isNamed(keys, facts, isDenied) : isUsual(keys, facts, isDenied)) ? 'surely' : 'no';
}

function isUsual({ shell = true, pty = shell }: SshSelector, { request, forwarded }: SshFacts, isDenied: boolean) {
  if (request === 'shell') return shell;
  if (request === 'pty') return pty;
  if (isDenied) return true;
  return ['exec', 'subsystem', 'jump', 'sign-login', 'sign-document'].includes(request) && forwarded !== true;
}

function isNamed(keys: SshSelector, facts: SshFacts, isDenied: boolean): boolean {
  const { request, git, hostKey, forwarded } = facts;
  const star = isDenied ? '.*' : '[-A-Za-z0-9 _@%+=:,./]*';
  const holds = (patterns: readonly string[] | undefined, actual: string | undefined, single: string): boolean =>
    patterns !== undefined && (actual === undefined ? isDenied : anyWild(patterns, actual, single));
  const signed = (named: boolean): boolean => {
    if (isDenied) return named || (forwarded === true && keys.agentForwarding === true);
    return named && (forwarded !== true || keys.agentForwarding === true);
  };
  switch (request) {
    case 'exec': {
      const { repos = ['**'], push } = keys.git ?? {};
      const ofGit =
        git === 'unclear'
          ? isDenied
          : git && anyWild(repos.map(lower), git.repository, '[^/]*') && [undefined, git.push].includes(push);
      return holds(keys.commands, facts.command, star) || (keys.git !== undefined && ofGit === true);
    }
    case 'shell':
      return keys.shell === true;
    case 'pty':
      return keys.pty ?? keys.shell === true;
    case 'subsystem':
      return holds(keys.subsystems, facts.subsystem, '.*');
    case 'forward':
    case 'jump':
    case 'listen': {
      const patterns = request === 'listen' ? keys.listens : keys.forwards;
      const { destination } = facts;
      if (patterns?.includes('*') && destination !== undefined) return true;
      const likewise = patterns?.filter((pattern) => pattern.startsWith('/') === destination?.startsWith('/'));
      const single = isDenied ? '.*' : destination?.startsWith('/') ? '[^/]*' : '[-A-Za-z0-9._:\\[\\]]*';
      if (destination === undefined) return patterns !== undefined && isDenied;
      if (destination.includes('/..')) return isDenied && likewise?.length !== 0 && likewise !== undefined;
      const cased = destination.startsWith('/') ? likewise : likewise?.map(lower);
      return holds(cased, destination.startsWith('/') ? destination : lower(destination), single);
    }
    case 'agent-forwarding':
      return keys.agentForwarding === true;
    case 'x11-forwarding':
      return keys.x11Forwarding === true;
    case 'sign-login':
      return signed(keys.hostKeys !== undefined && (keys.hostKeys.includes('*') || holds(keys.hostKeys, hostKey, '')));
    case 'sign-document':
      return signed(holds(keys.namespaces, facts.namespace, '.*'));
    default:
      return false;
  }
}

const seen = new Map<string, RegExp>();

/** `single` is what one star stands for. */
function anyWild(patterns: readonly string[], actual: string, single: string): boolean {
  return patterns.some((pattern) => {
    const key = `${single} ${pattern}`;
    const source = pattern.replace(/\*+|[.+?^${}()|[\]\\]/g, (found) =>
      found.startsWith('**') ? '.*' : found === '*' ? single : `\\${found}`,
    );
    const regex = seen.get(key) ?? new RegExp(`^(?:${source})$`, 's');
    seen.set(key, regex);
    return regex.test(actual);
  });
}

function lower(text: string): string {
  return text.toLowerCase();
}

/** What of the draws of the test is needed here. */
interface Draws {
  chance(probability: number): boolean;
  one<Item>(items: readonly Item[]): Item;
  some<Item>(items: readonly Item[]): Item[];
}

const USERS = ['git', 'deploy', 'root'];
const COMMANDS = ['uptime', 'ls -l /tmp', 'ls; id', 'ls\nid', 'cat \udce9', '', "git-upload-pack 'acme/api.git'"];
const REPOSITORIES = ['acme/api', 'acme/api/wiki', 'acme', 'other/api'];
const DESTINATIONS = ['db.internal:5432', 'DB.internal:22', '[::1]:22', '10.0.0.1 x.internal:22', ':80'].concat([
  '/run/app.sock',
  '/run/x/app.sock',
  '/run/../app.sock',
]);
const PLACES = ['db.internal:5432', 'Db.Internal:*', '*.internal:22', '**.internal:*', '*:22', ':*', '*'].concat([
  '/run/app.sock',
  '/run/*.sock',
  '/run/**',
]);
const HOST_KEYS = ['+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU', 'uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s'].map(
  (base64) => `SHA256:${base64}`,
);
const NAMESPACES = ['git', 'file', 'x@example.com'];
const REQUESTS: readonly SshRequest[] = ['login', 'keys', 'exec', 'exec', 'exec', 'shell', 'pty', 'subsystem'].concat([
  'forward',
  'listen',
  'jump',
  'agent-forwarding',
  'x11-forwarding',
  'sign-login',
  'sign-document',
]) as SshRequest[];

export function drawSsh({ chance, one, some }: Draws, effect: Rule['effect']): SshSelector {
  const shell = chance(0.3) && { shell: effect === 'deny' || chance(0.6) };
  const allows = effect === 'allow';
  const selector: SshSelector = {
    ...(chance(0.4) && { users: some([...USERS, 'dep*', '*']) }),
    ...(chance(0.3) && { commands: some(['uptime', 'ls *', 'ls **', '*', '**', '*;*', 'cat **']) }),
    ...(chance(0.2) && { git: one([{ push: true }, { push: false }, { repos: some(['acme/*', 'ACME/api', '**']) }]) }),
    ...(chance(0.1) && { git: { repos: some(['acme/**', '*', 'other/api']), push: chance(0.5) } }),
    ...shell,
    ...(chance(0.2) && { pty: chance(0.5) || !(allows || (shell && shell.shell)) }),
    ...(chance(0.2) && { subsystems: some(['sftp', 'net*', '*']) }),
    ...(chance(0.2) && { forwards: some(PLACES) }),
    ...(chance(0.2) && { listens: some(PLACES) }),
    ...(chance(0.2) && { agentForwarding: !allows || chance(0.6) }),
    ...(chance(0.2) && { x11Forwarding: !allows || chance(0.6) }),
    ...(chance(0.2) && { hostKeys: some([...HOST_KEYS, '*']) }),
    ...(chance(0.2) && { namespaces: some([...NAMESPACES, '*']) }),
  };
  return Object.keys(selector).length === 0 ? { users: ['*'] } : selector;
}

export function drawSshFacts({ chance, one }: Draws): SshFacts {
  const request = one(REQUESTS);
  const signs = request.startsWith('sign-');
  const travels = ['forward', 'listen', 'jump'].includes(request);
  const hasUser = request !== 'keys' && request !== 'sign-document';
  return {
    request,
    ...(hasUser && chance(0.9) && { user: one(USERS) }),
    ...(request === 'exec' && chance(0.9) && { command: one(COMMANDS) }),
    ...(request === 'exec' && chance(0.4) && { git: { repository: one(REPOSITORIES), push: chance(0.5) } }),
    ...(request === 'exec' && chance(0.2) && { git: 'unclear' as const }),
    ...(request === 'subsystem' && chance(0.9) && { subsystem: one(['sftp', 'netconf']) }),
    ...(travels && chance(0.9) && { destination: one(DESTINATIONS) }),
    ...(request === 'sign-login' && chance(0.7) && { hostKey: one(HOST_KEYS) }),
    ...(request === 'sign-document' && chance(0.9) && { namespace: one(NAMESPACES) }),
    ...(signs && chance(0.5) && { forwarded: chance(0.6) }),
  };
}
