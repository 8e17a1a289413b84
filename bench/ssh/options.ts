import { parseArgs } from 'node:util';

export const PHASES = ['copies', 'latency', 'stopped', 'agent'] as const;
export type Phase = (typeof PHASES)[number];

/** Of both legs, so that one figure is one cipher. */
export const CIPHERS = { gcm: 'aes128-gcm@openssh.com', chacha: 'chacha20-poly1305@openssh.com' } as const;
export type Cipher = keyof typeof CIPHERS;
export const CIPHER_NAMES: readonly Cipher[] = ['gcm', 'chacha'];

export const MIB = 1024 * 1024;

export interface Sizes {
  readonly copyMib: number;
  readonly rounds: number;
  /** Of `ssh host true`, for each target. */
  readonly connections: number;
  /** How long a client grants a window and does not read. */
  readonly stoppedSeconds: number;
  /** For each agent. */
  readonly signatures: number;
}

export interface SshOptions {
  readonly sizes: Sizes;
  readonly phases: readonly Phase[];
  readonly json: boolean;
  /** Measure the checkout instead of the build. */
  readonly source: boolean;
  /** Flags of node for the sidecar, to try them out. */
  readonly nodeFlags: readonly string[];
}

const FULL: Sizes = { copyMib: 1024, rounds: 3, connections: 20, stoppedSeconds: 10, signatures: 300 };
const QUICK: Sizes = { copyMib: 64, rounds: 1, connections: 3, stoppedSeconds: 1, signatures: 20 };

export const USAGE = `npm run bench -- ssh [flags]
  --quick          one round of 64 MiB and few connections: shows that it works, measures nothing
  --rounds n       rounds of each copy
  --mib n          size of a copy
  --only a,b       of ${PHASES.join(',')}
  --json           one JSON document on standard output
  --source         run the checkout, not the build
  --node-flags f   flags of node for the sidecar, separated by blanks
`;

/** Throws where a flag is not known. */
export function parseSshOptions(words: readonly string[]): SshOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      mib: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      'node-flags': { type: 'string', default: '' },
    },
  });
  const rounds = values.rounds === undefined ? undefined : positive('--rounds', values.rounds);
  const copyMib = values.mib === undefined ? undefined : positive('--mib', values.mib);
  return {
    sizes: {
      ...(values.quick ? QUICK : FULL),
      ...(rounds === undefined ? {} : { rounds }),
      ...(copyMib === undefined ? {} : { copyMib }),
    },
    phases: values.only === undefined ? PHASES : values.only.split(',').map(phaseOf),
    json: values.json,
    source: values.source,
    nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
  };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} ${text}: not a whole number above 0`);
  return value;
}

function phaseOf(name: string): Phase {
  const phase = PHASES.find((known) => known === name);
  if (phase === undefined) throw new Error(`--only ${name}: there are ${PHASES.join(', ')}`);
  return phase;
}
