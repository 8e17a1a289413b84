import { judgeLimits, type Bar, type Limit } from '../harness/bars.ts';
import { CALL_SHAPES, type BodyMode, type CallShape } from './requests.ts';
import type { AwsResult, BodyFigures } from './result.ts';

type Measured = Omit<AwsResult, 'bars'>;

/** MiB a second of the direct transfer that the bars of speed are meant for; a slower machine is scaled up to it. */
const DIRECT_MIB = 1536;

const JUDGED: readonly Limit<Measured>[] = [
  { bar: 'signer, each request', limit: 15, unit: 'µs', value: (result) => signer(result, 'ours, DynamoDB') },
  { bar: 'signer over @smithy/signature-v4', limit: 0.5, unit: '×', value: signerRatio },
  ...CALL_SHAPES.map((shape) => ({
    bar: `added p50 at the fixed rate, ${shape}`,
    limit: 1,
    unit: 'ms',
    value: (result: Measured) => addedP50(result, shape),
  })),
  { bar: 'chunks signed anew', limit: 250, unit: 'MiB/s', atLeast: true, value: (result) => scaled(result, 'chunks') },
  {
    bar: 'trailer passed through',
    limit: 450,
    unit: 'MiB/s',
    atLeast: true,
    value: (result) => scaled(result, 'trailer'),
  },
  { bar: 'peak resident, any body', limit: 200, unit: 'MB', value: peak },
];

/** The bars, each with what was measured; `met` is missing where nothing was. */
export function judge(result: Measured): Bar[] {
  return judgeLimits(JUDGED, result);
}

function signer({ signer: rows }: Measured, wanted: string): number | undefined {
  return rows.find(({ name }) => name === wanted)?.micros?.median;
}

function signerRatio(result: Measured): number | undefined {
  const ours = signer(result, 'ours, DynamoDB');
  const theirs = signer(result, '@smithy/signature-v4, DynamoDB');
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

function addedP50({ latency }: Measured, shape: CallShape): number | undefined {
  return latency.find((row) => row.shape === shape && row.target === 'sidecar')?.addedP50?.median;
}

function body({ bodies }: Measured, mode: BodyMode, target: string): BodyFigures | undefined {
  return bodies.find((row) => row.mode === mode && row.target === target);
}

/** Speed as it would be were direct as fast as the bar supposes. */
function scaled(result: Measured, mode: BodyMode): number | undefined {
  const ours = body(result, mode, 'sidecar')?.mibPerSecond?.median;
  const direct = body(result, mode, 'direct')?.mibPerSecond?.median;
  if (ours === undefined || direct === undefined) return undefined;
  return ours * Math.max(1, DIRECT_MIB / direct);
}

function peak({ bodies }: Measured): number | undefined {
  const peaks = bodies.flatMap(({ peakMb }) => peakMb?.max ?? []);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}
