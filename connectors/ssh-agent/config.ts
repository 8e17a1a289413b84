import { type ConfigProblem, type Static, Type } from 'secretless-sidecar/connector';
import { readHostEntry } from './host-entry.ts';
import { keysAmong, ownerOf } from './names.ts';
import { readLifetime, readYes } from './texts.ts';

/** Time for a person's answer. */
const CONFIRM_SECONDS_MAX = 600;
const oneLine = '^[^\\u0000-\\u001f\\u007f]+$';
const names = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ pattern: oneLine, maxLength: 256 }), { minItems: 1, maxItems: 256, description }),
  );

export const sshAgentConfig = Type.Object(
  {
    logins: Type.Optional(Type.Boolean({ description: 'Whether logins are signed; true' })),
    users: names('Users to log in as, `*` for any run of characters; any'),
    hosts: Type.Optional(
      Type.Array(Type.String({ pattern: oneLine, maxLength: 65_536 }), {
        minItems: 1,
        maxItems: 256,
        description: 'Hosts to log in to: SHA256 fingerprints and lines of known_hosts; any',
      }),
    ),
    signatures: Type.Optional(
      Type.Array(Type.String({ pattern: oneLine, maxLength: 128 }), {
        maxItems: 256,
        description: 'Namespaces of documents that are signed, `*` for any run of characters; git',
      }),
    ),
    forwarding: Type.Optional(
      Type.Boolean({ description: 'Whether hosts on the way may ask for signatures (`ssh -A`); false' }),
    ),
    unbound: Type.Optional(
      Type.Unsafe<'allow' | 'deny'>({
        type: 'string',
        enum: ['allow', 'deny'],
        description: 'Logins of clients that do not prove where to; denied where `hosts` is written, otherwise allowed',
      }),
    ),
    comment: Type.Optional(
      Type.String({ pattern: oneLine, maxLength: 128, description: 'What `ssh-add -l` prints; name of the service' }),
    ),
    confirm: Type.Optional(
      Type.Object(
        {
          program: Type.Optional(
            Type.Array(Type.String({ minLength: 1 }), {
              minItems: 1,
              maxItems: 32,
              description: 'Absolute path and arguments; the question comes last. [/usr/bin/ssh-askpass]',
            }),
          ),
          seconds: Type.Optional(
            Type.Integer({ minimum: 1, maximum: CONFIRM_SECONDS_MAX, description: 'Time for the answer; 30' }),
          ),
        },
        { additionalProperties: false, description: 'A person says yes to each signature' },
      ),
    ),
  },
  { additionalProperties: false },
);

export type SshAgentConfig = Static<typeof sshAgentConfig>;

/** Problems that the schema cannot see, all of them. */
export function checkSshAgentConfig(
  config: SshAgentConfig,
  credentialNames: readonly string[],
  literals: Readonly<Record<string, string>> = {},
): ConfigProblem[] {
  return [
    ...signingProblems(config),
    ...hostProblems(config),
    ...nameProblems(config, credentialNames),
    ...literalProblems(literals),
  ];
}

function signingProblems({ logins, users, hosts, unbound, signatures, confirm }: SshAgentConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (logins === false) {
    if (signatures?.length === 0) problems.push({ path: ['signatures'], message: 'nothing is left that is signed' });
    for (const [key, value] of Object.entries({ users, hosts, unbound })) {
      if (value !== undefined) problems.push({ path: [key], message: 'is about logins, and `logins` is false' });
    }
  }
  if (hosts !== undefined && unbound === 'allow') {
    const message = 'a client that does not say where it logs in to goes past `hosts`';
    problems.push({ path: ['unbound'], message, severity: 'warning' });
  }
  if (confirm?.program !== undefined && !confirm.program[0]!.startsWith('/')) {
    problems.push({ path: ['confirm', 'program', 0], message: 'an absolute path' });
  }
  return problems;
}

function hostProblems({ hosts = [] }: SshAgentConfig): ConfigProblem[] {
  const entries = hosts.map(readHostEntry);
  const problems = entries.flatMap((entry, at): ConfigProblem[] => {
    if (entry !== undefined) return [];
    return [{ path: ['hosts', at], message: 'neither a fingerprint (`SHA256:…`) nor a line of known_hosts' }];
  });
  if (entries.length > 0 && entries.every((entry) => entry?.kind === 'revoked')) {
    problems.push({ path: ['hosts'], message: 'only says which keys are revoked: add those of the hosts' });
  }
  return problems;
}

function nameProblems({ comment }: SshAgentConfig, present: readonly string[]): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (keysAmong(present).length === 0)
    problems.push({ path: [], message: 'there is no key: add the credential privateKey' });
  for (const name of present) {
    const owner = ownerOf(name);
    if (owner === undefined || present.includes(owner)) continue;
    problems.push({ path: [], credential: name, message: `belongs to the key "${owner}", which is not there` });
  }
  if (comment !== undefined && present.includes('comment')) {
    problems.push({ path: ['comment'], message: 'is there as a credential too: keep one of the two' });
  }
  return problems;
}

function literalProblems(literals: Readonly<Record<string, string>>): ConfigProblem[] {
  return Object.entries(literals).flatMap(([credential, text]): ConfigProblem[] => {
    const message = literalProblem(credential, text);
    return message === undefined ? [] : [{ path: [], credential, message }];
  });
}

function literalProblem(name: string, text: string): string | undefined {
  if (name === 'lifetime') return readLifetime(text) === undefined ? 'a lifetime is a number of seconds' : undefined;
  if (name === 'confirm') return readYes(text) === undefined ? 'is true or false' : undefined;
  if (ownerOf(name) !== name) return undefined;
  const isKey = /^\s*(?:-----BEGIN [A-Z ]*PRIVATE KEY-----|PuTTY-User-Key-File-)/.test(text);
  return isKey ? undefined : 'every credential by a name of your own is a private key, and this is none';
}
