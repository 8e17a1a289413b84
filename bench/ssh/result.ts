import type { Bar } from '../harness/bars.ts';
import type { Machine } from '../harness/machine.ts';
import type { Spread } from '../harness/statistics.ts';
import type { Cipher } from './options.ts';

export type Way = 'down' | 'up';

/** All of one copy through one target. */
export interface CopyFigures {
  readonly cipher: Cipher;
  readonly way: Way;
  readonly target: string;
  readonly mib: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly mibPerSecond: Spread | undefined;
  /** Of the same round. */
  readonly overDirect: Spread | undefined;
  /** Of the sidecar, seconds of all its threads for a GiB. */
  readonly cpuSecondsPerGib: Spread | undefined;
  /** MB more than before the copy, at its peak. */
  readonly residentMore: Spread | undefined;
}

export interface LatencyFigures {
  readonly target: string;
  readonly connections: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  /** From the start of `ssh` to its end, in milliseconds. */
  readonly ms: Spread | undefined;
  /** Median less that of direct. */
  readonly addedMs: number | undefined;
}

export interface StoppedFigures {
  readonly target: string;
  readonly seconds: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  /** MB before the connection, and more than that at the peak. */
  readonly before: number | undefined;
  readonly more: number | undefined;
}

export interface AgentFigures {
  readonly target: string;
  readonly signatures: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly ms: Spread | undefined;
  readonly addedMs: number | undefined;
}

export interface SshResult {
  readonly machine: Machine & { readonly client: string };
  readonly pinned: string;
  readonly notes: readonly string[];
  readonly copies: readonly CopyFigures[];
  readonly latency: readonly LatencyFigures[];
  readonly stopped: readonly StoppedFigures[];
  readonly agent: readonly AgentFigures[];
  readonly failures: number;
  readonly bars: readonly Bar[];
}
