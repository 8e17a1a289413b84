import { type ConfigProblem, SidecarError } from 'secretless-sidecar/connector';
import { KnownHosts, WireError } from 'secretless-sidecar/connector/ssh';
import type { SshCredential } from './credentials.ts';
import { readHostKeys } from './host-keys.ts';
import { publishedKeys } from './published-keys.ts';
import { targetOf } from './target.ts';

/** What of a service's `config` its credentials must agree with. */
export interface CheckedConfig {
  /** Any host key will do where none is known. */
  readonly insecure?: boolean;
  /** Users that the downstream may choose. */
  readonly users?: readonly string[];
}

type Literals = Readonly<Partial<Record<SshCredential, string>>>;
type Target = { readonly host: string; readonly port: number };

/** Problems of the credentials that can be found before anything runs, all of them. */
export function checkCredentials(
  config: CheckedConfig,
  names: readonly string[],
  literals: Literals = {},
): readonly ConfigProblem[] {
  const has = (name: SshCredential): boolean => names.includes(name);
  const target = literalTarget(names, literals);
  return [
    ...targetProblems(has),
    ...(target instanceof SidecarError ? [error(target.detail ?? '', 'host' in literals ? 'host' : 'address')] : []),
    ...loginProblems(has, config),
    ...hostKeyProblems(has, config, target instanceof SidecarError ? undefined : target),
    ...textProblems(literals, target instanceof SidecarError ? undefined : target),
  ];
}

function targetProblems(has: (name: SshCredential) => boolean): ConfigProblem[] {
  if (!has('address') && !has('host')) {
    return [error('nothing says where the server is: add the credential host or address')];
  }
  if (has('address') && (has('host') || has('port'))) {
    return [error('address has host and port in one: keep it, or host and port')];
  }
  return [];
}

function loginProblems(has: (name: SshCredential) => boolean, { users }: CheckedConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (!has('privateKey')) {
    if (!has('password')) problems.push(error('nothing logs in: add the credential privateKey or password'));
    for (const name of ['certificate', 'passphrase'] as const) {
      if (has(name)) problems.push(error(`${name} belongs to a private key: add the credential privateKey`, name));
    }
  }
  if (!has('user') && users === undefined) {
    problems.push(warning("nobody is named, so root logs in, as with CyberArk's broker: add the credential user"));
  }
  return problems;
}

function hostKeyProblems(
  has: (name: SshCredential) => boolean,
  { insecure }: CheckedConfig,
  target: Target | undefined,
): ConfigProblem[] {
  const path = ['insecure'];
  if (has('hostKey') || has('knownHosts')) {
    if (insecure !== true) return [];
    return [{ path, message: 'host keys are known, so they are verified: take insecure out' }];
  }
  if (target !== undefined && publishedKeys(target.host, target.port).length > 0) {
    if (insecure !== true) return [];
    return [{ path, message: `the host keys of ${target.host} are built in: take insecure out` }];
  }
  if (insecure !== true) {
    return [error('no host key is known: add the credential hostKey (`ssh-keyscan host`, compared) or knownHosts')];
  }
  const message = 'the upstream is not verified, so whoever is on the way can pose as it: add hostKey or knownHosts';
  return [{ path, message, severity: 'warning' }];
}

function textProblems({ hostKey, knownHosts }: Literals, target: Target | undefined): ConfigProblem[] {
  return [
    ...problemsOf('hostKey', () => hostKey !== undefined && readHostKeys(Buffer.from(hostKey))),
    ...problemsOf('knownHosts', () => {
      if (knownHosts === undefined) return;
      const hosts = new KnownHosts(knownHosts);
      if (target === undefined || hosts.hasAuthority(target) || hosts.types(target).length > 0) return;
      throw new WireError('it has no line for this host and port');
    }),
  ];
}

function problemsOf(credential: SshCredential, read: () => unknown): ConfigProblem[] {
  try {
    read();
    return [];
  } catch (thrown) {
    if (thrown instanceof WireError) return [error(thrown.message, credential)];
    throw thrown;
  }
}

/** Where the file itself says that the server is; undefined where a part of it comes from elsewhere. */
function literalTarget(names: readonly string[], literals: Literals): Target | SidecarError | undefined {
  const parts = (['address', 'host', 'port'] as const).filter((name) => names.includes(name));
  if (parts.length === 0 || parts.some((name) => literals[name] === undefined)) return undefined;
  if (parts.includes('address') ? parts.length > 1 : !parts.includes('host')) return undefined;
  try {
    return targetOf(literals);
  } catch (thrown) {
    if (thrown instanceof SidecarError) return thrown;
    throw thrown;
  }
}

function error(message: string, credential?: SshCredential): ConfigProblem {
  return { path: [], message, ...(credential !== undefined && { credential }) };
}

function warning(message: string): ConfigProblem {
  return { path: [], message, severity: 'warning' };
}
