import { expect, it } from 'vitest';
import { Place, type Door } from './place.ts';

/** What one client does, and what must come of it: a value, or a check of it. Names are unique in a list. */
export type Case = readonly [name: string, run: (place: Place) => unknown, expected: unknown];

/** Direct and through the sidecar. */
export interface Doors {
  readonly direct: Door;
  readonly sidecar: Door;
}

export interface CompareOptions {
  /** Why an outcome through the sidecar is another one, and which. */
  readonly differences?: Readonly<Record<string, { readonly why: string; readonly outcome: unknown }>>;
  readonly seconds?: number;
}

/** Every case twice at the same time, each with a place of its own; the outcomes are compared case by case. */
export function compareCases(doors: () => Doors, cases: readonly Case[], options: CompareOptions = {}): void {
  const { differences = {}, seconds = 60 } = options;
  it('has a name of its own for each case, and differences of cases that exist', () => {
    const names = cases.map(([name]) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(Object.keys(differences)));
  });
  it.for(cases)('%s', { timeout: seconds * 1000 }, async ([name, run, expected]) => {
    const { direct, sidecar } = doors();
    const [first, second] = await Promise.all([outcome(direct, run), outcome(sidecar, run)]);
    expect(first, 'direct').toEqual(expected);
    expect(second, 'through the sidecar').toEqual(differences[name] === undefined ? first : differences[name].outcome);
  });
}

/** What comes of a case behind a door. */
export async function outcome(door: Door, run: (place: Place) => unknown): Promise<unknown> {
  const place = new Place(door);
  try {
    return await run(place);
  } finally {
    await place.close();
  }
}
