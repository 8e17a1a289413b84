import { type ConfigProblem, DURATION_PATTERN, parseDuration, type Static, Type } from 'secretless-sidecar/connector';
import { readPublicKey, readPublicLine, WireError } from 'secretless-sidecar/connector/ssh';

const NAME_MAX = 32;
/** Of a key that proves anything. */
const RSA_BITS_MIN = 2048;

const Agent = Type.Object(
  {
    publicKey: Type.Optional(
      Type.String({
        maxLength: 8192,
        pattern: '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}( [ -~]*)?$',
        description: 'Public half of a key made up for this agent, which logs in nowhere else: a line of a .pub file',
      }),
    ),
    token: Type.Optional(
      Type.String({
        minLength: 16,
        maxLength: 256,
        pattern: '^[!-~]+$',
        description: 'Made up: proves to the sidecar which agent asks, as a password, and opens nothing else',
      }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1 },
);

/** Downstream; those without authentication of their own come with the MACs that the transport offers. */
export const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
] as const;

export const Config = Type.Object(
  {
    agents: Type.Optional(
      Type.Unsafe<Readonly<Record<string, Static<typeof Agent>>>>({
        type: 'object',
        additionalProperties: Agent,
        minProperties: 1,
        description: 'Keys or tokens of agents that share this listener, by name of the agent; default nobody is asked',
      }),
    ),
    users: Type.Optional(
      Type.Array(Type.String({ pattern: `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,${NAME_MAX - 1}}$` }), {
        minItems: 1,
        uniqueItems: true,
        description: 'Users upstream that a client may choose by its login name; default the credential `user`',
      }),
    ),
    via: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: 'Service of ssh whose upstream is the way to this one',
        examples: ['bastion'],
      }),
    ),
    insecure: Type.Optional(
      Type.Literal(true, { description: 'Takes any host key: whoever is on the way can pose as the upstream' }),
    ),
    keepalive: Type.Optional(
      Type.String({
        pattern: DURATION_PATTERN,
        description: 'Of silence, after which a side is asked whether it is there; default 60s',
      }),
    ),
    environment: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z0-9_*]{1,128}$' }), {
        uniqueItems: true,
        description:
          'Variables that clients may send, `*` for any letters; always: LANG, LC_*, TZ, COLORTERM, NO_COLOR, GIT_PROTOCOL',
      }),
    ),
    ciphers: Type.Optional(
      Type.Array(Type.Unsafe<(typeof CIPHERS)[number]>({ type: 'string', enum: [...CIPHERS] }), {
        minItems: 1,
        uniqueItems: true,
        description: 'Ciphers that clients are offered; default GCM and CTR',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

const KEEPALIVE_SECONDS_MIN = 5;

/** Problems that the schema cannot see, those of credentials apart. */
export function checkConfig(config: Config): ConfigProblem[] {
  return [...agentProblems(config), ...keepaliveProblems(config), ...environmentProblems(config)];
}

function agentProblems({ agents = {} }: Config): ConfigProblem[] {
  const entries = Object.entries(agents);
  const problems: ConfigProblem[] = [];
  if (entries.some(([, agent]) => agent.token !== undefined) && entries.some(([, { publicKey }]) => publicKey)) {
    problems.push({ path: ['agents'], message: 'keys or tokens, not both: a client is asked for one of them' });
  }
  const seen = new Map<string, string>();
  for (const [name, agent] of entries) {
    const key = agent.publicKey === undefined ? 'token' : 'publicKey';
    const proof = agent.token ?? agent.publicKey?.split(' ')[1] ?? '';
    const other = seen.get(proof);
    if (other !== undefined) {
      problems.push({ path: ['agents', name, key], message: `is that of the agent "${other}" too` });
    }
    seen.set(proof, name);
    if (agent.publicKey !== undefined && !isPublicKey(agent.publicKey)) {
      problems.push({
        path: ['agents', name, key],
        message: `is no public key, or one of RSA below ${RSA_BITS_MIN} bits: copy the line of its .pub file`,
      });
    }
  }
  return problems;
}

/** One that a login by it can be verified with. */
function isPublicKey(line: string): boolean {
  try {
    const { modulusLength } = readPublicKey(readPublicLine(line).blob).key.asymmetricKeyDetails ?? {};
    return modulusLength === undefined || modulusLength >= RSA_BITS_MIN;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}

function keepaliveProblems({ keepalive }: Config): ConfigProblem[] {
  if (keepalive === undefined || (parseDuration(keepalive) ?? 0) >= KEEPALIVE_SECONDS_MIN) return [];
  return [{ path: ['keepalive'], message: `a time from ${KEEPALIVE_SECONDS_MIN}s up to a day` }];
}

function environmentProblems({ environment = [] }: Config): ConfigProblem[] {
  return environment.flatMap((name, index) => {
    if (!/^\**$|^(?:LD_|DYLD_|BASH_ENV$|ENV$|PATH$|IFS$)/.test(name)) return [];
    const message = 'a variable by which a client runs what no rule on commands sees';
    return [{ path: ['environment', index], message, severity: 'warning' }];
  });
}
