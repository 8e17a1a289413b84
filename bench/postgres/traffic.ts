import { spread, type Spread } from '../harness/statistics.ts';
import { cpuSeconds } from '../harness/usage.ts';
import { pgbench, type PgbenchRun } from './clients.ts';
import { interleaved, overTarget } from './interleaved.ts';
import type { Transport } from './options.ts';
import type { Load, TransactionFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

interface Round extends PgbenchRun {
  readonly cpuMicros: number | undefined;
  readonly failure: string | undefined;
}

/** One kind of load against every target, interleaved. */
export async function measureTransactions(
  stage: Stage,
  transport: Transport,
  load: Load,
  targets: readonly Target[],
): Promise<TransactionFigures[]> {
  const rounds = await interleaved(targets, stage.options.sizes.rounds, (target, at) => {
    stage.say(`${load} ${transport}, round ${at + 1} of ${stage.options.sizes.rounds}: ${target.name}`);
    return measured(stage, target, load);
  });
  return targets.map((target) => {
    const own = rounds.get(target.name)!;
    const perSecond = (round: Round): number | undefined => (round.failure === undefined ? round.perSecond : undefined);
    const over = (pick: (round: Round) => number | undefined): Spread | undefined => spread(own.map(pick));
    return {
      transport,
      load,
      target: target.name,
      transactions: own.reduce((sum, { transactions }) => sum + transactions, 0),
      failures: own.filter(({ failure }) => failure !== undefined).length,
      firstFailure: own.find(({ failure }) => failure !== undefined)?.failure,
      perSecond: over(perSecond),
      latencyMs: over((round) => (round.failure === undefined ? round.latencyMs : undefined)),
      cpuMicros: over(({ cpuMicros }) => cpuMicros),
      overDirect: overTarget(rounds, target.name, 'direct', perSecond),
      overPgbouncer: overTarget(rounds, target.name, 'pgbouncer', perSecond),
    };
  });
}

async function measured(stage: Stage, target: Target, load: Load): Promise<Round> {
  const pids = target.pids();
  const before = cpuSeconds(pids);
  let run: PgbenchRun;
  try {
    run = await pgbench(stage.client, target, load, stage.options.sizes.length);
  } catch (error) {
    const failure = (error as Error).message;
    return { transactions: 0, perSecond: 0, latencyMs: 0, cpuMicros: undefined, failure };
  }
  const used = before === undefined || pids.length === 0 ? undefined : cpuSeconds(pids)! - before;
  return { ...run, cpuMicros: used === undefined ? undefined : (used * 1e6) / run.transactions, failure: undefined };
}

/** Lets every target compile its hot code and fill its caches before anything is counted. Throws where one fails. */
export async function warmUp(stage: Stage, transport: Transport, targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    stage.say(`warming up ${target.name}, ${transport}`);
    await pgbench(stage.client, target, 'select8', stage.options.sizes.warm);
    await pgbench(stage.client, target, 'connect', stage.options.sizes.warm);
  }
}
