import { setTimeout as pause } from 'node:timers/promises';

const BETWEEN_MS = 100;

/** What came of one turn. */
export type Turn<Figure> = { readonly figure: Figure } | { readonly failure: string };

/** One round takes every target in turn, and every second round goes backwards: a drift of the machine favours nobody. */
export async function byTurns<Target extends { readonly name: string }, Figure>(
  targets: readonly Target[],
  rounds: number,
  measure: (target: Target, round: number) => Promise<Figure>,
): Promise<ReadonlyMap<string, readonly Turn<Figure>[]>> {
  const turns = new Map<string, Turn<Figure>[]>(targets.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
      const turn = await measure(target, round).then(
        (figure) => ({ figure }),
        (error: unknown) => ({ failure: (error as Error).message }),
      );
      turns.get(target.name)!.push(turn);
      await pause(BETWEEN_MS);
    }
  }
  return turns;
}

export function figuresOf<Figure>(turns: readonly Turn<Figure>[]): (Figure | undefined)[] {
  return turns.map((turn) => ('figure' in turn ? turn.figure : undefined));
}

export function failuresOf(turns: readonly Turn<unknown>[]): {
  readonly failures: number;
  readonly firstFailure: string | undefined;
} {
  const failed = turns.flatMap((turn) => ('failure' in turn ? [turn.failure] : []));
  return { failures: failed.length, firstFailure: failed[0] };
}
