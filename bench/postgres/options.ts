import { parseArgs } from 'node:util';

export const TRANSPORTS = ['plain', 'tls'] as const;
/** How the upstream is reached. */
export type Transport = (typeof TRANSPORTS)[number];

export const PHASES = ['select', 'select8', 'tpcb', 'connect', 'copy', 'idle', 'churn'] as const;
export type Phase = (typeof PHASES)[number];

export interface Sizes {
  readonly rounds: number;
  /** How long pgbench goes on in one round of one target: its own flag and number. */
  readonly length: readonly ['-T' | '-t', number];
  readonly warm: readonly ['-T' | '-t', number];
  /** Of pgbench's tables: 100,000 accounts each. */
  readonly scale: number;
  /** Rows of some 232 bytes. */
  readonly copyRows: number;
  readonly copyRounds: number;
  readonly idleConnections: number;
  /** Connections made and ended one after another, and those before the figures begin. */
  readonly churnConnections: number;
  readonly churnWarm: number;
  readonly settleSeconds: number;
}

export interface PostgresOptions {
  readonly sizes: Sizes;
  readonly phases: readonly Phase[];
  readonly transports: readonly Transport[];
  readonly json: boolean;
  /** Measure the checkout instead of the build. */
  readonly source: boolean;
  /** Let the scheduler place all processes. */
  readonly free: boolean;
  /** Flags of node for the sidecar, to try them out. */
  readonly nodeFlags: readonly string[];
}

const FULL: Sizes = {
  rounds: 5,
  length: ['-T', 4],
  warm: ['-T', 2],
  scale: 10,
  copyRows: 1_080_000,
  copyRounds: 5,
  idleConnections: 1_000,
  churnConnections: 5_000,
  churnWarm: 1_000,
  settleSeconds: 2,
};

const QUICK: Sizes = {
  rounds: 1,
  length: ['-T', 1],
  warm: ['-t', 100],
  scale: 1,
  copyRows: 50_000,
  copyRounds: 1,
  idleConnections: 50,
  churnConnections: 100,
  churnWarm: 20,
  settleSeconds: 0.2,
};

export const USAGE = `npm run bench -- postgres [flags]
  --quick          short rounds and small tables: shows that it works, measures nothing
  --rounds n       rounds of each measurement
  --seconds n      of each run of pgbench
  --only a,b       of ${PHASES.join(',')}
  --transport a,b  of ${TRANSPORTS.join(',')}: how the upstream is reached
  --free           pin no process to a processor
  --json           one JSON document on standard output
  --source         run the checkout, not the build
  --node-flags f   flags of node for the sidecar, separated by blanks
`;

/** Throws where a flag is not known. */
export function parsePostgresOptions(words: readonly string[]): PostgresOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      transport: { type: 'string' },
      free: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      'node-flags': { type: 'string', default: '' },
    },
  });
  const base = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? undefined : positive('--rounds', values.rounds);
  const seconds = values.seconds === undefined ? undefined : positive('--seconds', values.seconds);
  return {
    sizes: {
      ...base,
      ...(rounds === undefined ? {} : { rounds, copyRounds: rounds }),
      ...(seconds === undefined ? {} : { length: ['-T', seconds] }),
    },
    phases: chosen('--only', PHASES, values.only),
    transports: chosen('--transport', TRANSPORTS, values.transport),
    json: values.json,
    source: values.source,
    free: values.free,
    nodeFlags: values['node-flags'].split(' ').filter((flag) => flag !== ''),
  };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} ${text}: not a whole number above 0`);
  return value;
}

function chosen<Word extends string>(flag: string, known: readonly Word[], text: string | undefined): readonly Word[] {
  if (text === undefined) return known;
  return text.split(',').map((name) => {
    const word = known.find((one) => one === name);
    if (word === undefined) throw new Error(`${flag} ${name}: there are ${known.join(', ')}`);
    return word;
  });
}
