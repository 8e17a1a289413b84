import { parseArgs } from 'node:util';

export const PHASES = ['throughput', 'latency', 'start', 'idle', 'body'] as const;
export type Phase = (typeof PHASES)[number];

export interface Sizes {
  readonly rounds: number;
  /** Of one target in one round. */
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Of the closed loop and the fixed rate. */
  readonly connections: number;
  readonly perSecond: number;
  readonly starts: number;
  readonly idleConnections: number;
  readonly settleSeconds: number;
  readonly bodyBytes: number;
  readonly bodyRounds: number;
}

export interface HttpOptions {
  readonly sizes: Sizes;
  readonly phases: readonly Phase[];
  readonly json: boolean;
  /** Measure the checkout instead of the build. */
  readonly source: boolean;
  /** Flags of node for the sidecar, to try them out. */
  readonly nodeFlags: readonly string[];
}

const MIB = 1024 * 1024;

const FULL: Sizes = {
  rounds: 5,
  seconds: 4,
  warmSeconds: 3,
  connections: 50,
  perSecond: 2_000,
  starts: 10,
  idleConnections: 5_000,
  settleSeconds: 2,
  bodyBytes: 1024 * MIB,
  bodyRounds: 3,
};

const QUICK: Sizes = {
  rounds: 1,
  seconds: 0.5,
  warmSeconds: 0.3,
  connections: 10,
  perSecond: 200,
  starts: 1,
  idleConnections: 200,
  settleSeconds: 0.2,
  bodyBytes: 64 * MIB,
  bodyRounds: 1,
};

export const USAGE = `npm run bench -- http [flags]
  --quick          short rounds and 64 MiB bodies: shows that it works, measures nothing
  --rounds n       rounds of each measurement
  --only a,b       of ${PHASES.join(',')}
  --json           one JSON document on standard output
  --source         run the checkout, not the build
  --node-flags f   flags of node for the sidecar, separated by blanks
`;

/** Throws where a flag is not known. */
export function parseHttpOptions(words: readonly string[]): HttpOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      'node-flags': { type: 'string', default: '' },
    },
  });
  const base = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? undefined : positive(values.rounds);
  const phases = values.only === undefined ? PHASES : values.only.split(',').map(phaseOf);
  return {
    sizes: rounds === undefined ? base : { ...base, rounds, bodyRounds: rounds },
    phases,
    json: values.json,
    source: values.source,
    nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--rounds ${text}: not a whole number above 0`);
  return value;
}

function phaseOf(name: string): Phase {
  const phase = PHASES.find((known) => known === name);
  if (phase === undefined) throw new Error(`--only ${name}: there are ${PHASES.join(', ')}`);
  return phase;
}
