import { spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import type { Move, Moved } from './mover.ts';
import { MIB } from './options.ts';
import { BODY_MODES, transferOf, type BodyMode } from './requests.ts';
import type { BodyFigures } from './result.ts';
import { inRounds } from './rounds.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

interface Row {
  readonly mode: BodyMode;
  readonly target: Target;
}

interface Round {
  /** Undefined where it failed. */
  readonly mibPerSecond: number | undefined;
  readonly cpuSecondsPerGib: number | undefined;
  readonly peakMb: number | undefined;
  readonly residentMore: number | undefined;
  readonly failure: string | undefined;
}

/** One large body at a time, in each mode through every target. */
export async function measureBodies(stage: Stage, targets: readonly Target[]): Promise<BodyFigures[]> {
  const { bodyBytes, bodyRounds } = stage.options.sizes;
  const rows = BODY_MODES.flatMap((mode) => targets.map((target): Row => ({ mode, target })));
  const rounds = await inRounds(rows, bodyRounds, (row, at) => {
    stage.say(`${row.target.name}, body ${row.mode}, round ${at + 1} of ${bodyRounds}`);
    return measured(stage, row, bodyBytes);
  });
  return rows.map(({ mode, target }, at) => {
    const own = rounds[at]!;
    const direct = rounds[rows.findIndex((row) => row.mode === mode && row.target.name === 'direct')]!;
    return {
      ...{ mode, target: target.name, bytes: bodyBytes },
      failures: own.filter(({ failure }) => failure !== undefined).length,
      firstFailure: own.find(({ failure }) => failure !== undefined)?.failure,
      mibPerSecond: spread(own.map(({ mibPerSecond }) => mibPerSecond)),
      overDirect: target.name === 'direct' ? undefined : spread(own.map((round, n) => ratio(round, direct[n]!))),
      cpuSecondsPerGib: spread(own.map(({ cpuSecondsPerGib }) => cpuSecondsPerGib)),
      peakMb: spread(own.map((round) => round.peakMb)),
      residentMore: spread(own.map(({ residentMore }) => residentMore)),
    };
  });
}

function ratio({ mibPerSecond: ours }: Round, { mibPerSecond: theirs }: Round): number | undefined {
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

async function measured(stage: Stage, { mode, target }: Row, bytes: number): Promise<Round> {
  const pids = target.pids();
  const measurable = pids.length > 0;
  forgetPeak(pids);
  const resident = residentMb(pids);
  const cpu = cpuSeconds(pids);
  const { seconds, failure } = await transfer(stage, target.bodyPort(mode), mode, bytes);
  const used = measurable && cpu !== undefined ? cpuSeconds(pids)! - cpu : undefined;
  return {
    mibPerSecond: failure === undefined ? bytes / MIB / seconds : undefined,
    cpuSecondsPerGib: used === undefined ? undefined : used / (bytes / (1024 * MIB)),
    peakMb: measurable ? peakMb(pids) : undefined,
    residentMore: measurable && resident !== undefined ? peakMb(pids)! - resident : undefined,
    failure,
  };
}

/** Moves one body; whatever is not a whole success is told, not thrown. */
async function transfer(
  stage: Stage,
  port: number,
  mode: BodyMode,
  bytes: number,
): Promise<{ readonly seconds: number; readonly failure: string | undefined }> {
  const question: Move = { port, ...transferOf(port, mode, bytes) };
  try {
    const { seconds, status, bodyBytes } = await stage.mover.ask<Moved>(question);
    if (status !== 200) return { seconds, failure: `status ${status}` };
    const whole = mode !== 'get' || bodyBytes === bytes;
    return { seconds, failure: whole ? undefined : `${bodyBytes} bytes arrived` };
  } catch (error) {
    return { seconds: 0, failure: (error as Error).message };
  }
}
