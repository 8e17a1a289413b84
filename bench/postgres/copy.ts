import { spread, type Spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import { psql } from './clients.ts';
import { interleaved, overTarget } from './interleaved.ts';
import type { Transport } from './options.ts';
import type { CopyFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

interface Round {
  readonly mbPerSecond: number | undefined;
  readonly cpuSeconds: number | undefined;
  readonly residentMore: number | undefined;
  readonly failure: string | undefined;
}

/** COPY of the whole table one way through every target, interleaved. */
export async function measureCopies(
  stage: Stage,
  transport: Transport,
  way: 'out' | 'in',
  targets: readonly Target[],
): Promise<CopyFigures[]> {
  const { copyRounds } = stage.options.sizes;
  const rounds = await interleaved(targets, copyRounds, async (target, at) => {
    stage.say(`copy ${way} ${transport}, round ${at + 1} of ${copyRounds}: ${target.name}`);
    if (way === 'in') await psql(stage.client, stage.direct('plain'), ['TRUNCATE copy_target', 'CHECKPOINT']);
    return measured(stage, target, way);
  });
  return targets.map(({ name }) => {
    const own = rounds.get(name)!;
    const over = (pick: (round: Round) => number | undefined): Spread | undefined => spread(own.map(pick));
    return {
      transport,
      way,
      target: name,
      bytes: stage.rows.bytes,
      failures: own.filter(({ failure }) => failure !== undefined).length,
      firstFailure: own.find(({ failure }) => failure !== undefined)?.failure,
      mbPerSecond: over(({ mbPerSecond }) => mbPerSecond),
      cpuSeconds: over((round) => round.cpuSeconds),
      residentMore: over(({ residentMore }) => residentMore),
      overDirect: overTarget(rounds, name, 'direct', ({ mbPerSecond }) => mbPerSecond),
    };
  });
}

async function measured(stage: Stage, target: Target, way: 'out' | 'in'): Promise<Round> {
  const { file, bytes } = stage.rows;
  const command =
    way === 'out' ? String.raw`\copy copy_rows TO '/dev/null'` : String.raw`\copy copy_target FROM '${file}'`;
  const pids = target.pids();
  forgetPeak(pids);
  const [resident, cpu] = [residentMb(pids), cpuSeconds(pids)];
  const begun = performance.now();
  try {
    await psql(stage.client, target, [command]);
  } catch (error) {
    const failure = (error as Error).message;
    return { mbPerSecond: undefined, cpuSeconds: undefined, residentMore: undefined, failure };
  }
  const seconds = (performance.now() - begun) / 1000;
  const failure = way === 'in' ? await missingRows(stage) : undefined;
  const counted = pids.length > 0 && cpu !== undefined;
  return {
    mbPerSecond: bytes / 1e6 / seconds,
    cpuSeconds: counted ? cpuSeconds(pids)! - cpu : undefined,
    residentMore: counted ? peakMb(pids)! - resident! : undefined,
    failure,
  };
}

/** Undefined where every row arrived. */
async function missingRows(stage: Stage): Promise<string | undefined> {
  const counts = 'SELECT (SELECT count(*) FROM copy_rows) - (SELECT count(*) FROM copy_target)';
  const missing = (await psql(stage.client, stage.direct('plain'), [counts])).trim();
  return missing === '0' ? undefined : `${missing} rows are missing`;
}
