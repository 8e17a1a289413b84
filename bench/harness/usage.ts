import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/** What processes used, as Linux counts it (proc(5)). Elsewhere there is nothing to read and figures are missing. */
export const CAN_READ_USAGE = process.platform === 'linux';

const TICKS_PER_SECOND = CAN_READ_USAGE ? Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) : 100;

/** User and system seconds of all threads so far; undefined where the system does not tell. */
export function cpuSeconds(pids: readonly number[]): number | undefined {
  if (!CAN_READ_USAGE) return undefined;
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the command, in parentheses, may hold blanks: fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Resident MB (10^6 bytes) now. */
export function residentMb(pids: readonly number[]): number | undefined {
  return sumOf(pids, 'VmRSS');
}

/** Largest resident MB since the start or the last `forgetPeak`. */
export function peakMb(pids: readonly number[]): number | undefined {
  return sumOf(pids, 'VmHWM');
}

/** Starts the peak anew (`clear_refs`, proc_pid_clear_refs(5)). */
export function forgetPeak(pids: readonly number[]): void {
  if (!CAN_READ_USAGE) return;
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

function sumOf(pids: readonly number[], field: string): number | undefined {
  if (!CAN_READ_USAGE) return undefined;
  let kib = 0;
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    kib += Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  }
  return (kib * 1024) / 1e6;
}

/** The process and what it started itself. */
export function familyOf(pid: number): number[] {
  if (!CAN_READ_USAGE) return [pid];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').map(Number))];
}
