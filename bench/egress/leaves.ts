import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openInterception } from '../../src/certificate/interception.ts';
import { percentile } from '../harness/statistics.ts';
import type { LeafFigures } from './result.ts';

/** Issues certificates, each for another name, in a process of its own: nothing else of a sidecar runs here. */

const WARM_NAMES = 50;

async function issue(names: number): Promise<LeafFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'secretless-bench-leaves-'));
  try {
    const interception = await openInterception({ store: 'memory', folder, names: [] });
    for (let at = 0; at < WARM_NAMES; at += 1) await interception.contextFor(`warm-${at}.bench.test`);
    const times = new Float64Array(names);
    const before = process.cpuUsage();
    for (let at = 0; at < names; at += 1) {
      const begun = performance.now();
      await interception.contextFor(`name-${at}.bench.test`);
      times[at] = performance.now() - begun;
    }
    const { user, system } = process.cpuUsage(before);
    times.sort();
    return { names, p50: percentile(times, 0.5), p99: percentile(times, 0.99), cpuMicros: (user + system) / names };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

process.on('message', ({ names }: { readonly names: number }) => {
  issue(names).then(
    (figures) => process.send!(figures),
    (error: unknown) => process.send!({ failed: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
