import { parseArgs } from 'node:util';

export const PHASES = [
  'latency',
  'messages',
  'requests',
  'streams',
  'handshakes',
  'bodies',
  'untouched',
  'leaves',
] as const;
export type Phase = (typeof PHASES)[number];

export const MIB = 1024 * 1024;

export interface Sizes {
  readonly rounds: number;
  /** Of one target in one round. */
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Of the closed loop and the fixed rate. */
  readonly connections: number;
  readonly perSecond: number;
  /** Handshakes at a time. */
  readonly openers: number;
  /** HTTP/2 streams at a time. */
  readonly streams: number;
  /** Of gRPC, in one round. */
  readonly messages: number;
  readonly bodyMib: number;
  /** Names that a certificate is issued for. */
  readonly leaves: number;
}

export interface EgressOptions {
  readonly sizes: Sizes;
  readonly phases: readonly Phase[];
  readonly json: boolean;
  /** Measure the checkout instead of the build. */
  readonly source: boolean;
  /** Install mitmproxy for this run where there is none on PATH. */
  readonly withMitmproxy: boolean;
  /** Flags of node for the sidecar, to try them out. */
  readonly nodeFlags: readonly string[];
}

const FULL: Sizes = {
  rounds: 5,
  seconds: 4,
  warmSeconds: 3,
  connections: 20,
  perSecond: 250,
  openers: 4,
  streams: 10,
  messages: 3_000,
  bodyMib: 256,
  leaves: 500,
};

const QUICK: Sizes = {
  rounds: 1,
  seconds: 0.5,
  warmSeconds: 0.3,
  connections: 4,
  perSecond: 100,
  openers: 2,
  streams: 10,
  messages: 200,
  bodyMib: 16,
  leaves: 50,
};

export const USAGE = `npm run bench -- egress [flags]
  --quick            short rounds and 16 MiB bodies: shows that it works, measures nothing
  --rounds n         rounds of each measurement
  --rate n           requests per second where the rate is fixed
  --only a,b         of ${PHASES.join(',')}
  --with-mitmproxy   install mitmproxy into a temporary folder (pip) where there is none on PATH
  --json             one JSON document on standard output
  --source           run the checkout, not the build
  --node-flags f     flags of node for the sidecar, separated by blanks
`;

/** Throws where a flag is not known. */
export function parseEgressOptions(words: readonly string[]): EgressOptions {
  const { values } = parseArgs({
    args: [...words],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      rate: { type: 'string' },
      only: { type: 'string' },
      'with-mitmproxy': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      'node-flags': { type: 'string', default: '' },
    },
  });
  const base = values.quick ? QUICK : FULL;
  return {
    sizes: {
      ...base,
      ...(values.rounds === undefined ? {} : { rounds: positive('--rounds', values.rounds) }),
      ...(values.rate === undefined ? {} : { perSecond: positive('--rate', values.rate) }),
    },
    phases: values.only === undefined ? PHASES : values.only.split(',').map(phaseOf),
    json: values.json,
    source: values.source,
    withMitmproxy: values['with-mitmproxy'],
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
