import { percentile } from '../harness/statistics.ts';
import type { Load } from './messages.ts';

/** Does one thing again and again for `ms` milliseconds, so many at a time, and counts. */
export async function tallied(atOnce: number, ms: number, act: () => Promise<void>): Promise<Load> {
  const times: number[] = [];
  let [inTime, failures] = [0, 0];
  let firstFailure: string | undefined;
  const until = performance.now() + ms;
  const keepOn = async (): Promise<void> => {
    do {
      const begun = performance.now();
      try {
        await act();
        const now = performance.now();
        times.push(now - begun);
        if (now <= until) inTime += 1;
      } catch (error) {
        failures += 1;
        firstFailure ??= (error as Error).message;
      }
    } while (performance.now() < until);
  };
  await Promise.all(Array.from({ length: atOnce }, keepOn));
  return loadOf(times, inTime / (ms / 1000), failures, firstFailure);
}

export function loadOf(
  times: readonly number[],
  perSecond: number,
  failures: number,
  firstFailure: string | undefined,
): Load {
  const sorted = Float64Array.from(times).sort();
  const exchanges = times.length + failures;
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  return { perSecond, exchanges, failures, firstFailure, p50, p99, late: 0 };
}
