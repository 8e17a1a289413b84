import { spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import { byTurns, failuresOf, figuresOf } from '../harness/turns.ts';
import type { BodyTransfer, Question } from './messages.ts';
import { MIB } from './options.ts';
import type { BodyFigures, Way } from './result.ts';
import type { Stage } from './stage.ts';
import { DIRECT, requestTo, type Target } from './target.ts';

interface Transfer {
  readonly mbPerSecond: number;
  readonly cpuSecondsPerGib: number | undefined;
  readonly residentMore: number | undefined;
}

/** One large body at a time one way through every target, in turns. */
export async function measureBodies(stage: Stage, way: Way, targets: readonly Target[]): Promise<BodyFigures[]> {
  const { bodyMib: mib, rounds } = stage.options.sizes;
  const turns = await byTurns(targets, rounds, (target, round) => {
    stage.say(`${mib} MiB ${way}, round ${round + 1} of ${rounds}: ${target.name}`);
    return transfer(stage, target, way);
  });
  const direct = figuresOf(turns.get(DIRECT) ?? []);
  return targets.map(({ name }) => {
    const own = turns.get(name)!;
    const figures = figuresOf(own);
    const ratios = figures.map((figure, at) => {
      const base = direct[at]?.mbPerSecond;
      return name === DIRECT || figure === undefined || base === undefined ? undefined : figure.mbPerSecond / base;
    });
    return {
      ...{ target: name, way, mib, ...failuresOf(own) },
      mbPerSecond: spread(figures.map((figure) => figure?.mbPerSecond)),
      overDirect: spread(ratios),
      cpuSecondsPerGib: spread(figures.map((figure) => figure?.cpuSecondsPerGib)),
      residentMore: spread(figures.map((figure) => figure?.residentMore)),
    };
  });
}

async function transfer(stage: Stage, target: Target, way: Way): Promise<Transfer> {
  const { bodyMib: mib } = stage.options.sizes;
  const pids = target.pids();
  const counts = pids.length > 0;
  forgetPeak(pids);
  const [resident, cpu] = [residentMb(pids), cpuSeconds(pids)];
  const { seconds, status, bodyBytes } = await stage.generator.ask<BodyTransfer>(questionOf(stage, target, way));
  if (status !== 200) throw new Error(`status ${status}`);
  if (way === 'down' && bodyBytes !== mib * MIB) throw new Error(`${bodyBytes} bytes arrived`);
  return {
    mbPerSecond: (mib * MIB) / 1e6 / seconds,
    cpuSecondsPerGib: counts && cpu !== undefined ? ((cpuSeconds(pids)! - cpu) * 1024) / mib : undefined,
    residentMore: counts && resident !== undefined ? peakMb(pids)! - resident : undefined,
  };
}

/** The upstream answers with an error where fewer bytes came than were announced. */
function questionOf({ token, options }: Stage, target: Target, way: Way): Question {
  const bytes = options.sizes.bodyMib * MIB;
  const { route } = target;
  switch (way) {
    case 'up': {
      const fields = ['Content-Type: application/octet-stream', `Content-Length: ${bytes}`];
      return { do: 'body', route, head: requestTo(target, token, 'POST /v1/sink', fields), uploadBytes: bytes };
    }
    case 'down':
      return { do: 'body', route, head: requestTo(target, token, `GET /v1/body?bytes=${bytes}`), uploadBytes: 0 };
    default:
      return way satisfies never;
  }
}
