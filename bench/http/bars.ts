import { judgeLimits, type Bar, type Limit } from '../harness/bars.ts';
import type { HttpResult } from './result.ts';

type Measured = Omit<HttpResult, 'bars'>;

const JUDGED: readonly Limit<Measured>[] = [
  { bar: 'CPU per request over bare http-proxy-3', limit: 0.6, unit: '×', value: cpuRatio },
  {
    bar: 'resident under full load',
    limit: 160,
    unit: 'MB',
    value: (result) => of(result.throughput)?.residentMb?.max,
  },
  {
    bar: 'added p50 at the fixed rate',
    limit: 0.5,
    unit: 'ms',
    value: (result) => of(result.latency)?.addedP50?.median,
  },
  { bar: 'start to ready', limit: 500, unit: 'ms', value: (result) => result.start?.ready?.median },
  { bar: 'resident, idle', limit: 90, unit: 'MB', value: (result) => result.idle?.resident },
  { bar: '5,000 idle connections', limit: 60, unit: 'MB', value: (result) => result.idle?.silentMore },
  {
    bar: 'body up, speed over bare undici',
    limit: 0.8,
    unit: '×',
    atLeast: true,
    value: (result) => speedRatio(result, 'up'),
  },
  {
    bar: 'body down, speed over bare undici',
    limit: 0.8,
    unit: '×',
    atLeast: true,
    value: (result) => speedRatio(result, 'down'),
  },
  {
    bar: 'body up, resident growth',
    limit: 32,
    unit: 'MB',
    value: (result) => bodyOf(result, 'sidecar', 'up')?.residentMore?.max,
  },
  {
    bar: 'body down, resident growth',
    limit: 32,
    unit: 'MB',
    value: (result) => bodyOf(result, 'sidecar', 'down')?.residentMore?.max,
  },
];

/** The bars, each with what was measured; `met` is missing where nothing was. */
export function judge(result: Measured): Bar[] {
  return judgeLimits(JUDGED, result);
}

function of<Row extends { readonly target: string }>(
  rows: readonly Row[] | undefined,
  target = 'sidecar',
): Row | undefined {
  return rows?.find((row) => row.target === target);
}

function cpuRatio({ throughput }: Measured): number | undefined {
  const ours = of(throughput)?.cpuMicros?.median;
  const theirs = of(throughput, 'http-proxy-3')?.cpuMicros?.median;
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

function bodyOf({ body }: Measured, target: string, way: 'up' | 'down') {
  return body?.find((row) => row.target === target && row.way === way);
}

function speedRatio(result: Measured, way: 'up' | 'down'): number | undefined {
  const ours = bodyOf(result, 'sidecar', way)?.mbPerSecond?.median;
  const theirs = bodyOf(result, 'undici', way)?.mbPerSecond?.median;
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}
