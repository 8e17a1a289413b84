import { parseArgs } from 'node:util';

export const PHASES = ['signer', 'calls', 'latency', 'bodies'] as const;
export type Phase = (typeof PHASES)[number];

export interface Sizes {
  readonly rounds: number;
  /** Of one target in one round. */
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Of the closed loops, each measured for itself. */
  readonly connections: readonly number[];
  /** The fixed rate at most, and the connections it may use. */
  readonly perSecond: number;
  readonly rateConnections: number;
  readonly bodyBytes: number;
  readonly bodyRounds: number;
  /** Signatures of one round of one signer, and rounds. */
  readonly signatures: number;
  readonly signerRounds: number;
}

export interface AwsOptions {
  readonly sizes: Sizes;
  readonly phases: readonly Phase[];
  readonly json: boolean;
  /** Measure the checkout instead of the build. */
  readonly source: boolean;
  /** Flags of node for the sidecar, to try them out. */
  readonly nodeFlags: readonly string[];
}

export const MIB = 1024 * 1024;

const FULL: Sizes = {
  rounds: 5,
  seconds: 4,
  warmSeconds: 3,
  connections: [1, 16],
  perSecond: 2_000,
  rateConnections: 32,
  bodyBytes: 1024 * MIB,
  bodyRounds: 3,
  signatures: 3_000,
  signerRounds: 14,
};

const QUICK: Sizes = {
  rounds: 1,
  seconds: 0.5,
  warmSeconds: 0.3,
  connections: [1, 4],
  perSecond: 200,
  rateConnections: 8,
  bodyBytes: 64 * MIB,
  bodyRounds: 1,
  signatures: 300,
  signerRounds: 4,
};

export const USAGE = `npm run bench -- aws [flags]
  --quick          short rounds and 64 MiB bodies: shows that it works, measures nothing
  --rounds n       rounds of each measurement through the sidecar
  --rate n         requests a second of the fixed rate at most; less where the machine is slow
  --mib n          size of a body
  --only a,b       of ${PHASES.join(',')}
  --json           one JSON document on standard output
  --source         run the checkout, not the build
  --node-flags f   flags of node for the sidecar, separated by blanks
`;

/** Throws where a flag is not known. */
export function parseAwsOptions(words: readonly string[]): AwsOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      rate: { type: 'string' },
      mib: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      'node-flags': { type: 'string', default: '' },
    },
  });
  const rounds = values.rounds === undefined ? undefined : positive('--rounds', values.rounds);
  const perSecond = values.rate === undefined ? undefined : positive('--rate', values.rate);
  const mib = values.mib === undefined ? undefined : positive('--mib', values.mib);
  return {
    sizes: {
      ...(values.quick ? QUICK : FULL),
      ...(rounds === undefined ? {} : { rounds, bodyRounds: rounds }),
      ...(perSecond === undefined ? {} : { perSecond }),
      ...(mib === undefined ? {} : { bodyBytes: mib * MIB }),
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
