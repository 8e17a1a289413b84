import { spread } from '../harness/statistics.ts';
import { runToEnd, sshWords } from './client.ts';
import type { LatencyFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';
import { byTurns, failuresOf, figuresOf } from '../harness/turns.ts';

/** `ssh host true` by turns, after one that warms up. */
export async function measureLatency(stage: Stage, targets: readonly Target[]): Promise<LatencyFigures[]> {
  const { connections } = stage.options.sizes;
  stage.say(`ssh true, ${connections} connections each`);
  const once = (target: Target): Promise<number> => runToEnd(sshWords(stage.client, target, 'gcm', 'true'));
  for (const target of targets) await once(target);
  const turns = await byTurns(targets, connections, once);
  const medianOf = (name: string): number | undefined => spread(figuresOf(turns.get(name) ?? []))?.median;
  const direct = medianOf('direct');
  return targets.map(({ name }) => {
    const own = turns.get(name)!;
    const median = medianOf(name);
    const addedMs = name === 'direct' || median === undefined || direct === undefined ? undefined : median - direct;
    return { target: name, connections, ...failuresOf(own), ms: spread(figuresOf(own)), addedMs };
  });
}
