import { spread, type Spread } from '../harness/statistics.ts';
import { cpuSeconds } from '../harness/usage.ts';
import type { Load, Question } from '../http/messages.ts';
import { callRequest, CALL_SHAPES, type CallShape } from './requests.ts';
import type { CallFigures } from './result.ts';
import { inRounds } from './rounds.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

interface Row {
  readonly shape: CallShape;
  readonly connections: number;
  readonly target: Target;
}

interface Round extends Load {
  readonly cpuMicros: number | undefined;
}

/** Closed loop: as much as each target can take. */
export async function measureCalls(stage: Stage, targets: readonly Target[]): Promise<CallFigures[]> {
  const { connections, seconds, rounds } = stage.options.sizes;
  const rows = connections.flatMap((count) => rowsOf(targets, count));
  return measureRows(stage, rows, rounds, (row) => ({ do: 'closed', ...trafficOf(row), ms: seconds * 1000 }));
}

/** Open loop at a fixed rate, latency from the instant each request was due. */
export async function measureLatency(
  stage: Stage,
  targets: readonly Target[],
  perSecond: number,
): Promise<CallFigures[]> {
  const { rateConnections, seconds, rounds } = stage.options.sizes;
  const rows = rowsOf(targets, rateConnections);
  return measureRows(stage, rows, rounds, (row) => ({ do: 'open', ...trafficOf(row), perSecond, ms: seconds * 1000 }));
}

/**
 * Lets the targets compile their hot code before anything is counted. Returns the rate at which latency says something
 * on this machine: that of the options, or half of what the slowest target can take, since close to its end a queue is
 * measured. Throws where one fails.
 */
export async function warmUp(stage: Stage, targets: readonly Target[]): Promise<number> {
  const { warmSeconds, rateConnections, perSecond } = stage.options.sizes;
  let slowest = Infinity;
  for (const row of rowsOf(targets, rateConnections)) {
    stage.say(`warming up ${row.target.name}, ${row.shape}`);
    const question: Question = { do: 'closed', ...trafficOf(row), ms: warmSeconds * 1000 };
    const load = await stage.generator.ask<Load>(question);
    if (load.failures > 0) throw new Error(`${row.target.name}: ${load.failures} failed (${load.firstFailure})`);
    slowest = Math.min(slowest, load.perSecond);
  }
  return Math.max(1, Math.min(perSecond, Math.floor(slowest / 2)));
}

function rowsOf(targets: readonly Target[], connections: number): Row[] {
  return CALL_SHAPES.flatMap((shape) => targets.map((target) => ({ shape, connections, target })));
}

function trafficOf({ shape, connections, target }: Row) {
  return { port: target.port, connections, request: callRequest(target.port, shape) };
}

async function measureRows(
  stage: Stage,
  rows: readonly Row[],
  count: number,
  ask: (row: Row) => Question,
): Promise<CallFigures[]> {
  const rounds = await inRounds(rows, count, (row, at) => {
    stage.say(`${row.target.name}, ${row.shape}, ${row.connections} connections, round ${at + 1} of ${count}`);
    return measured(stage, row, ask(row));
  });
  const directOf = (row: Row): readonly Round[] | undefined =>
    rounds[
      rows.findIndex(
        ({ shape, connections, target }) =>
          target.name === 'direct' && shape === row.shape && connections === row.connections,
      )
    ];
  return rows.map((row, at) => figures(row, rounds[at]!, directOf(row)));
}

async function measured(stage: Stage, { target }: Row, question: Question): Promise<Round> {
  const pids = target.pids();
  const before = cpuSeconds(pids);
  const load = await stage.generator.ask<Load>(question);
  const used = before === undefined || pids.length === 0 ? undefined : cpuSeconds(pids)! - before;
  return { ...load, cpuMicros: used === undefined ? undefined : (used * 1e6) / load.exchanges };
}

function figures(
  { shape, connections, target }: Row,
  rounds: readonly Round[],
  direct: readonly Round[] | undefined,
): CallFigures {
  const over = (pick: (round: Round) => number | undefined): Spread | undefined => spread(rounds.map(pick));
  const added = (pick: (round: Round) => number): Spread | undefined =>
    direct === undefined || direct === rounds
      ? undefined
      : spread(rounds.map((round, at) => pick(round) - pick(direct[at]!)));
  return {
    ...{ shape, connections, target: target.name },
    exchanges: rounds.reduce((sum, { exchanges }) => sum + exchanges, 0),
    failures: rounds.reduce((sum, { failures }) => sum + failures, 0),
    firstFailure: rounds.find(({ firstFailure }) => firstFailure !== undefined)?.firstFailure,
    perSecond: over(({ perSecond }) => perSecond),
    p50: over(({ p50 }) => p50),
    p99: over(({ p99 }) => p99),
    addedP50: added(({ p50 }) => p50),
    addedP99: added(({ p99 }) => p99),
    cpuMicros: over(({ cpuMicros }) => cpuMicros),
  };
}
