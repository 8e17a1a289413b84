import { judgeLimits, type Bar, type Limit } from '../harness/bars.ts';
import type { EgressResult, Kind, LoadFigures, Way } from './result.ts';
import { SIDECAR, UNTOUCHED } from './target.ts';

type Measured = Omit<EgressResult, 'bars'>;

const LIMITS: readonly Limit<Measured>[] = [
  {
    bar: 'a warm request: added p50',
    limit: 1,
    unit: 'ms',
    value: (result) => ofSidecar(result, 'latency')?.addedP50?.median,
  },
  {
    bar: 'a message of gRPC: added p50',
    limit: 1,
    unit: 'ms',
    value: (result) => ofSidecar(result, 'messages')?.addedP50?.median,
  },
  ...(['up', 'down'] as const).map((way): Limit<Measured> => ({
    bar: `an untouched tunnel, ${way}: speed over direct`,
    limit: 0.9,
    unit: '×',
    atLeast: true,
    value: (result) => untouched(result, way),
  })),
  { bar: 'a certificate issued, p50', limit: 3, unit: 'ms', value: ({ leaves }) => leaves?.p50 },
];

/** The bars, each with what was measured. */
export function judge(result: Measured): Bar[] {
  return judgeLimits(LIMITS, result);
}

function ofSidecar({ loads }: Measured, kind: Kind): LoadFigures | undefined {
  return loads.find((row) => row.kind === kind && row.target === SIDECAR);
}

function untouched({ bodies }: Measured, way: Way): number | undefined {
  return bodies.find((row) => row.way === way && row.target === UNTOUCHED)?.overDirect?.median;
}
