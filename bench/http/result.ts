import type { Bar } from '../harness/bars.ts';
import type { Machine } from '../harness/machine.ts';
import type { Spread } from '../harness/statistics.ts';

/** What the bench found; `--json` prints it as is. Missing: not measured, or the system does not tell. */
export interface HttpResult {
  readonly machine: Machine;
  readonly pinned: string;
  readonly notes: readonly string[];
  readonly throughput?: readonly TargetFigures[];
  readonly latency?: readonly TargetFigures[];
  readonly start?: StartFigures;
  readonly idle?: IdleFigures;
  readonly body?: readonly BodyFigures[];
  readonly bars: readonly Bar[];
  /** Exchanges that failed, over all that was measured. */
  readonly failures: number;
}

export interface TargetFigures {
  readonly target: string;
  readonly exchanges: number;
  readonly failures: number;
  readonly perSecond: Spread | undefined;
  /** Milliseconds. */
  readonly p50: Spread | undefined;
  readonly p99: Spread | undefined;
  /** Over direct in the same round, milliseconds. */
  readonly addedP50: Spread | undefined;
  readonly addedP99: Spread | undefined;
  readonly cpuMicros: Spread | undefined;
  /** Peak resident MB of a round. */
  readonly residentMb: Spread | undefined;
}

export interface StartFigures {
  /** Milliseconds. */
  readonly ready: Spread | undefined;
  /** Of an empty program on the same Node, for comparison. */
  readonly bareNode: Spread | undefined;
}

/** MB. */
export interface IdleFigures {
  readonly resident: number | undefined;
  readonly connections: number;
  readonly failures: number;
  /** More than before, with connections that never sent a byte. */
  readonly silentMore: number | undefined;
  /** More than before, with connections kept after one exchange each. */
  readonly keptMore: number | undefined;
}

export interface BodyFigures {
  readonly target: string;
  readonly way: 'up' | 'down';
  readonly bytes: number;
  readonly failures: number;
  /** MB (10^6 bytes) a second. */
  readonly mbPerSecond: Spread | undefined;
  readonly cpuSeconds: Spread | undefined;
  /** MB more than before the transfer at its peak. */
  readonly residentMore: Spread | undefined;
}
