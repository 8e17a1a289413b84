import { expect, it } from 'vitest';
import type { Case, Closable, Differences, Door, Doors } from './case.ts';

/** Every case twice at the same time, each with a place of its own; the outcomes are compared case by case. */
export function compareCases<Place extends Closable>(
  doors: () => Doors,
  open: (door: Door) => Place,
  cases: readonly Case<Place>[],
  differences: Differences = {},
): void {
  it('has a name of its own for each case, and differences of cases that exist', () => {
    const names = cases.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(Object.keys(differences)));
  });
  it.for(cases)('%s', async ([name, run, expected]) => {
    const { direct, sidecar } = doors();
    const [first, second] = await Promise.all([outcome(open(direct), run), outcome(open(sidecar), run)]);
    expect(first, 'direct').toEqual(expected);
    expect(second, 'through the sidecar').toEqual(differences[name] === undefined ? first : differences[name].outcome);
  });
}

async function outcome<Place extends Closable>(place: Place, run: (place: Place) => unknown): Promise<unknown> {
  try {
    return await run(place);
  } finally {
    await place.close();
  }
}
