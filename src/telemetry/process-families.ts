import { readdir } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { Family } from './families.ts';

/** What the process costs, read when somebody scrapes: no timer runs in between. Names as Prometheus clients use them. */
export function processFamilies(): Family[] {
  const startedSeconds = performance.timeOrigin / 1000;
  let lastLoop = performance.eventLoopUtilization();
  function loopShare(): number {
    const now = performance.eventLoopUtilization();
    const since = performance.eventLoopUtilization(now, lastLoop);
    lastLoop = now;
    return since.utilization;
  }
  return [
    single('process_cpu_seconds_total', 'counter', 'User and system CPU time', cpuSeconds),
    single('process_resident_memory_bytes', 'gauge', 'Resident memory', () => process.memoryUsage.rss()),
    single('process_start_time_seconds', 'gauge', 'Start of the process since the epoch', () => startedSeconds),
    {
      name: 'process_open_fds',
      help: 'Open file descriptors',
      type: 'gauge',
      async samples() {
        const count = await openDescriptors();
        return count === undefined ? [] : [{ labels: {}, value: count }];
      },
    },
    single(
      'nodejs_heap_size_used_bytes',
      'gauge',
      'Used part of the JavaScript heap',
      () => process.memoryUsage().heapUsed,
    ),
    single('nodejs_external_memory_bytes', 'gauge', 'Memory of buffers', () => process.memoryUsage().external),
    single('nodejs_eventloop_utilization', 'gauge', 'Busy share of the event loop since the last scrape', loopShare),
  ];
}

function single(name: string, type: 'counter' | 'gauge', help: string, read: () => number): Family {
  return { name, help, type, samples: () => [{ labels: {}, value: read() }] };
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Undefined where the system has no /proc. */
async function openDescriptors(): Promise<number | undefined> {
  try {
    // The listing itself holds one descriptor.
    return (await readdir('/proc/self/fd')).length - 1;
  } catch {
    return undefined;
  }
}
