import type { Bar } from '../harness/bars.ts';
import type { Machine } from '../harness/machine.ts';
import type { Spread } from '../harness/statistics.ts';

/** Phases in which one thing is done many times. */
export type Kind = 'latency' | 'messages' | 'requests' | 'streams' | 'handshakes';

/** All of one kind through one target. */
export interface LoadFigures {
  readonly kind: Kind;
  readonly target: string;
  readonly exchanges: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly perSecond: Spread | undefined;
  /** Milliseconds. */
  readonly p50: Spread | undefined;
  readonly p99: Spread | undefined;
  /** Over direct of the same round. */
  readonly addedP50: Spread | undefined;
  readonly addedP99: Spread | undefined;
  /** Of the target's processes for one of them. */
  readonly cpuMicros: Spread | undefined;
}

export type Way = 'up' | 'down';

export interface BodyFigures {
  readonly target: string;
  readonly way: Way;
  readonly mib: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly mbPerSecond: Spread | undefined;
  /** Of the same round. */
  readonly overDirect: Spread | undefined;
  readonly cpuSecondsPerGib: Spread | undefined;
  /** MB more than before, at its peak. */
  readonly residentMore: Spread | undefined;
}

/** Milliseconds. */
export interface LeafFigures {
  readonly names: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuMicros: number;
}

export interface EgressResult {
  readonly machine: Machine;
  readonly pinned: string;
  readonly notes: readonly string[];
  readonly loads: readonly LoadFigures[];
  readonly bodies: readonly BodyFigures[];
  readonly leaves: LeafFigures | undefined;
  readonly failures: number;
  readonly bars: readonly Bar[];
}
