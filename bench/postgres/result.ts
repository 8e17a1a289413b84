import type { Bar } from '../harness/bars.ts';
import type { Machine } from '../harness/machine.ts';
import type { Spread } from '../harness/statistics.ts';
import type { Transport } from './options.ts';

/** What the bench found; `--json` prints it as is. Missing: not measured, or the system does not tell. */
export interface PostgresResult {
  readonly machine: Machine & { readonly server: string };
  readonly pinned: string;
  readonly notes: readonly string[];
  readonly transactions: readonly TransactionFigures[];
  readonly copies: readonly CopyFigures[];
  readonly idle: readonly IdleFigures[];
  readonly churn: readonly ChurnFigures[];
  readonly bars: readonly Bar[];
  /** Runs of clients and connections that failed, over all that was measured. */
  readonly failures: number;
}

export type Load = 'select' | 'select8' | 'tpcb' | 'connect';

export interface TransactionFigures {
  readonly transport: Transport;
  readonly load: Load;
  readonly target: string;
  readonly transactions: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  readonly perSecond: Spread | undefined;
  /** Mean of a round, milliseconds. */
  readonly latencyMs: Spread | undefined;
  /** Of the proxy. */
  readonly cpuMicros: Spread | undefined;
  /** Transactions a second over those of another target in the same round. */
  readonly overDirect: Spread | undefined;
  readonly overPgbouncer: Spread | undefined;
}

export interface CopyFigures {
  readonly transport: Transport;
  readonly way: 'out' | 'in';
  readonly target: string;
  readonly bytes: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
  /** MB (10^6 bytes) a second. */
  readonly mbPerSecond: Spread | undefined;
  /** Of the proxy, seconds for all of it. */
  readonly cpuSeconds: Spread | undefined;
  /** MB more than before the transfer at its peak. */
  readonly residentMore: Spread | undefined;
  readonly overDirect: Spread | undefined;
}

export interface IdleFigures {
  readonly transport: Transport;
  readonly target: string;
  readonly connections: number;
  readonly failures: number;
  /** MB. */
  readonly before: number | undefined;
  readonly more: number | undefined;
}

/** Of a proxy, before and after many connections one after another. */
export interface ChurnFigures {
  readonly transport: Transport;
  readonly target: string;
  readonly connections: number;
  readonly failures: number;
  readonly perSecond: number;
  /** MB. */
  readonly residentBefore: number | undefined;
  readonly residentAfter: number | undefined;
  readonly filesBefore: number | undefined;
  readonly filesAfter: number | undefined;
}
