import { setTimeout as pause } from 'node:timers/promises';
import { spread, type Spread } from '../harness/statistics.ts';
import type { Target } from './target.ts';

/** Rounds by the name of their target. */
export type Rounds<Round> = ReadonlyMap<string, readonly Round[]>;

const BETWEEN_MS = 200;

/** One round takes every target in turn, so that what else the machine does falls on all of them. */
export async function interleaved<Round>(
  targets: readonly Target[],
  count: number,
  measure: (target: Target, at: number) => Promise<Round>,
): Promise<Rounds<Round>> {
  const rounds = new Map<string, Round[]>(targets.map(({ name }) => [name, []]));
  for (let at = 0; at < count; at += 1) {
    // Every second round backwards: a drift of the machine then favours nobody.
    for (const target of at % 2 === 0 ? targets : targets.toReversed()) {
      rounds.get(target.name)!.push(await measure(target, at));
      await pause(BETWEEN_MS);
    }
  }
  return rounds;
}

/** A figure over that of another target in the same round. Undefined for that target itself and where it was not run. */
export function overTarget<Round>(
  rounds: Rounds<Round>,
  name: string,
  base: string,
  pick: (round: Round) => number | undefined,
): Spread | undefined {
  const own = rounds.get(name);
  const other = rounds.get(base);
  if (own === undefined || other === undefined || name === base) return undefined;
  return spread(
    own.map((round, at) => {
      const [ours, theirs] = [pick(round), pick(other[at]!)];
      return ours === undefined || theirs === undefined ? undefined : ours / theirs;
    }),
  );
}
