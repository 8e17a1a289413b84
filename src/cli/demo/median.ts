const ROUNDS = 40;

/** Median of as many rounds as the demo takes, in milliseconds. */
export async function medianMs(once: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const begun = performance.now();
    await once();
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  return times[ROUNDS / 2]!;
}
