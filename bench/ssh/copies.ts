import { spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import { runToEnd, sshWords } from './client.ts';
import { MIB, type Cipher } from './options.ts';
import type { CopyFigures, Way } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';
import { byTurns, failuresOf, figuresOf } from '../harness/turns.ts';

interface Copy {
  readonly mibPerSecond: number;
  readonly cpuSecondsPerGib: number | undefined;
  readonly residentMore: number | undefined;
}

/** Moves zeros one way through every target, interleaved. */
export async function measureCopies(
  stage: Stage,
  cipher: Cipher,
  way: Way,
  targets: readonly Target[],
): Promise<CopyFigures[]> {
  const { copyMib: mib, rounds } = stage.options.sizes;
  const turns = await byTurns(targets, rounds, (target, round) => {
    stage.say(`${cipher} ${way}, round ${round + 1} of ${rounds}: ${target.name}`);
    return copy(stage, cipher, way, target);
  });
  const direct = figuresOf(turns.get('direct') ?? []);
  return targets.map(({ name }) => {
    const own = turns.get(name)!;
    const figures = figuresOf(own);
    const ratios = figures.map((figure, at) => {
      const base = direct[at]?.mibPerSecond;
      return name === 'direct' || figure === undefined || base === undefined ? undefined : figure.mibPerSecond / base;
    });
    return {
      ...{ cipher, way, target: name, mib, ...failuresOf(own) },
      mibPerSecond: spread(figures.map((figure) => figure?.mibPerSecond)),
      overDirect: spread(ratios),
      cpuSecondsPerGib: spread(figures.map((figure) => figure?.cpuSecondsPerGib)),
      residentMore: spread(figures.map((figure) => figure?.residentMore)),
    };
  });
}

async function copy({ options, client }: Stage, cipher: Cipher, way: Way, target: Target): Promise<Copy> {
  const { copyMib: mib } = options.sizes;
  const bytes = mib * MIB;
  // The far end counts, so that a copy cut short is none.
  const remote =
    way === 'down' ? `head -c ${bytes} /dev/zero` : `test "$(head -c ${bytes} | wc -c)" = ${bytes} && ! read -r x`;
  const source = way === 'up' ? [...client.cpus.prefix, 'head', '-c', String(bytes), '/dev/zero'] : undefined;
  const pids = target.pids();
  forgetPeak(pids);
  const [resident, cpu] = [residentMb(pids), cpuSeconds(pids)];
  const seconds = (await runToEnd(sshWords(client, target, cipher, remote), source)) / 1000;
  const counted = pids.length > 0 && cpu !== undefined;
  return {
    mibPerSecond: mib / seconds,
    cpuSecondsPerGib: counted ? ((cpuSeconds(pids)! - cpu) * 1024) / mib : undefined,
    residentMore: counted ? peakMb(pids)! - resident! : undefined,
  };
}
