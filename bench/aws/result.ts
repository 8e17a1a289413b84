import type { Bar } from '../harness/bars.ts';
import type { Machine } from '../harness/machine.ts';
import type { Spread } from '../harness/statistics.ts';
import type { CallShape, BodyMode } from './requests.ts';

/** What the bench found; `--json` prints it as is. Missing: not measured, or the system does not tell. */
export interface AwsResult {
  readonly machine: Machine;
  readonly pinned: string;
  readonly notes: readonly string[];
  readonly proven: readonly Proven[];
  readonly signer: readonly SignerFigures[];
  readonly calls: readonly CallFigures[];
  /** Of `latency`; missing where it did not run. */
  readonly ratePerSecond?: number;
  readonly latency: readonly CallFigures[];
  readonly bodies: readonly BodyFigures[];
  readonly bars: readonly Bar[];
  /** Exchanges that failed, over all that was measured. */
  readonly failures: number;
}

/** One request of each shape, sent through a sidecar to a server that verifies what arrives. */
export interface Proven {
  readonly shape: CallShape | BodyMode;
  readonly status: number;
}

export interface SignerFigures {
  readonly name: string;
  /** Microseconds each. */
  readonly micros: Spread | undefined;
}

export interface CallFigures {
  readonly shape: CallShape;
  readonly connections: number;
  readonly target: string;
  readonly exchanges: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly perSecond: Spread | undefined;
  /** Milliseconds. */
  readonly p50: Spread | undefined;
  readonly p99: Spread | undefined;
  /** Over direct in the same round, milliseconds. */
  readonly addedP50: Spread | undefined;
  readonly addedP99: Spread | undefined;
  /** Of the sidecar. */
  readonly cpuMicros: Spread | undefined;
}

export interface BodyFigures {
  readonly mode: BodyMode;
  readonly target: string;
  readonly bytes: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly mibPerSecond: Spread | undefined;
  /** Speed over that of direct in the same round. */
  readonly overDirect: Spread | undefined;
  /** Of the sidecar, for each GiB. */
  readonly cpuSecondsPerGib: Spread | undefined;
  /** MB at the peak, and how much of it was not there before. */
  readonly peakMb: Spread | undefined;
  readonly residentMore: Spread | undefined;
}
