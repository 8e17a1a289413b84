import { setTimeout as pause } from 'node:timers/promises';

const BETWEEN_MS = 200;

/**
 * Every row once in each round, so that what else the machine does falls on all of them. Returns the rounds of each
 * row, in its order.
 */
export async function inRounds<Row, Round>(
  rows: readonly Row[],
  count: number,
  measure: (row: Row, round: number) => Promise<Round>,
): Promise<Round[][]> {
  const rounds: Round[][] = rows.map(() => []);
  for (let round = 0; round < count; round += 1) {
    const order = rows.map((_, at) => at);
    // Every second round backwards: a drift of the machine then favours nobody.
    for (const at of round % 2 === 0 ? order : order.toReversed()) {
      rounds[at]!.push(await measure(rows[at]!, round));
      await pause(BETWEEN_MS);
    }
  }
  return rounds;
}
