import { setTimeout as pause } from 'node:timers/promises';
import { spread, type Spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb } from '../harness/usage.ts';
import type { Load, Question } from './messages.ts';
import type { TargetFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

interface Round extends Load {
  readonly cpuMicros: number | undefined;
  readonly residentMb: number | undefined;
}

const BETWEEN_MS = 200;

/** Closed loop: as much as each target can take. */
export function measureThroughput(stage: Stage, targets: readonly Target[]): Promise<TargetFigures[]> {
  const { connections, seconds } = stage.options.sizes;
  return interleaved(stage, targets, { do: 'closed', connections, ms: seconds * 1000 });
}

/** Open loop at a fixed rate, latency from the instant each request was due. */
export function measureLatency(stage: Stage, targets: readonly Target[]): Promise<TargetFigures[]> {
  const { connections, seconds, perSecond } = stage.options.sizes;
  return interleaved(stage, targets, { do: 'open', connections, perSecond, ms: seconds * 1000 });
}

type Shape =
  | { readonly do: 'closed'; readonly connections: number; readonly ms: number }
  | { readonly do: 'open'; readonly connections: number; readonly ms: number; readonly perSecond: number };

/** One round takes every target in turn, so that what else the machine does falls on all of them. */
async function interleaved(stage: Stage, targets: readonly Target[], shape: Shape): Promise<TargetFigures[]> {
  const { rounds: count } = stage.options.sizes;
  const rounds = new Map<Target, Round[]>(targets.map((target) => [target, []]));
  for (let at = 0; at < count; at += 1) {
    stage.say(`${shape.do} loop, round ${at + 1} of ${count}`);
    // Every second round backwards: a drift of the machine then favours nobody.
    for (const target of at % 2 === 0 ? targets : targets.toReversed()) {
      rounds.get(target)!.push(await measured(stage, target, shape));
      await pause(BETWEEN_MS);
    }
  }
  const direct = rounds.get(stage.direct);
  return targets.map((target) => figures(target, rounds.get(target)!, direct));
}

async function measured(stage: Stage, target: Target, shape: Shape): Promise<Round> {
  const question: Question = { ...shape, port: target.port, request: stage.itemRequest(target) };
  const pids = target.pids();
  forgetPeak(pids);
  const before = cpuSeconds(pids);
  const load = await stage.generator.ask<Load>(question);
  const used = before === undefined || pids.length === 0 ? undefined : cpuSeconds(pids)! - before;
  return {
    ...load,
    cpuMicros: used === undefined ? undefined : (used * 1e6) / load.exchanges,
    residentMb: pids.length === 0 ? undefined : peakMb(pids),
  };
}

/** Lets every target compile its hot code before anything is counted. */
export async function warmUp(stage: Stage, targets: readonly Target[]): Promise<void> {
  const { connections, warmSeconds } = stage.options.sizes;
  for (const target of targets) {
    stage.say(`warming up ${target.name}`);
    const load = await stage.generator.ask<Load>({
      do: 'closed',
      connections,
      ms: warmSeconds * 1000,
      port: target.port,
      request: stage.itemRequest(target),
    } satisfies Question);
    if (load.failures > 0)
      throw new Error(`${target.name}: ${load.failures} of ${load.exchanges} failed (${load.firstFailure})`);
  }
}

function figures(target: Target, rounds: readonly Round[], direct: readonly Round[] | undefined): TargetFigures {
  const over = (pick: (round: Round) => number | undefined): Spread | undefined => spread(rounds.map(pick));
  const added = (pick: (round: Round) => number): Spread | undefined =>
    direct === undefined || direct === rounds
      ? undefined
      : spread(rounds.map((round, at) => pick(round) - pick(direct[at]!)));
  return {
    target: target.name,
    exchanges: rounds.reduce((sum, { exchanges }) => sum + exchanges, 0),
    failures: rounds.reduce((sum, { failures }) => sum + failures, 0),
    perSecond: over((round) => round.perSecond),
    p50: over((round) => round.p50),
    p99: over((round) => round.p99),
    addedP50: added((round) => round.p50),
    addedP99: added((round) => round.p99),
    cpuMicros: over((round) => round.cpuMicros),
    residentMb: over((round) => round.residentMb),
  };
}
