import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Processors that one process may use. */
export interface CpuSet {
  /** Words before a command that pin it; none where nothing is pinned. */
  readonly prefix: readonly string[];
}

export interface Placement {
  readonly load: CpuSet;
  readonly upstream: CpuSet;
  readonly proxy: CpuSet;
  /** One sentence for the reader. */
  readonly words: string;
}

/** Puts load, upstream and the proxy under test apart, as far as the processors of this process allow. */
export function placeProcesses(cpus = allowedCpus(), canPin = hasTaskset()): Placement {
  const free: CpuSet = { prefix: [] };
  if (!canPin || cpus.length < 2) {
    const why = canPin ? 'one processor only' : 'no taskset on this system';
    return { load: free, upstream: free, proxy: free, words: `nothing pinned (${why})` };
  }
  const [first, second, ...rest] = cpus;
  if (rest.length === 0) {
    const shared = pinned([first!]);
    const words = `load and upstream share processor ${first}, the proxy under test has ${second}`;
    return { load: shared, upstream: shared, proxy: pinned([second!]), words };
  }
  const words = `load on processor ${first}, upstream on ${second}, the proxy under test on ${rest.join(',')}`;
  return { load: pinned([first!]), upstream: pinned([second!]), proxy: pinned(rest), words };
}

function pinned(cpus: readonly number[]): CpuSet {
  return { prefix: ['taskset', '-c', cpus.join(',')] };
}

/** Pins processes that run already, with all their threads; what they start later follows them. */
export function pinRunning({ prefix }: CpuSet, pids: readonly number[]): void {
  const [taskset, , cpus] = prefix;
  if (taskset === undefined) return;
  for (const pid of pids) spawnSync(taskset, ['-a', '-c', '-p', cpus!, String(pid)], { stdio: 'ignore' });
}

function hasTaskset(): boolean {
  return process.platform === 'linux' && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;
}

/** What the scheduler lets this process use (proc_pid_status(5)); a container may have less than the machine. */
function allowedCpus(): number[] {
  if (process.platform !== 'linux') return [];
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}
